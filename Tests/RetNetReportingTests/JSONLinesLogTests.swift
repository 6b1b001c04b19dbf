import Foundation
import RetNetTestSupport
import Testing

@testable import RetNetReporting

@Suite("JSON lines log")
struct JSONLinesLogTests {
    @Test("Records keep the order of their keys and are on disk at once")
    func append() throws {
        let folder = try TemporaryFolder()
        let log = try JSONLinesLog(path: folder.path("log.jsonl"))
        try log.append(["step": 1, "loss": 2.5, "tags": ["a", 1, true, .null]])
        #expect(try folder.text("log.jsonl") == "{\"step\":1,\"loss\":2.5,\"tags\":[\"a\",1,true,null]}\n")
        try log.append([("z", .int(1)), ("a", .bool(false)), ("z", .int(2))])
        #expect(try folder.text("log.jsonl").hasSuffix("\n{\"z\":2,\"a\":false}\n"))
    }

    @Test("Numbers that are not finite are kept as strings")
    func nonFinite() throws {
        let folder = try TemporaryFolder()
        let log = try JSONLinesLog(path: folder.path("log.jsonl"))
        try log.append(["a": .double(.nan), "b": .double(.infinity), "c": .double(-.infinity)])
        #expect(try folder.text("log.jsonl") == "{\"a\":\"NaN\",\"b\":\"Infinity\",\"c\":\"-Infinity\"}\n")
        let record = try #require(try JSONLinesLog.records(at: log.path).first)
        #expect(record["a"]?.doubleValue?.isNaN == true)
        #expect(record["b"]?.doubleValue == .infinity)
        #expect(record["c"]?.doubleValue == -.infinity)
    }

    @Test("Values come back as they were written")
    func roundTrip() throws {
        let folder = try TemporaryFolder()
        let log = try JSONLinesLog(path: folder.path("log.jsonl"))
        let text = "quote \" slash \\ line\nfeed \u{2028} bell \u{7} \u{1F600}"
        try log.append([
            "i": .int(Int.min), "d": 0.1, "e": 1e-300, "t": .string(text), "b": true, "n": .null,
        ])
        #expect(try folder.text("log.jsonl").split(separator: "\n").count == 1)
        let record = try #require(try JSONLinesLog.records(at: log.path).first)
        #expect(record["i"] == .int(Int.min))
        #expect(record["d"] == .double(0.1))
        #expect(record["e"] == .double(1e-300))
        #expect(record["t"] == .string(text))
        #expect(record["b"] == .bool(true))
        #expect(record["n"] == .null)
    }

    @Test("Truncation removes newer records and appending continues")
    func truncate() throws {
        let folder = try TemporaryFolder()
        let log = try JSONLinesLog(path: folder.path("log.jsonl"))
        try log.append(["config": "x"])
        for step in 1...5 { try log.append(["step": .int(step)]) }
        try log.truncate(afterStep: 3)
        try log.append(["step": 4, "again": true])
        let records = try JSONLinesLog.records(at: log.path)
        #expect(records.compactMap { $0["step"]?.intValue } == [1, 2, 3, 4])
        #expect(records.count == 5)
        #expect(records.last?["again"] == .bool(true))
    }

    @Test("An incomplete last line is dropped, a complete one without newline kept")
    func tornLine() throws {
        let folder = try TemporaryFolder()
        try folder.write("{\"step\":1}\n{\"step\":2,\"lo", to: "torn.jsonl")
        let torn = try JSONLinesLog(path: folder.path("torn.jsonl"))
        try torn.append(["step": 2])
        #expect(try folder.text("torn.jsonl") == "{\"step\":1}\n{\"step\":2}\n")
        try folder.write("{\"step\":1}", to: "whole.jsonl")
        let whole = try JSONLinesLog(path: folder.path("whole.jsonl"))
        try whole.append(["step": 2])
        #expect(try folder.text("whole.jsonl") == "{\"step\":1}\n{\"step\":2}\n")
    }

    @Test("Readers skip an incomplete last line and objects but report other faults")
    func reading() throws {
        let folder = try TemporaryFolder()
        try folder.write("{\"step\":1,\"o\":{\"k\":1}}\n\n{\"st", to: "a.jsonl")
        #expect(try JSONLinesLog.records(at: folder.path("a.jsonl")) == [["step": 1]])
        try folder.write("{\"a\":[1,{\"k\":[]}],\"b\":[2,[\"x\"]],\"c\":1e999,\"step\":1}\n", to: "c.jsonl")
        #expect(
            try JSONLinesLog.records(at: folder.path("c.jsonl")) == [["b": [2, ["x"]], "step": 1]])
        try folder.write("{\"step\":1}\noops\n{\"step\":2}\n", to: "b.jsonl")
        let path = folder.path("b.jsonl")
        #expect(throws: ReportingError.malformedRecord(path: path, line: 2)) {
            try JSONLinesLog.records(at: path)
        }
    }

    @Test("Closed logs and missing folders are reported")
    func failures() throws {
        let folder = try TemporaryFolder()
        let log = try JSONLinesLog(path: folder.path("log.jsonl"))
        log.close()
        #expect(throws: ReportingError.closed(path: log.path)) { try log.append(["a": 1]) }
        #expect(
            errorText(ReportingError.self) { try JSONLinesLog(path: folder.path("no/such/log")) }.contains(
                "cannot open"))
        #expect(
            errorText(ReportingError.self) { try JSONLinesLog.records(at: folder.path("none")) }.contains(
                "cannot read"))
    }
}
