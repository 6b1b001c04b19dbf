import Foundation
import RetNetGeneration
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetText
import RetNetTorch

/// A random model small enough to be built in a moment; its text looks random too.
func tinyModel(
    type: ElementType = .float64, vocabularySize: Int = 256,
    normalization: ScoreNormalization = .decay, seed: UInt64 = 1
) throws -> LanguageModel {
    let configuration = LanguageModelConfiguration(
        vocabularySize: vocabularySize, hiddenSize: 16, layerCount: 2,
        mixer: .retention(
            RetentionConfiguration(headCount: 2, keySize: 8, valueSize: 8, normalization: normalization)),
        feedForward: FeedForwardConfiguration(kind: .gated, innerSize: 24),
        initialization: .normal(standardDeviation: 0.4))
    return try LanguageModel(
        configuration, parameters: ParameterStore(source: .random(seed: seed), elementType: type),
        computeType: type)
}

/// A byte tokenizer without special tokens, so that every token is a byte and nothing is put before prompts.
struct PlainTokenizer: Tokenizer {
    var vocabularySize = 256
    var beginToken: Int32?
    var endToken: Int32?
    var paddingToken: Int32?
    var start: [Int32]?
    var textStart: [Int32] { start ?? beginToken.map { [$0] } ?? [] }
    var identity: String { "plain" }
    func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] { bytes.map { Int32($0) } }
    func bytes(of token: Int32) -> [UInt8] { UInt8(exactly: token).map { [$0] } ?? [] }
    func save(to folder: String) throws {}
}

func session(_ model: LanguageModel, _ options: GenerationOptions = .init()) throws -> GenerationSession {
    try GenerationSession(model: model, tokenizer: PlainTokenizer(), options: options)
}

/// The logits [V] after all tokens of one row, by one parallel pass over the whole.
func wholeLogits(_ model: LanguageModel, _ tokens: [Int32]) throws -> [Double] {
    try withoutGradients {
        let batch = try Tensor.from(tokens.map(Int64.init), [1, tokens.count])
        return try model(batch, form: .parallel, lastOnly: true).logits.doubles()
    }
}

/// Some tokens that do not repeat soon.
func someTokens(_ count: Int, seed: UInt64 = 3, below bound: Int = 256) -> [Int32] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Int32(generator.integer(below: bound)) }
}
