import RetNetSettings
import RetNetText

/// The training text and how batches are cut from it: `data` in a training configuration.
public struct DataConfiguration: Sendable, Equatable {
    /// In which order the text is seen.
    public enum Mode: String, Sendable, CaseIterable {
        /// Windows in random order, each from an empty state.
        case shuffled
        /// Every batch row reads its part of the text from start to end, carrying the state along.
        case contiguous
    }

    /// `paths`: files or folders of text, plain, compressed (`.gz`) or token files.
    public var paths: [String] = []
    /// `tokenizer`: `byte`, the default, `byte-sentinel`, a SentencePiece model file, or a model folder.
    public var tokenizer = ByteTokenizer.kind
    /// `length`: tokens of one window, 512 by default.
    public var length = 512
    /// `batch_size`: windows of one pass, 8 by default.
    public var batchSize = 8
    /// `mode`: shuffled, unless told otherwise, or contiguous.
    public var mode = Mode.shuffled
    /// `reset_at_documents`: in contiguous mode, whether a row's state is cleared where a document begins.
    public var resetsAtDocuments = true
    /// `document_separator`: `file`, the default, `blank_lines:N` or `text:SEPARATOR`.
    public var separator = DocumentSeparator.wholeFile
    /// `validation_paths`: text that is never trained on.
    ///
    /// Without any, a part of the training text is kept apart.
    public var validationPaths: [String] = []
    /// `validation_fraction`: the share of the training text that is kept apart, 0.01 by default; 0 keeps none.
    ///
    /// With ten documents or more, whole documents are picked at random, otherwise the end of the text.
    public var validationFraction = 0.01

    /// No text yet; the defaults otherwise.
    public init() {}

    /// Reads the settings, keeping present values where none are given.
    init(_ reader: SettingsReader?, defaults: DataConfiguration = .init()) {
        self = defaults
        guard let reader else { return }
        if reader.has("objective") {
            reader.reportContradiction(
                "objective",
                "a language model always learns the next token: what mixers carry along runs forward only, so no part"
                    + " of a text can be read in both directions, as prefix_lm and span_corruption need. Train an"
                    + " encoder-decoder instead (retnet t5 train)")
        }
        paths = reader.strings("paths", default: paths)
        tokenizer = reader.string("tokenizer", default: tokenizer)
        length = reader.int("length", in: 1...16_777_216, default: length)
        batchSize = reader.int("batch_size", in: 1...1_048_576, default: batchSize)
        mode = reader.enumeration("mode", default: mode)
        resetsAtDocuments = reader.bool("reset_at_documents", default: resetsAtDocuments)
        validationPaths = reader.strings("validation_paths", default: validationPaths)
        validationFraction = reader.double(
            "validation_fraction", in: 0...0.5, default: validationFraction)
        if let text = reader.optionalString("document_separator") {
            if let separator = Self.separator(parsing: text) {
                self.separator = separator
            } else {
                reader.report("document_separator", allowed: "'file', 'blank_lines:N' or 'text:SEPARATOR'")
            }
        }
    }

    /// The settings as they are written to files.
    public var settings: SettingsTree {
        [
            "paths": .array(paths.map { .string($0) }), "tokenizer": .string(tokenizer),
            "length": .int(length),
            "batch_size": .int(batchSize),
            "mode": .string(mode.rawValue), "reset_at_documents": .bool(resetsAtDocuments),
            "document_separator": .string(Self.text(of: separator)),
            "validation_paths": .array(validationPaths.map { .string($0) }),
            "validation_fraction": .double(validationFraction),
        ]
    }

    static func separator(parsing text: String) -> DocumentSeparator? {
        if text == "file" { return .wholeFile }
        if text.hasPrefix("text:"), text.utf8.count > 5 { return .text(String(text.dropFirst(5))) }
        guard text.hasPrefix("blank_lines:"), let count = Int(text.dropFirst(12)), count > 0 else {
            return nil
        }
        return .blankLines(count)
    }

    static func text(of separator: DocumentSeparator) -> String {
        switch separator {
        case .wholeFile: "file"
        case .text(let text): "text:" + text
        case .blankLines(let count): "blank_lines:\(count)"
        }
    }
}
