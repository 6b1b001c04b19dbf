import Foundation
import RetNetRuntime
import RetNetSampling
import RetNetServing

/// The small models of the tests; `Tests/Fixtures/make` trained them.
public enum Fixture: String, CaseIterable, Sendable {
    /// Retention.
    case story
    /// Retention, Mamba-2 and attention with a cache.
    case hybrid
    /// Embeddings of 64 positions.
    case limited

    /// The folder of all fixtures.
    public static var folder: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures").path
    }

    /// The model's folder.
    public var path: String { Self.folder + "/" + rawValue }

    /// Opens the model.
    public func model() throws -> ServingModel { try ServingModel(path: path) }

    /// The state of the model before the first token.
    public func initialState() throws -> SequenceState {
        let model = try model()
        guard let state = model.languageModel?.initialState() else { throw ServingError.noStates(of: model) }
        return state
    }

    /// Starts an engine with one thread.
    public func engine(
        rows: Int = 16, queue: Int = 64, piece: Int = 64, storeByteLimit: Int = 1 << 24,
        _ change: (inout ServingEngine.Configuration) -> Void = { _ in }
    ) throws -> ServingEngine {
        var configuration = ServingEngine.Configuration()
        configuration.threadCount = 1
        configuration.rowLimit = rows
        configuration.queueLimit = queue
        configuration.pieceLength = piece
        configuration.minimumSnapshotLength = 4
        change(&configuration)
        return try ServingEngine(
            try model(), configuration, store: StateStore(byteLimit: storeByteLimit))
    }
}

/// A text that the LibTorch engine generated.
public struct GoldenText: Decodable, Sendable, CustomStringConvertible {
    /// The name of the model.
    public let model: String
    /// The prompt.
    public let prompt: String
    /// The options of `retnet generate`.
    public let options: [String]
    /// The text.
    public let text: String
    private let end: String

    private enum CodingKeys: String, CodingKey {
        case model, prompt, options, text
        case end = "finish_reason"
    }

    /// The reason why it ended.
    public var finishReason: FinishReason? { FinishReason(rawValue: end) }
    /// The prompt and the options.
    public var description: String { "\(model): '\(prompt)' \(options.joined(separator: " "))" }

    /// All texts.
    public static let all: [GoldenText] = {
        guard let data = FileManager.default.contents(atPath: Fixture.folder + "/golden.json") else {
            return []
        }
        return (try? JSONDecoder().decode([GoldenText].self, from: data)) ?? []
    }()

    /// The options as parameters.
    public var parameters: SamplingParameters {
        var result = SamplingParameters()
        result.maxTokens = 40
        for (name, value) in zip(options, options.dropFirst()) {
            switch name {
            case "--temperature": result.temperature = Double(value) ?? 1
            case "--seed": result.seed = UInt64(value)
            case "--top-k": result.topK = Int(value) ?? 0
            case "--top-p": result.topP = Double(value) ?? 1
            case "--min-p": result.minP = Double(value) ?? 0
            case "--repetition-penalty": result.repetitionPenalty = Double(value) ?? 1
            case "--repetition-window": result.repetitionWindow = Int(value) ?? 1
            case "--stop": result.stopStrings = [value]
            default: break
            }
        }
        return result
    }
}

/// What came of a request.
public struct Outcome: Sendable {
    /// The text of every choice.
    public var texts: [String] = []
    /// The reasons.
    public var reasons: [FinishReason?] = []
    /// The tokens of every choice, if they have log-probabilities.
    public var tokens: [[GeneratedToken]] = []
    /// The prompt.
    public var report: PromptReport?
    /// The state behind the first choice.
    public var snapshot: StateSnapshot?

    /// The text of the first choice.
    public var text: String { texts.first ?? "" }
}

extension ServingEngine {
    /// Carries out a request.
    public func outcome(_ request: ServingRequest) async throws -> Outcome {
        var outcome = Outcome()
        outcome.texts = Array(repeating: "", count: request.choiceCount)
        outcome.reasons = Array(repeating: nil, count: request.choiceCount)
        outcome.tokens = Array(repeating: [], count: request.choiceCount)
        for try await event in try submit(request) {
            switch event {
            case .read(let report): outcome.report = report
            case .text(let choice, let fragment):
                outcome.texts[choice] += fragment.text
                outcome.tokens[choice] += fragment.tokens
            case .end(let choice, let end):
                outcome.texts[choice] += end.fragment.text
                outcome.tokens[choice] += end.fragment.tokens
                outcome.reasons[choice] = end.reason
                outcome.snapshot = outcome.snapshot ?? end.snapshot
            }
        }
        return outcome
    }

    /// Returns a request for greedy text after a prompt.
    public func request(_ prompt: String, maxTokens: Int = 20) -> ServingRequest {
        let (tokens, place) = model.tokens(of: prompt)
        var request = ServingRequest(tokens: tokens, place: place)
        request.sampling = .greedy(maxTokens: maxTokens)
        return request
    }

    /// Returns a request with parameters.
    public func request(_ prompt: String, _ parameters: SamplingParameters) -> ServingRequest {
        var request = request(prompt)
        request.sampling = parameters
        return request
    }

    /// Waits until nothing runs; false after ten seconds.
    public func becomesIdle() async -> Bool {
        for _ in 0..<1000 {
            if status.isIdle { return true }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return false
    }
}

/// Returns text of a length in bytes that looks like what the models learned.
public func storyText(_ count: Int, seed: Int = 0) -> String {
    let animals = ["fox", "hen", "cat", "dog", "owl", "bee"]
    var text = ""
    var index = seed
    while text.utf8.count < count {
        text +=
            "The \(animals[index % 6]) sees the \(animals[(index * 7 + index / 6 + 1) % 6]) on the hill.\n"
        index += 1
    }
    return String(text.prefix(count))
}
