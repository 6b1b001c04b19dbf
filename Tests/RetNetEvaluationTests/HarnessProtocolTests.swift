import Foundation
import RetNetStorage
import RetNetText
import Testing

@testable import RetNetEvaluation

/// What lm-evaluation-harness and Python's `random` do, written by `Benchmarks/harness/fixture.py`.
private enum HarnessFixture {
    static func load() throws -> JSONValue {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/harness.json")
        return try JSONValue(parsing: try Data(contentsOf: url))
    }
}

extension JSONValue {
    fileprivate subscript(index: Int) -> JSONValue { list.indices.contains(index) ? list[index] : .null }
    fileprivate var list: [JSONValue] { if case .array(let list) = self { list } else { [] } }
    fileprivate var text: String { if case .string(let text) = self { text } else { "" } }
    fileprivate var int: Int { if case .int(let int) = self { int } else { -1 } }
    fileprivate var flag: Bool { if case .bool(let flag) = self { flag } else { false } }
    fileprivate var tokens: [Int32] { list.map { Int32($0.int) } }
    fileprivate func at(_ name: String) -> JSONValue { self[name] ?? .null }
}

@Suite struct HarnessProtocolTests {
    @Test(
        "Requests, few-shot prompts, metrics and standard errors equal the harness's",
        arguments: EvaluationTask.all.map(\.name))
    func task(_ name: String) throws {
        let fixture = try HarnessFixture.load()
        let expected = fixture.at("tasks").at(name)
        let task = try EvaluationTask.named(name)
        #expect(task.version == expected.at("version").text)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tasks-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for split in EvaluationTask.Split.allCases {
            let documents = expected.at("files").at(split.rawValue).list
            guard !documents.isEmpty else { continue }
            let path = folder.appendingPathComponent("\(name)_\(split.rawValue).jsonl")
            try documents.map { $0.text() + "\n" }.joined().write(to: path, atomically: true, encoding: .utf8)
        }
        let files = TaskFiles(folders: [folder.path])
        for run in expected.at("runs").list {
            var options = TaskEvaluation.Options()
            options.shots = run.at("shots").int
            let prepared = try PreparedTask(task, files: files, options: options)
            #expect(prepared.documents.count == run.at("requests").list.count)
            var result = TaskResult(prepared, options: options)
            var examples = prepared.examples
            for (index, (document, question)) in prepared.documents.enumerated() {
                let requests = question.requests(behind: try examples.next(for: document))
                let found = requests.map {
                    task.kind == .rolling ? [$0.continuation] : [$0.context, $0.continuation]
                }
                #expect(found == run.at("requests")[index].list.map { $0.list.map(\.text) })
                #expect(
                    question.target(isText: task.targetIsText) == run.at("targets")[index].text)
                let answers = run.at("scores")[index].list.map {
                    RequestScore(logLikelihood: $0[0].number ?? .nan, isGreedy: $0[1].flag)
                }
                result.add(document, question, requests, answers)
                let sums = try #require(result.samples.last).checksums(task.kind)
                #expect(
                    [sums.document, sums.prompt, sums.target] == run.at("checksums")[index].list.map(\.text))
            }
            result.aggregate(iterations: fixture.at("bootstrap_iterations").int)
            for figure in result.figures {
                let metric = figure.metric.rawValue
                #expect(figure.value == run.at("metrics").at("\(metric),none").number)
                #expect(figure.standardError == run.at("metrics").at("\(metric)_stderr,none").number)
            }
        }
    }

    @Test("Python's random numbers, samples and shuffles are drawn alike") func random() throws {
        for expected in try HarnessFixture.load().at("random").list {
            var random = PythonRandom(seed: UInt64(expected.at("seed").int))
            for (width, bits) in zip(expected.at("widths").list, expected.at("bits").list) {
                #expect("\(random.bits(width.int))" == bits.text)
            }
            for value in expected.at("uniform").list { #expect(random.uniform() == value.number) }
            for (bound, value) in zip(expected.at("bounds").list, expected.at("below").list) {
                #expect(random.below(bound.int) == value.int)
            }
            for sample in expected.at("samples").list {
                let indices = sample.at("indices").list.map(\.int)
                #expect(random.sampleIndices(sample.at("population").int, count: indices.count) == indices)
            }
            var shuffled = Array(0..<12)
            random.shuffle(&shuffled)
            #expect(shuffled == expected.at("shuffled").list.map(\.int))
            for choice in expected.at("choices").list { #expect(random.choice(97) == choice.int) }
            for _ in 0..<2000 { _ = random.uniform() }
            #expect(random.uniform() == expected.at("later").number)
            #expect(random.sampleIndices(3, count: 4) == nil)
        }
    }

    @Test("Contexts and continuations are encoded and cut alike") func pairs() throws {
        for expected in try HarnessFixture.load().at("encoding").at("pairs").list {
            var encoder = try RequestEncoder(
                ByteTokenizer(), addsBeginToken: expected.at("begin").flag,
                maximumLength: expected["length"]?.number.map { Int($0) })
            let request = try encoder.request(
                context: expected.at("context").text, continuation: expected.at("continuation").text)
            #expect(request.inputs == expected.at("inputs").tokens)
            #expect(request.targets == expected.at("targets").tokens)
        }
    }

    @Test("Texts are divided into the same windows") func windows() throws {
        for expected in try HarnessFixture.load().at("encoding").at("rolling").list {
            let encoder = try RequestEncoder(
                ByteTokenizer(), addsBeginToken: false, maximumLength: expected.at("length").int)
            let windows = expected.at("windows").list.map {
                ScoringRequest(inputs: $0[0].tokens, targets: $0[1].tokens)
            }
            #expect(encoder.rollingRequests(expected.at("text").text) == windows)
        }
        let whole = try RequestEncoder(ByteTokenizer(), addsBeginToken: false, maximumLength: nil)
        #expect(
            whole.rollingRequests("abc") == [ScoringRequest(inputs: [255, 97, 98], targets: [97, 98, 99])])
    }

    @Test("Of equal scores the first wins, and NaN before all, as in numpy") func ties() {
        #expect(TaskMetric.prediction([-2, -1, -1]) == 1)
        #expect(TaskMetric.prediction([-2, -4], lengths: [1, 2]) == 0)
        #expect(TaskMetric.prediction([-1, .nan, 3]) == 1)
        #expect(TaskMetric.prediction([-1, -1], lengths: [0, 4]) == 1)
    }

    @Test("Lengths count code points for acc_norm and bytes for acc_bytes") func lengths() {
        // Per code point the family of five scalars is best, per byte the word.
        let question = TaskQuestion.choices(
            context: "", choices: ["\u{1F469}\u{200D}\u{1F467}", "abcdef"], gold: 0)
        let answers = [
            RequestScore(logLikelihood: -3, isGreedy: false),
            RequestScore(logLikelihood: -5, isGreedy: false),
        ]
        #expect(TaskMetric.accuracy.value(question, answers) == .number(1))
        #expect(TaskMetric.normalizedAccuracy.value(question, answers) == .number(0))
        #expect(TaskMetric.byteAccuracy.value(question, answers) == .number(1))
    }
}
