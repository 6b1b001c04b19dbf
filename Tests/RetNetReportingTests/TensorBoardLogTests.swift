import Foundation
import RetNetTestSupport
import Testing

@testable import RetNetReporting

@Suite("TensorBoard log")
struct TensorBoardLogTests {
    @Test("CRC-32C agrees with its published vectors")
    func checksum() {
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.checksum([UInt8]()) == 0)
        // RFC 3720, appendix B.4.
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.checksum(Array(UInt8(0)..<32)) == 0x46DD_794E)
    }

    @Test("An independent decoder reads scalars and text back")
    func decode() throws {
        let folder = try TemporaryFolder()
        let log = try TensorBoardLog(directory: folder.path("tb/run"))
        try log.scalar("loss", 1.5, step: 7, wallTime: 1000.25)
        try log.scalars([("lr", 3e-4), ("bad", .nan)], step: -1, wallTime: 1001)
        try log.text("config", "**bold**", step: 0, wallTime: 1002)
        log.close()
        let name = try #require(log.path.split(separator: "/").last)
        #expect(name.hasPrefix("events.out.tfevents."))

        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: log.path)))
        let events = try EventFileDecoder.records(of: bytes).map(EventFileDecoder.fields)
        #expect(events.count == 4)
        #expect(events[0].map(\.number) == [1, 3])
        #expect(events[0][1].text == "brain.Event:2")

        #expect(events[1][0].double == 1000.25)
        #expect(events[1][1].varint == 7)
        let value = try events[1][2].fields()[0].fields()
        #expect(value[0].text == "loss")
        #expect(value[1].number == 2)
        #expect(value[1].float == 1.5)

        #expect(Int64(bitPattern: events[2][1].varint) == -1)
        let values = try events[2][2].fields()
        #expect(values.count == 2)
        #expect(try values[1].fields()[1].float.isNaN)

        let text = try events[3][2].fields()[0].fields()
        #expect(text.map(\.number) == [1, 8, 9])
        let tensor = try text[1].fields()
        #expect(tensor[0].varint == 7)
        #expect(tensor[2].text == "**bold**")
        #expect(try text[2].fields()[0].fields()[0].text == "text")
    }

    @Test("A resumed run marks the end of older values")
    func resumed() throws {
        let folder = try TemporaryFolder()
        let log = try TensorBoardLog(directory: folder.url.path, resumedStep: 100)
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: log.path)))
        let events = try EventFileDecoder.records(of: bytes).map(EventFileDecoder.fields)
        #expect(events[1].map(\.number) == [1, 2, 7])
        #expect(events[1][1].varint == 101)
        #expect(try events[1][2].fields()[0].varint == 1)
    }

    @Test("A resumed run's file comes last in the order of names, whatever the clock says")
    func order() throws {
        let folder = try TemporaryFolder()
        // Other files of the folder, among them one with more than a time in its name, have no say.
        for name in ["notes.txt", "events.out.tfevents.", "events.out.tfevents.99999999999999999999.x"] {
            try folder.write("", to: name)
        }
        // Forward, the same second, an hour back, and a machine without a clock.
        var names: [String] = []
        for (step, time) in [1_800_000_000.0, 1_800_000_100, 1_800_000_100, 1_799_996_500, 12, -5]
            .enumerated()
        {
            let log = try TensorBoardLog(directory: folder.url.path, resumedStep: step, time: time)
            try log.scalar("loss", 1, step: step)
            log.close()
            names.append(URL(fileURLWithPath: log.path).lastPathComponent)
        }
        #expect(names == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        #expect(Set(names).count == names.count)
        #expect(names[0].hasPrefix("events.out.tfevents.1800000000."))
        #expect(names[5].hasPrefix("events.out.tfevents.1800000104."))
        let early = try TensorBoardLog(directory: folder.path("early"), resumedStep: nil, time: 12)
        #expect(early.path.contains("/events.out.tfevents.0000000012."))
    }

    @Test("Each log has its own file, and closed logs refuse records")
    func files() throws {
        let folder = try TemporaryFolder()
        let first = try TensorBoardLog(directory: folder.url.path)
        let second = try TensorBoardLog(directory: folder.url.path)
        #expect(first.path != second.path)
        first.close()
        #expect(throws: ReportingError.closed(path: first.path)) {
            try first.scalar("a", 1, step: 1)
        }
        try folder.write("", to: "file")
        #expect(
            errorText(ReportingError.self) { try TensorBoardLog(directory: folder.path("file")) }.contains(
                "cannot create the folder"))
    }
}
