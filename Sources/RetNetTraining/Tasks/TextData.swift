import Foundation
import RetNetSettings
import RetNetText

/// The text of a language model and its batches: `data` in a run's configuration.
public struct TextDataConfiguration: DeclaredSettings, Sendable, Equatable {
    /// The order in which the text is read.
    public enum Mode: String, Sendable, CaseIterable {
        /// Windows in random order, each from an empty state.
        case shuffled
        /// Every batch row reads its part of the text from start to end and carries the state along.
        case contiguous
    }

    /// Files or folders of text, plain, compressed (`.gz`) or token files.
    public var paths: [String] = []
    /// `byte`, the default, `byte-sentinel`, a file or folder of a tokenizer, or a recipe to train one.
    public var tokenizer = ByteTokenizer.kind
    /// Tokens of one window.
    public var length = 512
    /// Windows of one pass.
    public var batchSize = 8
    /// Order in which the text is read.
    public var mode = Mode.shuffled
    /// True if a row's state is cleared where a document begins; matters in contiguous mode.
    public var resetsAtDocuments = true
    /// Separator of the documents in a file.
    public var separator = DocumentSeparator.wholeFile
    /// Text that is never trained on; without any, a part of the training text is held out.
    public var validationPaths: [String] = []
    /// Share of the training text that is held out; 0 holds out none.
    ///
    /// With ten documents or more, whole documents are picked at random, otherwise the end of the text.
    public var validationFraction = 0.01

    /// The defaults, without any text.
    public init() {}

    /// The defaults, without any text.
    public static let standard = TextDataConfiguration()

    /// All settings of `data`.
    public static var declarations: [Setting<Self>] {
        [
            .strings("paths", \.paths, "Text to train on: files or folders, plain, gzip or token files."),
            .string(
                "tokenizer", \.tokenizer,
                "`byte`, `byte-sentinel`, a file or folder of a tokenizer, or `train:bpe:N` or `train:unigram:N` to train"
                    + " one of N tokens on the training text."),
            .int("length", \.length, in: 1...16_777_216, "Tokens of one window."),
            .int("batch_size", \.batchSize, in: 1...1_048_576, "Windows of one pass."),
            .choice(
                "mode", \.mode,
                "`shuffled`: windows in random order, each from an empty state. `contiguous`: every row reads its"
                    + " documents from start to end and carries the state along."),
            .bool(
                "reset_at_documents", \.resetsAtDocuments,
                "In contiguous mode, clears a row's state where a document begins."),
        ] + Setting.heldOutText(\.separator, \.validationPaths, \.validationFraction)
    }

    /// Refuses the objectives of encoder-decoders.
    public func reportContradictions(to reader: SettingsReader) {
        guard reader.has("objective") else { return }
        reader.reportContradiction(
            "objective",
            "a language model always predicts the next token: the states of its mixers run forward only, so no part of"
                + " a text can be read in both directions, as prefix_lm and span_corruption need; train an"
                + " encoder-decoder instead")
    }

    /// The same with absolute paths.
    func withAbsolutePaths() -> TextDataConfiguration {
        var result = self
        result.paths = paths.map(\.absolutePath)
        result.tokenizer = tokenizer.absolutePathOfFile
        result.validationPaths = validationPaths.map(\.absolutePath)
        return result
    }
}

extension Setting {
    /// `document_separator`, `validation_paths` and `validation_fraction`, which all training on text has.
    static func heldOutText(
        _ separator: WritableKeyPath<Root, DocumentSeparator>, _ paths: WritableKeyPath<Root, [String]>,
        _ fraction: WritableKeyPath<Root, Double>
    ) -> [Setting] {
        [
            .parsed(
                "document_separator", separator, values: "'file', 'blank_lines:N' or 'text:SEPARATOR'",
                "Separator of the documents in a file.", parse: { DocumentSeparator($0) },
                text: \.description),
            .strings("validation_paths", paths, "Text that is never trained on."),
            .double(
                "validation_fraction", fraction, in: 0...0.5,
                "Share that is held out without `validation_paths`. With ten documents or more, whole documents at"
                    + " random, otherwise the end of the text."),
        ]
    }
}

extension String {
    /// The path seen from the root of the file system.
    var absolutePath: String { URL(fileURLWithPath: self).path }
    /// The absolute path of an existing file; names that are no files stay as they are.
    var absolutePathOfFile: String { FileManager.default.fileExists(atPath: self) ? absolutePath : self }
}

/// The token streams of a run on text.
struct TextData {
    let training: TokenStream
    /// Text that is never trained on; nil where there is none.
    let validation: TokenStream?

    /// Reads text and holds a part of it out; throws `TextError`, `StorageError` or ``TrainingError``.
    ///
    /// With `countsBytes`, the part is a share of the bytes, so that the training text is the same for all tokenizers.
    init(
        paths: [String], separator: DocumentSeparator, validationPaths: [String], validationFraction: Double,
        tokenizer: any Tokenizer, seed: UInt64, countsBytes: Bool = false
    ) throws {
        guard !paths.isEmpty else { throw TrainingError.noDataPaths }
        let all = try Corpus(paths: paths, separator: separator).tokenStream(tokenizer: tokenizer)
        if !validationPaths.isEmpty {
            training = all
            validation = try Corpus(paths: validationPaths, separator: separator)
                .tokenStream(tokenizer: tokenizer)
        } else if validationFraction > 0 {
            let parts = try all.trainValidationSplit(
                validationFraction: validationFraction, seed: seed, countsBytes: countsBytes)
            training = parts.train
            // A single token has no token to predict.
            validation = parts.validation.tokenCount > 1 ? parts.validation : nil
        } else {
            training = all
            validation = nil
        }
    }

    /// Returns the batches of a language model.
    func source(_ configuration: TextDataConfiguration, seed: UInt64) throws -> any BatchSource {
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

    /// Sentences on token files that do not keep the bytes of their text.
    var warnings: [String] {
        let all = training.byteCountWarnings + (validation?.byteCountWarnings ?? [])
        return all.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
}
