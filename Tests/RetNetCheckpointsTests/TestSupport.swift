import Foundation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTorch

/// A model small enough to be built in a moment.
func tinyConfiguration(
    tied: Bool = false, normalization: ScoreNormalization = .decay
) -> LanguageModelConfiguration {
    LanguageModelConfiguration(
        vocabularySize: 256, hiddenSize: 8, layerCount: 2,
        mixer: .retention(
            RetentionConfiguration(headCount: 2, keySize: 4, valueSize: 6, normalization: normalization)),
        feedForward: FeedForwardConfiguration(kind: .gated, innerSize: 12), tiedOutput: tied)
}

func tinyModel(
    tied: Bool = false, normalization: ScoreNormalization = .decay, type: ElementType = .float32,
    seed: UInt64 = 1
) throws -> LanguageModel {
    try LanguageModel(
        tinyConfiguration(tied: tied, normalization: normalization),
        parameters: ParameterStore(source: .random(seed: seed), elementType: type), computeType: type)
}

/// Logits of a few tokens in float64.
func logits(_ model: LanguageModel) throws -> [Double] {
    let tokens = try Tensor.from([Int64(1), 2, 3, 250], [1, 4])
    return try withoutGradients { try model(tokens, form: .parallel).logits.doubles() }
}

func readBytes(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Writes a new file in the place of an old one: file systems write a file that is emptied first to the disk at once.
func writeBytes(_ bytes: [UInt8], to path: String) throws {
    try? FileManager.default.removeItem(atPath: path)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}
