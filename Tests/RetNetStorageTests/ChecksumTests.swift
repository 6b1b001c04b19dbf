import Foundation
import Testing

@testable import RetNetStorage

@Suite struct ChecksumTests {
    @Test func `the check value of CRC-32 is right`() {
        #expect(Checksum.crc32(Data("123456789".utf8)) == 0xCBF4_3926)
        #expect(Checksum.crc32(Data()) == 0)
        #expect(Checksum.hexadecimal(0xBF4) == "00000bf4")
    }

    @Test func `pieces give the checksum of the whole, in memory and from a file`() throws {
        let data = randomData(700_001, seed: 2)
        let whole = Checksum.crc32(data)
        let first = Checksum.crc32(data.prefix(1234))
        #expect(Checksum.crc32(data.dropFirst(1234), continuing: first) == whole)
        try withTemporaryFolder { folder throws in
            try put(data, at: folder + "/a")
            #expect(try Checksum.crc32(file: folder + "/a") == whole)
            #expect(try Checksum.measure(file: folder + "/a").byteCount == data.count)
            expectThrows(StorageError.isFolder(path: folder)) { try Checksum.crc32(file: folder) }
        }
    }
}
