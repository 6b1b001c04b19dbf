import Foundation
import Testing

@testable import RetNetStorage

@Suite struct GzipTests {
    private static let samples = [
        Data(), Data("a".utf8), Data(repeating: 7, count: 3_000_000), randomData(600_000, seed: 3),
    ]

    @Test(arguments: samples) func `data survives compression in both formats`(data: Data) throws {
        let compressed = Gzip.compress(data)
        #expect(Gzip.isGzip(compressed))
        #expect(compressed == Gzip.compress(data))
        #expect(try Gzip.decompress(compressed) == data)
        #expect(try Gzip.inflate(Gzip.deflate(data)) == data)
    }

    @Test(arguments: samples) func `stored blocks are valid in both formats`(data: Data) throws {
        #expect(try Gzip.decompress(Deflater.stored(data, format: .gzip)) == data)
        #expect(try Gzip.inflate(Deflater.stored(data, format: .zlib)) == data)
    }

    @Test func `a file of another program with a name in its header expands`() throws {
        // printf hello > a; gzip a
        let member: [UInt8] = [
            0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 3, 0x61, 0, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 7, 0, 0x86, 0xA6, 0x10,
            0x36, 5, 0, 0, 0,
        ]
        #expect(try Gzip.decompress(Data(member)) == Data("hello".utf8))
    }

    @Test func `consecutive members are decompressed in order and padding is ignored`() throws {
        try withTemporaryFolder { folder throws in
            let parts = [randomData(300_000, seed: 4), Data(), Data("end".utf8)]
            let file = parts.map(Gzip.compress).reduce(Data(), +) + Data(repeating: 0, count: 500)
            try put(file, at: folder + "/a.gz")
            #expect(try Gzip.isGzip(file: folder + "/a.gz"))
            var result = Data()
            try Gzip.decompress(file: folder + "/a.gz", maximumByteCount: 300_003) {
                result.append(contentsOf: $0)
            }
            #expect(result == parts.reduce(Data(), +))
        }
    }

    @Test func `every truncation is reported as such`() throws {
        let compressed = Gzip.compress(randomData(300, seed: 5))
        for count in 0..<compressed.count {
            #expect(throws: StorageError.self) { try Gzip.decompress(compressed.prefix(count)) }
        }
        expectStorageError("truncated", "stops after 100 bytes") {
            _ = try Gzip.decompress(compressed.prefix(100))
        }
    }

    @Test func `a flipped bit never gives other data`() throws {
        let data = randomData(60, seed: 6)
        let compressed = Gzip.compress(data)
        for bit in (10 * 8)..<(compressed.count * 8) {
            var damaged = compressed
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            // A few bits are padding, without any meaning.
            let result = try? Gzip.decompress(damaged)
            #expect(result == nil || result == data)
        }
    }

    @Test func `corruption, a wrong format and trailing bytes have their reasons`() throws {
        var damaged = Gzip.compress(Data("hello, hello, hello".utf8))
        damaged[damaged.count - 6] ^= 1
        expectStorageError("corrupt", "incorrect data check") { _ = try Gzip.decompress(damaged) }
        expectStorageError("corrupt", "incorrect header check") {
            _ = try Gzip.decompress(Data("plain text".utf8))
        }
        let trailing = Gzip.compress(Data("x".utf8)) + Data("junk".utf8)
        expectStorageError("corrupt at compressed byte 21", "something else follows") {
            _ = try Gzip.decompress(trailing)
        }
        expectStorageError("something else follows") {
            _ = try Gzip.inflate(Gzip.deflate(Data("x".utf8)) + Data([0]))
        }
    }

    @Test func `the limit is checked before data is passed on`() throws {
        try withTemporaryFolder { folder throws in
            try put(Gzip.compress(Data(repeating: 0, count: 10_000_000)), at: folder + "/bomb.gz")
            var received = 0
            expectThrows(
                StorageError.decompressedTooLarge(
                    path: folder + "/bomb.gz", maximumByteCount: 1_000_000)
            ) {
                try Gzip.decompress(file: folder + "/bomb.gz", maximumByteCount: 1_000_000) {
                    received += $0.count
                }
            }
            #expect(received <= 1_000_000)
        }
        let data = Data(repeating: 1, count: 1000)
        #expect(try Gzip.decompress(Gzip.compress(data), maximumByteCount: 1000) == data)
        expectStorageError("more than the 999 bytes") {
            _ = try Gzip.decompress(Gzip.compress(data), maximumByteCount: 999)
        }
    }

    @Test func `short or plain files are not taken for gzip`() throws {
        try withTemporaryFolder { folder throws in
            for (index, data) in [Data(), Data([0x1F]), Data("hello".utf8)].enumerated() {
                try put(data, at: folder + "/\(index)")
                #expect(try !Gzip.isGzip(file: folder + "/\(index)"))
                #expect(!Gzip.isGzip(data))
            }
        }
    }
}
