import Foundation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetStorage
import RetNetText
import RetNetTorch
import Testing

@testable import RetNetEvaluation

@Suite struct TaskEvaluationTests {
    private static let models: [(name: String, configuration: LanguageModelConfiguration)] = [
        ("retention", Tiny.configuration()),
        (
            "attention",
            LanguageModelConfiguration(
                vocabularySize: 256, hiddenSize: 16, layerCount: 2,
                mixer: .attention(AttentionConfiguration(headCount: 2, headSize: 8)),
                feedForward: FeedForwardConfiguration(innerSize: 32))
        ),
    ]

    /// Questions of different lengths, with choices that begin alike, are equal, or are one token.
    private static func questions() throws -> [[ScoringRequest]] {
        var encoder = try RequestEncoder(ByteTokenizer(), addsBeginToken: true, maximumLength: nil)
        let texts: [(String, [String])] = [
            ("The cat sat on the", [" mat.", " map of the town.", " m", " mat."]),
            ("Is it?", [" yes", " no"]), ("One", ["x", "y", "z"]),
            ("A rather long context, which needs more than one window of the scorer", [" a", " abc", " b"]),
            ("Single", [" continuation"]),
        ]
        var result: [[ScoringRequest]] = []
        for (context, choices) in texts {
            result.append(try choices.map { try encoder.request(context: context, continuation: $0) })
        }
        // Contexts that differ before one continuation.
        result.append(
            try ["Ada", "Bo"].map {
                try encoder.request(context: "They saw \($0)", continuation: " run away")
            })
        result.append(encoder.rollingRequests("A text that is predicted from its beginning to its end."))
        return result
    }

    /// The sum of the log-probabilities of one request in one pass.
    private static func direct(_ model: LanguageModel, _ request: ScoringRequest) throws -> RequestScore {
        try withoutGradients {
            let tokens = try Tensor.from(request.inputs.map(Int64.init), [1, request.inputs.count])
            let (logits, _) = try model(tokens, form: .parallel)
            let rows = try logits.reshaped([request.inputs.count, -1])
                .sliced(0, request.firstScored..<request.inputs.count)
            let losses = try rows.crossEntropy(Tensor.from(request.targets.map(Int64.init)), reduction: .none)
            let best = try rows.argmax(axis: -1).values(as: Int64.self)
            return RequestScore(
                logLikelihood: -(try losses.doubles().reduce(0, +)),
                isGreedy: best == request.targets.map(Int64.init))
        }
    }

    @Test("Shared contexts, batches and windows change no score", arguments: [0, 1], [7, 64, 4096])
    func sharing(index: Int, tokensPerPass: Int) throws {
        let store = ParameterStore(source: .random(seed: 3), elementType: .float64)
        let model = try LanguageModel(
            Self.models[index].configuration, parameters: store, computeType: .float64)
        let questions = try Self.questions()
        let expected = try questions.map { try $0.map { try Self.direct(model, $0) } }
        for sharing in LogLikelihoodScorer.Options.Sharing.allCases {
            let scorer = try LogLikelihoodScorer(
                model,
                options: .init(form: .chunkwise(4), tokensPerPass: tokensPerPass, sharing: sharing))
            var cost = ScoringCost()
            let found = try scorer.score(questions, cost: &cost)
            for (a, b) in zip(found.joined(), expected.joined()) {
                #expect(abs((a?.logLikelihood ?? .nan) - b.logLikelihood) < 1e-9)
                #expect(a?.isGreedy == b.isGreedy)
            }
            let all = questions.joined().reduce(0) { $0 + $1.inputs.count }
            #expect(cost.separateTokenCount == all)
            #expect(sharing == .beginnings ? cost.tokenCount < all : cost.tokenCount == all)
        }
    }

    @Test("A plan runs a context once, equal beginnings once, and one-token choices not at all") func plan()
        throws
    {
        func request(_ inputs: [Int32], _ targets: [Int32]) -> ScoringRequest {
            ScoringRequest(inputs: inputs, targets: targets)
        }
        let context: [Int32] = Array(1...20)
        let questions = [
            [request(context, [50]), request(context, [51]), request(context + [52], [52, 53])],
            [request(context + [30, 31], [31, 9]), request(context + [30, 32], [32, 9])],
        ]
        let plan = ScoringPlan(
            questions, sharing: true, limits: .init(tokensPerPass: 1000, rowCount: 100, cheapRowCount: 100))
        #expect(plan.commonPrefix == Array(context.prefix(19)))
        // The first question has one row; the second shares one token behind the context.
        #expect(plan.batches.flatMap(\.questions).map(\.rows.count).sorted() == [1, 1, 1])
        let separate = ScoringPlan(
            questions, sharing: false, limits: .init(tokensPerPass: 44, rowCount: 100, cheapRowCount: 100))
        #expect(separate.commonPrefix.isEmpty)
        #expect(separate.batches.flatMap(\.questions).flatMap(\.rows).count == 5)
        #expect(separate.batches.allSatisfy { $0.questions.count <= 2 })
    }

    @Test("An evaluation reports progress, figures, samples and its result file") func evaluation() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let line =
            #"{"goal": "Dry a shoe", "sol1": "Fill it with paper.", "sol2": "Fill it with sand.", "label": 0}"#
        try "\(line)\n\n\(line)\n\(line)\n".write(
            to: folder.appendingPathComponent("piqa_dev3.jsonl"), atomically: true, encoding: .utf8)
        let files = TaskFiles(folders: [folder.path])
        let task = try EvaluationTask.named("piqa")
        var options = TaskEvaluation.Options()
        options.limit = 2
        options.addsByteAccuracy = true
        let evaluation = try TaskEvaluation(Tiny.model(), tokenizer: ByteTokenizer(), options: options)
        var seen: [Int] = []
        let result = try evaluation.evaluate(task, files: files) { count, total in
            #expect(total == 2)
            seen.append(count)
            return true
        }
        #expect(seen.last == 2)
        #expect(result.isComplete && result.samples.count == 2 && result.documentCount == 3)
        #expect(result.figures.map(\.metric) == [.accuracy, .normalizedAccuracy, .byteAccuracy])
        #expect(result.cost.tokenCount < result.cost.separateTokenCount)
        let run = TaskResultFile.Run(
            model: "runs/a", parameterCount: 1, elementType: "float32", device: "cpu",
            engine: "libtorch (float32 on cpu)",
            form: "parallel", tokenizer: "byte",
            packageVersion: "0", commit: nil, specialTokens: (255, 254, nil), start: Date(), end: Date())
        let file = TaskResultFile([result], options: options, run: run)
        let path = try file.write(to: folder.path, samples: true)
        #expect(path.hasPrefix(folder.path + "/runs__a/results_"))
        let json = try JSONValue(parsing: try Data(contentsOf: URL(fileURLWithPath: path)))
        #expect(json["results"]?["piqa"]?["acc,none"]?.number == result.figures[0].value)
        #expect(json["n-samples"]?["piqa"]?["effective"] == .int(2))
        #expect(json["config"]?["fewshot_seed"] == .int(1234))
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/runs__a")
        #expect(names.contains { $0.hasPrefix("samples_piqa_") && $0.hasSuffix(".jsonl") })
        let interrupted = try evaluation.evaluate(task, files: files) { _, _ in false }
        #expect(!interrupted.isComplete || interrupted.samples.count == 2)
    }

    @Test("An interrupted evaluation continues from the answers of its file") func continuing() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let lines = (0..<6).map { index in
            let words = String(repeating: "shoe ", count: 3 * index + 1)
            return
                "{\"goal\": \"Dry a \(words)\", \"sol1\": \"paper\", \"sol2\": \"sand \(index)\", \"label\": 0}\n"
        }
        try lines.joined().write(
            to: folder.appendingPathComponent("piqa_dev.jsonl"), atomically: true, encoding: .utf8)
        let files = TaskFiles(folders: [folder.path])
        let task = try EvaluationTask.named("piqa")
        var options = TaskEvaluation.Options()
        options.scoring.tokensPerPass = 32
        let evaluation = try TaskEvaluation(Tiny.model(), tokenizer: ByteTokenizer(), options: options)
        let whole = try evaluation.evaluate(task, files: files)
        let path = folder.appendingPathComponent("answers.jsonl").path
        func log(_ model: String = "m") throws -> AnswerLog {
            try AnswerLog(
                path: path, identity: evaluation.identity(of: task, model: model, elementType: "float64"))
        }
        let first = try evaluation.evaluate(task, files: files, log: log()) { count, _ in count < 2 }
        #expect(!first.isComplete && first.samples.isEmpty)
        // A line that a crash has cut is left out.
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("{\"doc_id\": 5, \"requ".utf8))
        try handle.close()
        let known = try log()
        #expect(known.knownCount >= 2 && known.knownCount < 6)
        let second = try evaluation.evaluate(task, files: files, log: known)
        #expect(second.isComplete && second.knownCount == known.knownCount)
        #expect(second.cost.tokenCount < whole.cost.tokenCount)
        for (a, b) in zip(second.samples.flatMap(\.answers), whole.samples.flatMap(\.answers)) {
            // Other neighbors in a batch change no more than rounding.
            #expect(abs(a.logLikelihood - b.logLikelihood) < 1e-9 && a.isGreedy == b.isGreedy)
        }
        #expect(try log().knownCount == 6)
        #expect(throws: EvaluationError.self) { _ = try log("other") }
        // A changed document is scored again.
        try (lines.dropLast().joined() + lines[0]).write(
            to: folder.appendingPathComponent("piqa_dev.jsonl"), atomically: true, encoding: .utf8)
        #expect(try evaluation.evaluate(task, files: files, log: log()).knownCount == 5)
        known.remove()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test("Wrong and missing data are refused with place and remedy") func refusals() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        func refusal(_ task: String, _ lines: String, shots: Int = 0) throws -> String {
            let task = try EvaluationTask.named(task)
            let path = folder.appendingPathComponent("\(task.name)_\(task.evaluatedSplit.rawValue).jsonl")
            try lines.write(to: path, atomically: true, encoding: .utf8)
            defer { try? FileManager.default.removeItem(at: path) }
            var options = TaskEvaluation.Options()
            options.shots = shots
            do {
                _ = try PreparedTask(task, files: TaskFiles(folders: [folder.path]), options: options)
                return ""
            } catch {
                return "\(error)"
            }
        }
        let good = #"{"goal": "g", "sol1": "a", "sol2": "b", "label": 1}"#
        let missing = try refusal("piqa", good + "\n" + #"{"goal": "g", "sol1": "a", "label": 1}"#)
        #expect(missing.contains("line 2") && missing.contains("the field 'sol2' is missing"))
        #expect(
            try refusal("piqa", #"{"goal": "g", "sol1": "a", "sol2": "b", "label": 2}"#).contains("choice 2"))
        #expect(try refusal("piqa", "[1]").contains("a list, not a JSON object"))
        #expect(try refusal("piqa", "{\"goal\": \"g\"").contains("not valid JSON at byte"))
        #expect(try refusal("piqa", good, shots: 1).contains("no train file"))
        #expect(try refusal("winogrande", #"{"sentence": "no blank"}"#).contains("no blank '_'"))
        #expect(try refusal("copa", #"{"question": "why"}"#).contains("'cause' or 'effect'"))
        #expect(
            try refusal(
                "wsc273",
                #"{"text": "a", "pronoun": "it", "pronoun_loc": 9, "options": ["x", "y"], "label": 0}"#
            ).contains("outside the text"))
        #expect(
            try refusal(
                "arc_easy",
                #"{"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "B"}"#
            ).contains("no label of a choice"))
        #expect(try refusal("lambada_openai", #"{"text": "one two"}"#, shots: 2).contains("only 1"))
        #expect(throws: EvaluationError.self) { try EvaluationTask.named("glue") }
    }

    private func temporaryFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "eval-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }
}
