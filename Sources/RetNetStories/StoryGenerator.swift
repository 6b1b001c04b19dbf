import RetNetText

/// A generator of short English stories, the same ones for the same seed on every platform.
///
/// Each story states a few facts about several people, things or places, then something else, and then asks
/// for some of the facts, so that a model predicts the answers well only if it keeps the facts in its state.
public struct StoryGenerator: Codable, Hashable, Sendable {
    /// How much the stories differ from each other.
    public let level: StoryLevel
    private var generator: SeededGenerator
    private let fewestFillerSentences: Int
    private let mostFillerSentences: Int

    /// Creates a generator at its first story.
    ///
    /// `fillerSentenceCount` is the number of sentences between facts and questions (before the last questions, where
    /// there are several rounds), which sets the distance of recalls; a sentence has about 45 bytes. By default it is that
    /// of the level. Negative numbers count as 0, and numbers above 100,000 as 100,000.
    public init(
        seed: UInt64, level: StoryLevel = .standard, fillerSentenceCount: ClosedRange<Int>? = nil
    ) {
        self.level = level
        let fillerSentenceCount = fillerSentenceCount ?? level.fillerSentenceCount
        generator = SeededGenerator(seed: seed)
        fewestFillerSentences = min(max(fillerSentenceCount.lowerBound, 0), 100_000)
        mostFillerSentences = min(max(fillerSentenceCount.upperBound, 0), 100_000)
    }

    /// Returns the next story.
    public mutating func story() -> Story {
        let range = fewestFillerSentences...max(fewestFillerSentences, mostFillerSentences)
        let count =
            level.asksForEverything
            ? level.fillerSentenceCount(in: range, generator.unitDouble()) : generator.integer(in: range)
        // A generator of its own, so that no story's length changes the next story.
        var teller = StoryTeller(generator: SeededGenerator(seed: generator.next()))
        teller.tell(level, fillerSentenceCount: count)
        return Story(text: String(decoding: teller.bytes, as: UTF8.self), recalls: teller.recalls)
    }

    /// Returns stories of together at least `byteCount` bytes, and at least one story.
    public mutating func corpus(byteCount: Int) -> StoryCorpus {
        var bytes: [UInt8] = []
        var recalls: [Recall] = []
        var documentRanges: [Range<Int>] = []
        repeat {
            if !bytes.isEmpty { bytes.append(0x0A) }
            let story = story()
            let start = bytes.count
            bytes.append(contentsOf: story.text.utf8)
            documentRanges.append(start..<bytes.count)
            for recall in story.recalls { recalls.append(recall.moved(by: start)) }
            bytes.append(0x0A)
        } while bytes.count < byteCount
        return StoryCorpus(
            text: String(decoding: bytes, as: UTF8.self), recalls: recalls, documentRanges: documentRanges)
    }
}

/// A short story that asks for facts stated earlier in it.
public struct Story: Hashable, Sendable {
    /// The text: ASCII, paragraphs separated by single line ends, none at the end.
    public let text: String
    /// The answers that earlier text determines, in order.
    public let recalls: [Recall]
}

/// An answer in a story that earlier text fully determines.
public struct Recall: Codable, Hashable, Sendable {
    /// The kind of word that an answer consists of.
    public enum Kind: String, Codable, CaseIterable, Hashable, Sendable {
        /// The person who did or has something.
        case person
        /// A thing with its color, or a dish.
        case thing
        /// The place of something.
        case place
        /// The color of something.
        case color = "colour"
        /// An animal.
        case animal
        /// The name of an animal.
        case petName
        /// The trade that somebody wants to learn.
        case trade
    }

    /// The kind of word that the answer consists of.
    public let kind: Kind
    /// Byte range of the answer in the UTF-8 text.
    public let range: Range<Int>
    /// Byte range of the earlier statement of the answer, with equal bytes.
    public let introduction: Range<Int>

    /// Bytes from the start of the statement to the start of the answer.
    public var distance: Int { range.lowerBound - introduction.lowerBound }

    /// Returns the same recall in a text with `byteCount` more bytes before it.
    func moved(by byteCount: Int) -> Recall {
        Recall(
            kind: kind, range: (range.lowerBound + byteCount)..<(range.upperBound + byteCount),
            introduction: (introduction.lowerBound + byteCount)..<(introduction.upperBound + byteCount))
    }
}

/// Many stories in one text, separated by blank lines.
///
/// Stories contain no blank lines themselves, so `DocumentSeparator.blankLines(1)` cuts the text into stories.
public struct StoryCorpus: Hashable, Sendable {
    /// The text of all stories, with a line end after the last.
    public let text: String
    /// The recalls of all stories, with byte ranges in `text`.
    public let recalls: [Recall]
    /// Byte range of each story in the UTF-8 text.
    public let documentRanges: [Range<Int>]

    /// Returns the stories as tokens, one document each; throws `TextError`.
    public func tokenStream(tokenizer: any Tokenizer) throws -> TokenStream {
        var text = text
        return try text.withUTF8 { bytes in
            try TokenStream(
                texts: documentRanges.lazy.map { String(decoding: bytes[$0], as: UTF8.self) },
                tokenizer: tokenizer)
        }
    }
}
