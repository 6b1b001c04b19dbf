import Foundation
import RetNetText

/// The token streams of a run.
struct TrainingData {
    let training: TokenStream
    /// Text that is never trained on; nil where there is none.
    let validation: TokenStream?

    /// Reads the text that a configuration names; throws `TextError`, `StorageError` or ``TrainingError``.
    init(_ configuration: DataConfiguration, tokenizer: any Tokenizer, seed: UInt64) throws {
        guard !configuration.paths.isEmpty else { throw TrainingError.noDataPaths }
        let all = try Corpus(paths: configuration.paths, separator: configuration.separator)
            .tokenStream(tokenizer: tokenizer)
        if !configuration.validationPaths.isEmpty {
            training = all
            validation = try Corpus(paths: configuration.validationPaths, separator: configuration.separator)
                .tokenStream(tokenizer: tokenizer)
        } else if configuration.validationFraction > 0 {
            let parts = try all.trainValidationSplit(
                validationFraction: configuration.validationFraction, seed: seed)
            training = parts.train
            // A crumb of text measures nothing.
            validation = parts.validation.tokenCount > 1 ? parts.validation : nil
        } else {
            training = all
            validation = nil
        }
    }

    /// Batches of the training text.
    func source(_ configuration: DataConfiguration, seed: UInt64) throws -> any BatchSource {
        switch configuration.mode {
        case .shuffled:
            return try ShuffledWindows(
                stream: training, rowCount: configuration.batchSize, length: configuration.length, seed: seed)
        case .contiguous:
            return try ContiguousWindows(
                stream: training, rowCount: configuration.batchSize, length: configuration.length, seed: seed,
                cutsAtDocuments: configuration.resetsAtDocuments)
        }
    }

    /// The mean number of bytes that a token of the training text stands for, from its first million tokens.
    func bytesPerToken(_ tokenizer: any Tokenizer) throws -> Double {
        let count = min(training.tokenCount, 1 << 20)
        var bytes = 0
        for start in stride(from: 0, to: count, by: 1 << 16) {
            bytes += tokenizer.byteCount(of: try training.tokens(in: start..<min(start + 1 << 16, count)))
        }
        return count > 0 ? Double(bytes) / Double(count) : 0
    }
}
