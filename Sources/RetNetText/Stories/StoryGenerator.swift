/// Writes small English stories, the same ones for the same seed on every platform.
///
/// Each story tells a few facts about several people, things or places, then something else, and then asks
/// for some of the facts, so that a model can only continue well if it remembers. The stories serve as
/// training text where no other is at hand.
public struct StoryGenerator: Codable, Hashable, Sendable {
    private var generator: SeededGenerator
    private let fewestFillerSentences: Int
    private let mostFillerSentences: Int

    /// Creates a generator at its first story.
    ///
    /// `fillerSentenceCount` says how many sentences lie between facts and questions, and with that how far
    /// back a model must remember; a sentence has about 45 bytes. Negative numbers count as 0, and numbers
    /// above 100,000 as 100,000.
    public init(seed: UInt64, fillerSentenceCount: ClosedRange<Int> = 2...7) {
        generator = SeededGenerator(seed: seed)
        fewestFillerSentences = min(max(fillerSentenceCount.lowerBound, 0), 100_000)
        mostFillerSentences = min(max(fillerSentenceCount.upperBound, 0), 100_000)
    }

    /// Writes the next story.
    public mutating func story() -> Story {
        let count = generator.integer(
            in: fewestFillerSentences...max(fewestFillerSentences, mostFillerSentences))
        // A generator of its own, so that no story's length changes the next story.
        var teller = StoryTeller(generator: SeededGenerator(seed: generator.next()))
        teller.tell(fillerSentenceCount: count)
        return Story(text: String(decoding: teller.bytes, as: UTF8.self), recalls: teller.recalls)
    }

    /// Writes stories until they have at least `byteCount` bytes, and at least one story.
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
