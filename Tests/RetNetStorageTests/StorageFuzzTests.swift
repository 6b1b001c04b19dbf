import Foundation
import Testing

@testable import RetNetStorage

/// Random damage must lead to a result or an error, never to a crash.
@Suite struct StorageFuzzTests {
    private static func mutated(_ original: Data, _ generator: inout SplitMix64) -> Data {
        var bytes = [UInt8](original)
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let position = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0 where !bytes.isEmpty:
                bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1:
                bytes.removeLast(bytes.count - position)
            case 2:
                let count = Int.random(in: 1...8, using: &generator)
                let inserted = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
                bytes.insert(contentsOf: inserted, at: position)
            case 3 where !bytes.isEmpty:
                let end = min(bytes.count, position + Int.random(in: 1...16, using: &generator))
                bytes.removeSubrange(position..<end)
            case 4 where !bytes.isEmpty:
                let characters = Array("{}[]\",:\\-0123456789.eEuntf \n".utf8)
                bytes[position] = characters[Int.random(in: 0..<characters.count, using: &generator)]
            default:
                let end = min(bytes.count, position + Int.random(in: 1...64, using: &generator))
                bytes.insert(contentsOf: bytes[position..<end], at: position)
            }
        }
        return Data(bytes)
    }

    /// Calls `body` with many mutations and returns how many passed and how many threw.
    private static func fuzz(
        _ originals: [Data], count: Int, seed: UInt64, _ body: (Data) throws -> Void
    ) throws -> (passed: Int, refused: Int) {
        var generator = SplitMix64(seed: seed)
        var passed = 0
        var refused = 0
        for index in 0..<count {
            do {
                try body(mutated(originals[index % originals.count], &generator))
                passed += 1
            } catch is StorageError {
                refused += 1
            } catch is SafetensorsIndexFault {
                refused += 1
            } catch is ChecksumList.Fault {
                refused += 1
            }
        }
        return (passed, refused)
    }

    private static func header() -> String {
        "{\"__metadata__\":{\"format\":\"pt\",\"k\\u00e9\\n\":\"v\"},"
            + "\"embed.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
            + "\"layer.0.bias\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},"
            + "\"none\":{\"dtype\":\"I64\",\"shape\":[0],\"data_offsets\":[32,32]},"
            + "\"flag\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[32,33],\"x\":[1.5,null]}}   "
    }

    @Test func `damaged safetensors files parse or throw`() throws {
        let originals = [safetensorsData(header: Self.header(), data: randomData(33, seed: 30))]
        let result = try Self.fuzz(originals, count: 12_000, seed: 31) { data in
            let header = try parse(data)
            // What parses must tile the file exactly.
            var end = header.dataOffset
            for entry in header.entries {
                #expect(entry.byteRange.lowerBound == end)
                #expect(entry.elementType.byteCount(shape: entry.shape) == entry.byteCount)
                end = entry.byteRange.upperBound
            }
            #expect(end == data.count)
        }
        #expect(result.passed > 0)
        #expect(result.refused > 6000)
    }

    @Test func `damaged headers of the right claimed length parse or throw`() throws {
        // The length is made right again, so that the damage reaches the scanner.
        let data = randomData(33, seed: 32)
        let result = try Self.fuzz([Data(Self.header().utf8)], count: 12_000, seed: 33) { header in
            _ = try parse(safetensorsData(header: header, data: data))
        }
        #expect(result.passed > 0)
        #expect(result.refused > 6000)
    }

    @Test func `damaged files on the disk open or throw, and every tensor can be read`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/model.safetensors"
            let originals = [safetensorsData(header: Self.header(), data: randomData(33, seed: 34))]
            _ = try Self.fuzz(originals, count: 1000, seed: 35) { data in
                try put(data, at: path)
                let opened = try SafetensorsFolder(path: folder)
                for entry in opened.entries {
                    let sum = try opened.withUnsafeBytes(of: entry.name) { $0.reduce(0) { $0 + Int($1) } }
                    #expect(sum >= 0)
                }
            }
        }
    }

    @Test func `damaged indices parse or throw`() throws {
        let text = SafetensorsIndex.text(
            shards: [("a.weight", "model-00001-of-00002.safetensors"), ("b\"\u{E9}", "m2.safetensors")],
            totalByteCount: 123, metadata: ["format": "pt"])
        let result = try Self.fuzz([Data(text.utf8)], count: 10_000, seed: 36) { data in
            _ = try data.withUnsafeBytes { try SafetensorsIndex.parse($0) }
        }
        #expect(result.passed > 0)
        #expect(result.refused > 5000)
    }

    @Test func `damaged lists of checksums parse or throw`() throws {
        let list = ChecksumList(records: [
            "a.txt": ChecksumList.Record(byteCount: 12, crc32: 0x0102_0304),
            "sub/\u{E9}.bin": ChecksumList.Record(byteCount: 0, crc32: 0),
        ])
        #expect(try Data(list.text.utf8).withUnsafeBytes { try ChecksumList.parse($0) } == list)
        let result = try Self.fuzz([Data(list.text.utf8)], count: 10_000, seed: 37) { data in
            _ = try data.withUnsafeBytes { try ChecksumList.parse($0) }
        }
        #expect(result.passed > 0)
        #expect(result.refused > 5000)
    }

    @Test func `damaged compressed data expands or throws`() throws {
        let text = Data(String(repeating: "retention is decay. ", count: 40).utf8)
        let originals = [Gzip.compress(text), Gzip.compress(randomData(200, seed: 38)) + Gzip.compress(text)]
        let result = try Self.fuzz(originals, count: 6000, seed: 39) { data in
            _ = try Gzip.decompress(data, maximumByteCount: 100_000)
        }
        #expect(result.refused > 3000)
    }

    @Test func `UTF-8 is judged as the standard library does`() {
        var generator = SplitMix64(seed: 40)
        let samples = Array("a\u{E9}\u{20AC}\u{1F600}\u{7FF}\u{800}\u{FFFF}\u{10FFFF}\u{D7FF}zzzzzzzz".utf8)
        for _ in 0..<20_000 {
            let data = Self.mutated(Data(samples), &generator)
            let isValid = String(bytes: data, encoding: .utf8) != nil
            #expect(data.withUnsafeBytes { (try? JSONScanner($0)) != nil } == isValid)
        }
    }
}
