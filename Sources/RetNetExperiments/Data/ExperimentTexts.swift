import Foundation
import RetNetStorage
import RetNetText

/// The texts of an experiment, as bytes: what models learn from, and what they are measured on.
public struct ExperimentTexts {
    /// What models learn from.
    public let training: TokenStream
    /// Held-out text of the same kind.
    public let validation: TokenStream
    /// Texts of other kinds, by name.
    public let domains: [(name: String, stream: TokenStream)]
    /// Where the texts come from, in a sentence for reports.
    public let origin: String
    /// A folder with `glue`, `superglue`, `eval` and `qa` to fine-tune on; nil for none.
    public let taskFolder: String?

    /// Given texts.
    public init(
        training: TokenStream, validation: TokenStream, domains: [(name: String, stream: TokenStream)],
        origin: String, taskFolder: String? = nil
    ) {
        self.training = training
        self.validation = validation
        self.domains = domains
        self.origin = origin
        self.taskFolder = taskFolder
    }

    /// What tells these texts from others.
    public var fingerprint: String {
        ([training, validation] + domains.map(\.stream)).map { String($0.fingerprint, radix: 16) }
            .joined(separator: " ")
    }

    /// Text files and folders; without validation text, a tenth of the training text is held out.
    public static func files(
        training: [String], validation: [String], domains: [(name: String, path: String)]
    ) throws -> ExperimentTexts {
        let names = domains.map(\.name)
        if let name = names.first(where: { name in names.count { $0 == name } > 1 }) {
            throw ExperimentError.unusable("two domains have the name '\(name)'")
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
            origin: "Texts given on the command line, as bytes"
                + (validation.isEmpty ? ", a tenth of the training text held out." : "."))
    }

    /// A sentence in the place of texts, for experiments that read none.
    public static func none() throws -> ExperimentTexts {
        let stream = try TokenStream(texts: ["Nothing is read."], tokenizer: ByteTokenizer())
        return ExperimentTexts(training: stream, validation: stream, domains: [], origin: "No text is read.")
    }

    /// Made-up stories, which every installation can write: the fallback without any text.
    ///
    /// The domains are stories of other lengths and with more between what is told and what is asked.
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
            origin:
                "No text was given, so all text is made up by this package's generator of stories, as bytes:"
                + " it is far easier than real text, and the domains are shorter and longer stories.")
    }
}
