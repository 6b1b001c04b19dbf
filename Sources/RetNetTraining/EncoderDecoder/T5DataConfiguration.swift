import Foundation
import RetNetSettings
import RetNetText

/// What a T5 learns from and how rows are made of it: `data` in a T5's training configuration.
///
/// Either text with an objective, or text-to-text tasks.
public struct T5DataConfiguration: Sendable, Equatable {
    /// How pieces of text become examples.
    public enum Objective: String, Sendable, CaseIterable {
        /// Random spans become sentinels, and the target says what stood there.
        case spanCorruption = "span_corruption"
        /// The source is a piece up to a random place, the target the rest of it.
        case prefixLanguageModel = "prefix_lm"
        /// The target is the piece, and the source is empty.
        case languageModel = "lm"
    }

    /// `objective`: span corruption, unless told otherwise.
    public var objective = Objective.spanCorruption
    /// `noise_density` of span corruption: the share of tokens that are cut out, 0.15.
    public var noiseDensity = 0.15
    /// `mean_span_length` of span corruption: tokens of one span, 3.
    public var meanSpanLength = 3.0
    /// `paths`: files or folders of text, plain, compressed (`.gz`) or token files.
    public var paths: [String] = []
    /// `document_separator`: `file`, the default, `blank_lines:N` or `text:SEPARATOR`.
    public var separator = DocumentSeparator.wholeFile
    /// `validation_paths`: text that is never trained on.
    public var validationPaths: [String] = []
    /// `validation_fraction`: the share of the text that is kept apart where there is none, 0.01.
    public var validationFraction = 0.01

    /// `tasks`: text-to-text tasks to learn instead of text.
    public var tasks: [T5TaskConfiguration] = []
    /// `size_limit` of tasks: larger ones are drawn as if they had so many examples; nil for no limit.
    public var sizeLimit: Int?
    /// `temperature` of tasks: 1 draws by size, higher values bring the shares closer to each other.
    public var temperature = 1.0
    /// `packing` of tasks: whether a row holds as many examples as fit into it.
    public var isPacked = true
    /// `target_length` of tasks: target tokens of a row, 64; with text it follows from the input length.
    public var targetLength = 64

    /// `tokenizer`: `byte`, `byte-sentinel`, a SentencePiece model file, or a model folder; nil for that of the
    /// initial model, or bytes with sentinels.
    public var tokenizer: String?
    /// `input_length`: source tokens of a row, 512.
    public var inputLength = 512
    /// `batch_size`: rows of one pass, 8.
    public var batchSize = 8

    /// No data yet; the defaults otherwise.
    public init() {}

    /// Whether tasks are learned, and not text.
    public var learnsTasks: Bool { !tasks.isEmpty }

    /// Reads the settings; those of text are refused beside tasks, and the other way round.
    init(_ reader: SettingsReader?) {
        guard let reader else { return }
        tasks = reader.objects("tasks").map(T5TaskConfiguration.init)
        tokenizer = reader.optionalString("tokenizer")
        inputLength = reader.int("input_length", in: 3...1 << 20, default: inputLength)
        batchSize = reader.int("batch_size", in: 1...1 << 20, default: batchSize)
        let ofTasks = ["size_limit", "temperature", "packing", "target_length"]
        let ofSpans = ["noise_density", "mean_span_length"]
        let ofText = [
            "objective", "paths", "document_separator", "validation_paths", "validation_fraction",
        ]
        func refuse(_ keys: [String], _ reason: String) {
            for key in keys where reader.has(key) { reader.reportContradiction(key, reason) }
        }
        if learnsTasks {
            refuse(ofText + ofSpans, "it is for text; with data.tasks the tasks say what is learned")
            sizeLimit = reader.optionalInt("size_limit", in: 1...Int.max)
            temperature = reader.double("temperature", in: 0.01...1e6, default: temperature)
            isPacked = reader.bool("packing", default: isPacked)
            targetLength = reader.int("target_length", in: 1...1 << 20, default: targetLength)
            return
        }
        refuse(ofTasks, "it is for data.tasks, of which there are none")
        objective = reader.enumeration("objective", default: objective)
        if objective == .spanCorruption {
            noiseDensity = reader.double("noise_density", in: 0.001...0.999, default: noiseDensity)
            meanSpanLength = reader.double("mean_span_length", in: 1...1e6, default: meanSpanLength)
        } else {
            refuse(ofSpans, "the objective '\(objective.rawValue)' cuts no spans out")
        }
        paths = reader.strings("paths", default: paths)
        validationPaths = reader.strings("validation_paths", default: validationPaths)
        validationFraction = reader.double(
            "validation_fraction", in: 0...0.5, default: validationFraction)
        guard let text = reader.optionalString("document_separator") else { return }
        if let separator = DataConfiguration.separator(parsing: text) {
            self.separator = separator
        } else {
            reader.report("document_separator", allowed: "'file', 'blank_lines:N' or 'text:SEPARATOR'")
        }
    }

    /// The settings as they are written to files: those that count.
    public var settings: SettingsTree {
        var object: SettingsObject = ["input_length": .int(inputLength), "batch_size": .int(batchSize)]
        if let tokenizer { object["tokenizer"] = .string(tokenizer) }
        if learnsTasks {
            object["tasks"] = .array(tasks.map(\.settings))
            if let sizeLimit { object["size_limit"] = .int(sizeLimit) }
            object["temperature"] = .double(temperature)
            object["packing"] = .bool(isPacked)
            object["target_length"] = .int(targetLength)
            return .object(object)
        }
        object["objective"] = .string(objective.rawValue)
        if objective == .spanCorruption {
            object["noise_density"] = .double(noiseDensity)
            object["mean_span_length"] = .double(meanSpanLength)
        }
        object["paths"] = .array(paths.map { .string($0) })
        object["document_separator"] = .string(DataConfiguration.text(of: separator))
        object["validation_paths"] = .array(validationPaths.map { .string($0) })
        object["validation_fraction"] = .double(validationFraction)
        return .object(object)
    }

    /// The same with absolute paths.
    func withAbsolutePaths() -> T5DataConfiguration {
        func absolute(_ path: String) -> String { URL(fileURLWithPath: path).path }
        var result = self
        result.paths = paths.map(absolute)
        if let tokenizer, FileManager.default.fileExists(atPath: tokenizer) {
            result.tokenizer = absolute(tokenizer)
        }
        result.validationPaths = validationPaths.map(absolute)
        for index in tasks.indices {
            result.tasks[index].path = absolute(tasks[index].path)
            result.tasks[index].validationPath = tasks[index].validationPath.map(absolute)
        }
        return result
    }
}
