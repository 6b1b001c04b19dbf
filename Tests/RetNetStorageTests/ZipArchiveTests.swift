import Foundation
import Testing

@testable import RetNetStorage

/// Returns a zip archive of stored entries; 64-bit records are written on request, and `change` damages the directory.
func zip(
    _ entries: [(name: String, contents: String)], has64BitRecords: Bool = false,
    change: (inout ZipParts) -> Void = { _ in }
) -> Data {
    var parts = ZipParts()
    for (name, contents) in entries {
        let data = Data(contents.utf8)
        let record = ZipParts.Record(
            name: name, crc32: Checksum.crc32(data), byteCount: UInt32(data.count),
            offset: UInt32(parts.body.count))
        parts.records.append(record)
        parts.body += ZipParts.bytes(
            0x0403_4B50 as UInt32, 20 as UInt16, 0 as UInt16, 0 as UInt16, 0 as UInt32, record.crc32,
            record.byteCount,
            record.byteCount, UInt16(name.utf8.count), 0 as UInt16)
        parts.body += Data(name.utf8) + data
    }
    change(&parts)
    return parts.archive(has64BitRecords: has64BitRecords)
}

/// An archive before it is put together.
struct ZipParts {
    struct Record {
        var name: String
        var crc32: UInt32
        var byteCount: UInt32
        var offset: UInt32
        var flags: UInt16 = 0
        var method: UInt16 = 0
    }

    var body = Data()
    var records: [Record] = []
    var comment = ""

    static func bytes(_ values: any FixedWidthInteger...) -> Data {
        var data = Data()
        func append(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { data.append(contentsOf: $0) }
        }
        for value in values { append(value) }
        return data
    }

    func archive(has64BitRecords: Bool) -> Data {
        var directory = Data()
        for record in records {
            let extra =
                has64BitRecords
                ? Self.bytes(
                    9 as UInt16, 1 as UInt16, 7 as UInt8, 1 as UInt16, 24 as UInt16, UInt64(record.byteCount),
                    UInt64(record.byteCount), UInt64(record.offset)) : Data()
            let size = has64BitRecords ? UInt32.max : record.byteCount
            directory += Self.bytes(
                0x0201_4B50 as UInt32, 20 as UInt16, 20 as UInt16, record.flags, record.method, 0 as UInt32,
                record.crc32, size, size, UInt16(record.name.utf8.count), UInt16(extra.count), 0 as UInt16,
                0 as UInt16,
                0 as UInt16, 0 as UInt32, has64BitRecords ? UInt32.max : record.offset)
            directory += Data(record.name.utf8) + extra
        }
        var end = Data()
        if has64BitRecords {
            end += Self.bytes(
                0x0606_4B50 as UInt32, 44 as UInt64, 45 as UInt16, 45 as UInt16, 0 as UInt32, 0 as UInt32,
                UInt64(records.count), UInt64(records.count), UInt64(directory.count), UInt64(body.count))
            end += Self.bytes(
                0x0706_4B50 as UInt32, 0 as UInt32, UInt64(body.count + directory.count), 1 as UInt32)
        }
        let count = has64BitRecords ? UInt16.max : UInt16(records.count)
        end += Self.bytes(
            0x0605_4B50 as UInt32, 0 as UInt16, 0 as UInt16, count, count,
            has64BitRecords ? UInt32.max : UInt32(directory.count),
            has64BitRecords ? UInt32.max : UInt32(body.count),
            UInt16(comment.utf8.count))
        return body + directory + end + Data(comment.utf8)
    }
}

@Suite struct ZipArchiveTests {
    private func open(_ data: Data) throws -> ZipArchive { try data.withUnsafeBytes { try ZipArchive($0) } }

    private func reason(_ data: Data) -> String {
        do {
            _ = try open(data)
            return "(nothing was thrown)"
        } catch let fault as ZipArchive.Fault {
            return fault.reason
        } catch {
            return "(another error)"
        }
    }

    private let two = [("a/x", "one"), ("a/y", "three")]

    @Test(arguments: [false, true]) func entriesAreFoundByTheDirectory(has64BitRecords: Bool) throws {
        let data = zip(two, has64BitRecords: has64BitRecords) { $0.comment = "a comment PK\u{5}\u{6}" }
        let archive = try open(data)
        #expect(archive.entries.map(\.name) == ["a/x", "a/y"])
        let entry = try #require(archive.entry(named: "a/y"))
        #expect(data[entry.range] == Data("three".utf8) && entry.crc32 == Checksum.crc32(Data("three".utf8)))
        #expect(archive.entry(named: "y") == nil)
    }

    @Test func damagedDirectoriesAreRefused() {
        #expect(reason(zip(two) { $0.records[1].offset = 0 }).contains("does not begin where"))
        #expect(reason(zip(two) { $0.records[1].offset = 4_000_000_000 }).contains("does not begin where"))
        #expect(reason(zip(two) { $0.records[0].byteCount = 4000 }).contains("beyond the end"))
        #expect(reason(zip(two) { $0.records[0].byteCount = 10 }).contains("overlap"))
        #expect(reason(zip(two) { $0.records.append($0.records[0]) }).contains("occurs twice"))
        #expect(reason(zip(two) { $0.records[0].flags = 1 }).contains("encrypted"))
        #expect(reason(zip(two) { $0.records[0].method = 12 }).contains("method 12"))
        #expect(reason(zip(two).dropLast(4)).contains("cut off"))
        #expect(reason(zip([("../x", "1")])).contains("leaves the archive"))
        #expect(reason(zip([("/x", "1")])).contains("leaves the archive"))
        #expect(reason(zip([("a\\x", "1")])).contains("leaves the archive"))
        #expect(reason(zip([("a/x", "1"), ("a/x", "2")])).contains("occurs twice"))
    }

    /// Deflated data that claims to be larger than deflate can make it.
    @Test func bombsAreRefused() {
        let data = zip([("a/x", "1234")]) {
            $0.records[0].method = 8
            $0.records[0].byteCount = 4
        }
        #expect(throws: Never.self) { try open(data) }
        var bomb = data
        // The uncompressed size of the only record of the directory.
        let place = bomb.count - 22 - 49 + 24
        bomb.replaceSubrange(place..<(place + 4), with: ZipParts.bytes(UInt32(0x7FFF_FFFF)))
        #expect(reason(bomb).contains("more bytes than it can expand to"))
    }

    @Test(arguments: [false, true]) func everyWrongByteGivesAnErrorOrAnArchive(has64BitRecords: Bool) {
        let data = zip(two, has64BitRecords: has64BitRecords)
        for index in data.indices {
            for mask: UInt8 in [0x01, 0x80, 0xFF] {
                var damaged = data
                damaged[index] ^= mask
                _ = try? open(damaged).entries.map { damaged[$0.range] }
            }
        }
    }
}
