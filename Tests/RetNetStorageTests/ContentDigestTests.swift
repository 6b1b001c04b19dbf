import Foundation
import RetNetStorage
import Testing

@Suite struct ContentDigestTests {
    /// FIPS 180-4's examples, and what `git hash-object` gives.
    @Test(arguments: [1, 3, 64, 1000]) func checksumsAreThoseOfTheirStandards(pieceByteCount: Int) {
        func sum(_ kind: ContentDigest.Kind, _ text: String) -> String {
            let bytes = Array(text.utf8)
            var digest = ContentDigest(kind, byteCount: bytes.count)
            for start in stride(from: 0, to: bytes.count, by: pieceByteCount) {
                digest.update(Data(bytes[start..<min(start + pieceByteCount, bytes.count)]))
            }
            return digest.hexadecimal()
        }
        #expect(sum(.sha256, "") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(sum(.sha256, "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            sum(.sha256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        #expect(
            sum(.sha256, String(repeating: "a", count: 1000))
                == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3")
        #expect(sum(.gitBlob, "") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
        #expect(sum(.gitBlob, "hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a")
        #expect(ContentDigest.Kind(etag: "abc") == nil)
        #expect(ContentDigest.sha256("abc") == sum(.sha256, "abc"))
    }
}
