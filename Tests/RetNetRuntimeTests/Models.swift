import Foundation
import RetNetArchitecture
import RetNetCheckpoints
import RetNetLayers
import RetNetModels
import RetNetRuntime
import RetNetTestSupport
import RetNetTorch

/// A small model with random weights in both engines.
struct EnginePair {
    let torch: LanguageModel
    let runtime: RuntimeModel
    let runner: ModelRunner
    private let folder: TemporaryFolder
    var path: String { folder.path("model") }

    init(
        _ configuration: LanguageModelConfiguration, threads: Int = 2, elementType: ElementType = .float32,
        stateType: StateElementType = .float32
    ) throws {
        folder = try TemporaryFolder()
        let path = folder.path("model")
        torch = try Self.model(configuration)
        try ModelFolder.save(torch, tokenizer: nil, to: path, elementType: elementType)
        runtime = try RuntimeModel(path: path, stateType: stateType)
        runner = try ModelRunner(runtime, threads: threads)
    }

    /// Weights that make every part of a model matter: norms near 1, matrices that keep magnitudes, all else around 0.
    static func model(_ configuration: LanguageModelConfiguration, seed: UInt64 = 7) throws -> LanguageModel {
        let generator = try Generator(seed: seed)
        let store = ParameterStore(
            source: .provided { name, shape in
                let isNorm = name.contains("norm.weight")
                let isMatrix = shape.count >= 2
                let deviation = isMatrix ? 1.2 / Double(shape[shape.count - 1]).squareRoot() : 0.3
                let values = try generator.normal(shape, mean: isNorm ? 1 : 0, standardDeviation: deviation)
                return values
            })
        return try LanguageModel(configuration, parameters: store, computeType: .float32)
    }

    /// Tokens that repeat nothing simple.
    static func tokens(_ count: Int, seed: Int = 0, vocabularySize: Int = 19) -> [Int32] {
        (0..<count).map { Int32(($0 * 7 + $0 * $0 * 3 + seed * 5) % vocabularySize) }
    }

    /// Logits of LibTorch for all tokens of one sequence.
    func expected(_ tokens: [Int32], form: MixerForm = .chunkwise(16)) throws -> [Float] {
        let row = try Tensor.from(tokens.map(Int64.init), [1, tokens.count])
        return try withoutGradients { try torch(row, form: form).logits.values(as: Float.self) }
    }

    /// Logits of LibTorch in float64.
    func exact(_ tokens: [Int32]) throws -> [Float] {
        let row = try Tensor.from(tokens.map(Int64.init), [1, tokens.count])
        torch.computeType = .float64
        defer { torch.computeType = .float32 }
        return try withoutGradients {
            try torch(row, form: .chunkwise(128)).logits.to(.float32).values(as: Float.self)
        }
    }

    /// Logits of the runtime for all tokens of one sequence, read in pieces.
    func found(_ tokens: [Int32], pieces: [Int]) throws -> [Float] {
        var states = [runtime.initialState()]
        var result: [Float] = []
        var start = 0
        for length in pieces {
            let logits = try runner.read([Array(tokens[start..<start + length])], &states, logits: .all)
            for row in 0..<length { result += logits.map { Array($0[row]) } ?? [] }
            start += length
        }
        return result
    }

    /// Logits of the runtime, token by token.
    func steps(_ tokens: [Int32]) throws -> [Float] {
        var states = [runtime.initialState()]
        return try tokens.flatMap { token in try Array(runner.step([token], &states)[0]) }
    }
}

/// Returns ‖found - expected‖ / ‖expected‖; infinite for other lengths and values that are not finite.
func relativeError(_ found: [Float], _ expected: [Float]) -> Double {
    guard found.count == expected.count, found.allSatisfy(\.isFinite) else { return .infinity }
    let difference = zip(found, expected).reduce(0.0) { $0 + pow(Double($1.0 - $1.1), 2) }
    let size = expected.reduce(0.0) { $0 + pow(Double($1), 2) }
    return (difference / size).squareRoot()
}

/// A 16-bit type of weights, with the error that its rounding may cause.
enum ElementKind {
    case bfloat16
    case float16

    var element: ElementType { self == .bfloat16 ? .bfloat16 : .float16 }
    var bound: Double { self == .bfloat16 ? 3e-2 : 4e-3 }
}
