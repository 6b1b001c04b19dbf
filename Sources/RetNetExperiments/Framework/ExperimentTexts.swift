import Foundation
import RetNetStorage
import RetNetStories
import RetNetText

/// The texts of an experiment as bytes or as tokens of a tokenizer of its own, for training and for scoring.
public struct ExperimentTexts {
    /// The training text.
    public let training: TokenStream
    /// Held-out text from the same sources.
    public let validation: TokenStream
    /// Texts of other domains by name.
    public let domains: [(name: String, stream: TokenStream)]
    /// The origin of the texts, in sentences for reports.
    public var origin: String { source + (unit == "bytes" ? " All text is read as bytes." : "") }
    private let source: String
    /// What a token is, for reports: `bytes` or `tokens`.
    public let unit: String
    /// A folder with the fine-tuning tasks `glue`, `superglue`, `eval` and `qa`; nil for none.
    public let taskFolder: String?

    /// Creates texts from their parts.
    public init(
        training: TokenStream, validation: TokenStream, domains: [(name: String, stream: TokenStream)],
        origin: String, unit: String = "bytes", taskFolder: String? = nil
    ) {
        self.training = training
        self.validation = validation
        self.domains = domains
        source = origin
        self.unit = unit
        self.taskFolder = taskFolder
    }

    /// Checksums that identify the texts.
    public var fingerprint: String {
        ([training, validation] + domains.map(\.stream)).map { String($0.fingerprint, radix: 16) }
            .joined(separator: " ")
    }

    /// Reads text files and folders; without validation text, a tenth of the training text is held out.
    public static func files(
        training: [String], validation: [String], domains: [(name: String, path: String)]
    ) throws -> ExperimentTexts {
        let names = domains.map(\.name)
        if let name = names.first(where: { name in names.count { $0 == name } > 1 }) {
            throw ExperimentError.unusable("two domains have the name '\(name)': rename one of them")
        }
        let tokenizer = ByteTokenizer()
        var train = try Corpus(paths: training).tokenStream(tokenizer: tokenizer)
        let held: TokenStream
        if validation.isEmpty {
            (train, held) = try train.trainValidationSplit(validationFraction: 0.1)
        } else {
            held = try Corpus(paths: validation).tokenStream(tokenizer: tokenizer)
        }
        return ExperimentTexts(
            training: train, validation: held,
            domains: try domains.map {
                ($0.name, try Corpus(path: $0.path).tokenStream(tokenizer: tokenizer))
            },
            origin: "Texts chosen by the user"
                + (validation.isEmpty ? ", a tenth of the training text held out." : "."))
    }

    /// Returns a placeholder for experiments that read no text.
    public static func none() throws -> ExperimentTexts {
        let stream = try TokenStream(texts: ["Nothing is read."], tokenizer: ByteTokenizer())
        return ExperimentTexts(training: stream, validation: stream, domains: [], origin: "No text is read.")
    }

    /// Returns generated stories, the default without any text.
    ///
    /// The domains are shorter and longer stories, with fewer and more sentences between a fact and its question.
    public static func stories(byteCount: Int = 4_000_000) throws -> ExperimentTexts {
        func stream(seed: UInt64, bytes: Int, filler: ClosedRange<Int>? = nil) throws -> TokenStream {
            var generator =
                filler.map { StoryGenerator(seed: seed, fillerSentenceCount: $0) }
                ?? StoryGenerator(seed: seed)
            return try generator.corpus(byteCount: bytes).tokenStream(tokenizer: ByteTokenizer())
        }
        return ExperimentTexts(
            training: try stream(seed: 1, bytes: byteCount),
            validation: try stream(seed: 1_000_003, bytes: 60_000),
            domains: [
                ("short stories", try stream(seed: 2_000_003, bytes: 60_000, filler: 0...1)),
                ("long stories", try stream(seed: 3_000_017, bytes: 60_000, filler: 12...20)),
            ],
            origin: "No text was given, so all text comes from this package's story generator:"
                + " it is far easier than real text, and the domains are shorter and longer stories.")
    }
}

// MARK: Tokens

extension ExperimentTexts {
    /// Returns the texts as tokens of a tokenizer that is trained on the training text; throws `TextError`.
    public func encoded(with recipe: TokenizerRecipe) throws -> ExperimentTexts {
        let trainer = try TokenizerTrainer(recipe)
        try trainer.read(training)
        let tokenizer = try trainer.tokenizer().with(.text)
        func encode(_ stream: TokenStream) throws -> TokenStream {
            // One document at a time as text.
            try TokenStream(
                texts: (0..<stream.documentCount).lazy.map { index in
                    let tokens = (try? stream.range(ofDocument: index)).flatMap { try? stream.tokens(in: $0) }
                    return ByteTokenizer().decode(tokens ?? [])
                }, tokenizer: tokenizer)
        }
        return ExperimentTexts(
            training: try encode(training), validation: try encode(validation),
            domains: try domains.map { ($0.name, try encode($0.stream)) },
            origin: source + " Tokens are those of '\(recipe)', trained on the training text"
                + " (\(tokenizer.vocabularySize) tokens); scores are per byte of text.",
            unit: "tokens", taskFolder: taskFolder)
    }
}

/// A folder of corpora: WikiText-2 and novels for training; held-out novels, meetings, reports and scripts for scoring.
///
///     lm/wikitext-2/{train.txt.gz, valid.txt}     lm/novels/{train, valid, test}/*.txt.gz
///     long/{qmsum_test.jsonl.gz, govreport_leval.jsonl, summscreen_leval.jsonl}
///
/// The folder may also contain `glue`, `superglue`, `eval` and `qa`, the fine-tuning tasks of the recipes with T5.
///
/// The domains follow the out-of-domain texts of RetNet's Tables 5 and 6; the test novels replace PG22.
public struct CorporaFolder {
    private let folder: String

    /// Creates a reference to a folder without reading it.
    public init(_ folder: String) { self.folder = folder }

    /// Folders of text files in it, as far as they exist.
    public var textFolders: [String] {
        ["train", "valid", "test"].map { "\(folder)/lm/novels/\($0)" }
    }

    /// Reads the texts of a scale: a part of the training text for `tiny`, and a limited number of bytes of each test text.
    public func texts(scale: ExperimentScale) throws -> ExperimentTexts {
        let trainingLimit = scale == .tiny ? 24_000_000 : Int.max
        let testLimit = scale == .tiny ? 60_000 : 1_000_000
        let novels = try files("lm/novels/train")
        var documents = [try text("lm/wikitext-2/train.txt.gz")]
        var byteCount = documents[0].utf8.count
        for path in novels where byteCount < trainingLimit {
            documents.append(try Self.read(path))
            byteCount += documents[documents.count - 1].utf8.count
        }
        let validation =
            [try text("lm/wikitext-2/valid.txt")] + (try files("lm/novels/valid").map { try Self.read($0) })
        return ExperimentTexts(
            training: try stream(documents, limit: trainingLimit),
            validation: try stream(validation, limit: testLimit),
            domains: [
                (
                    "novels",
                    try stream(try files("lm/novels/test").map { try Self.read($0) }, limit: testLimit)
                ),
                ("QMSum", try stream(try meetings(), limit: testLimit)),
                ("GovReport", try stream(try inputs("long/govreport_leval.jsonl"), limit: testLimit)),
                ("SummScreen", try stream(try inputs("long/summscreen_leval.jsonl"), limit: testLimit)),
            ],
            origin:
                "Training text: WikiText-2 and \(documents.count - 1) novels. In domain: held-out parts of both. Out of"
                + " domain: six other novels, QMSum, GovReport and SummScreen.",
            taskFolder: folder)
    }

    /// Returns documents as bytes; each contributes an equal share of the limit.
    private func stream(_ documents: [String], limit: Int) throws -> TokenStream {
        let share = limit == Int.max ? Int.max : max(1, limit / documents.count)
        return try TokenStream(
            texts: documents.map { document in
                document.utf8.count <= share
                    ? document : String(decoding: document.utf8.prefix(share), as: UTF8.self)
            }, tokenizer: ByteTokenizer())
    }

    private func files(_ name: String) throws -> [String] {
        try Corpus(path: "\(folder)/\(name)").files.map(\.path)
    }

    private func text(_ name: String) throws -> String { try Self.read("\(folder)/\(name)") }

    private func meetings() throws -> [String] {
        try records("long/qmsum_test.jsonl.gz", needing: "'meeting_transcripts' of 'speaker' and 'content'") {
            guard let turns = $0["meeting_transcripts"] as? [[String: Any]], !turns.isEmpty else {
                return nil
            }
            let lines = turns.compactMap { turn -> String? in
                guard let speaker = turn["speaker"] as? String, let content = turn["content"] as? String
                else { return nil }
                return "\(speaker): \(content)"
            }
            return lines.count == turns.count ? lines.joined(separator: "\n") : nil
        }
    }

    private func inputs(_ name: String) throws -> [String] {
        // Several questions have the same text.
        let texts = try records(name, needing: "a text 'input'") { $0["input"] as? String }
        var seen: Set<ExactString> = []
        return texts.filter { seen.insert(ExactString($0)).inserted }
    }

    /// Returns what `read` makes of the objects of a file, one on each line; none may be without the fields it needs.
    private func records(
        _ name: String, needing fields: String, _ read: ([String: Any]) -> String?
    ) throws -> [String] {
        let path = "\(folder)/\(name)"
        var texts: [String] = []
        do {
            try TextLines.read(path) { line, number in
                guard let object = try? JSONSerialization.jsonObject(with: line) as? [String: Any] else {
                    throw ExperimentError.unusable(
                        "line \(number) of '\(path)' is not a JSON object: expected one object per line")
                }
                guard let text = read(object) else {
                    throw ExperimentError.unusable(
                        "line \(number) of '\(path)' has no \(fields): get the file again")
                }
                texts.append(text)
            }
        } catch let fault as TextLines.TooLong {
            throw ExperimentError.unusable("cannot read '\(path)', line \(fault.line): \(fault.reason)")
        }
        return texts
    }

    private static func read(_ path: String) throws -> String {
        var bytes: [UInt8] = []
        if try Gzip.isGzip(file: path) {
            try Gzip.decompress(file: path) { bytes.append(contentsOf: $0) }
        } else {
            try MappedFile(path: path).withUnsafeBytes { bytes = Array($0) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
