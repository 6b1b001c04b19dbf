import RetNetRuntime
import RetNetSampling

/// A prompt that is read piece by piece.
///
/// That of an encoder-decoder is a source, which goes through the encoder first; the decoder then reads its start token.
final class PromptReader {
    let job: EngineJob
    /// What is on its way through the encoder; nil when it is through, and for language models.
    private(set) var source: SourceReading?
    /// The state after the tokens read; nil while a pass has it, because a second holder would make the pass copy it.
    var state: SequenceState?
    /// All tokens read so far, those before the request included; nil if they are not known.
    private(set) var history: [Int32]?
    private(set) var scores: [TokenScore] = []
    private let rest: [Int32]
    private let first: Int
    private let sourceCount: Int?
    private var index = 0
    private var end = 0
    private var points: [Int] = []
    /// Those of the points that are the ends of something.
    private var places: Set<Int> = []

    init(_ job: EngineJob, _ state: SequenceState, history: [Int32]?, rest: [Int32]) {
        self.job = job
        self.state = state
        self.history = history
        self.rest = rest
        first = state.tokenCount
        sourceCount = nil
        if job.request.scoresPrompt, let token = rest.first {
            let logits = job.request.start?.logits
            scores.append(
                logits.map { TokenScore(token, $0.map(Double.init), topCount: job.request.topCount ?? 0) }
                    ?? TokenScore(unpredicted: token))
        }
    }

    init(_ job: EngineJob, _ source: SourceReading, startToken: Int32) {
        self.job = job
        self.source = source
        rest = [startToken]
        first = 0
        sourceCount = source.tokens.count
    }

    /// Number of tokens of the whole prompt.
    var tokenCount: Int { sourceCount ?? first + rest.count }
    /// Number of tokens that this request read.
    var readCount: Int { sourceCount ?? rest.count }
    /// Bytes of the state, or of what is kept on the way through the encoder.
    var byteCount: Int { source?.byteCount ?? state?.byteCount ?? 0 }
    var isDone: Bool { index == rest.count }
    /// True if the piece that is being read is the last.
    var endsWithPiece: Bool { end == rest.count }
    /// True if the state after the tokens read shall be kept.
    var isAtSnapshot: Bool { points.contains(first + index) }
    /// True if that state is only one of many on the way, which others go before.
    var isOnTheWay: Bool { !places.contains(first + index) }
    /// The last tokens, for penalties.
    var recent: [Int32] { history ?? rest }

    /// Plans to keep states every so many tokens, and in front of places at which prompts may part.
    ///
    /// All of them are behind multiples of 64 tokens, where a cut does not change a bit.
    func planSnapshots(every interval: Int, places: [Int]) {
        let unit = PrefixHashes.blockLength
        self.places = Set(places.map { $0 / unit * unit })
        points = self.places.union(stride(from: interval, to: tokenCount, by: interval))
            .filter { $0 > first && $0 < tokenCount }.sorted()
    }

    /// Returns the next tokens to read, at most so many; none if the next cut is farther away.
    ///
    /// Pieces end at multiples of 64 tokens of the whole sequence, wherever the reading began, or with the prompt.
    func nextPiece(_ limit: Int) -> [Int32] {
        guard source == nil else { return [] }
        let place = first + index
        let unit = PrefixHashes.blockLength
        end = min(rest.count, index + limit)
        if end < rest.count { end = max(index, (place + limit) / unit * unit - first) }
        if let point = points.first(where: { $0 > place }), point - first < end { end = point - first }
        return Array(rest[index..<end])
    }

    func takeState() -> SequenceState? {
        defer { state = nil }
        return state
    }

    /// Goes on to the decoder if the source is through the encoder.
    func takeSource() {
        guard let state = source?.state else { return }
        self.state = state
        source = nil
    }

    /// Moves behind the piece.
    func advance() {
        history?.append(contentsOf: rest[index..<end])
        index = end
    }

    /// Scores the tokens that the rows of the piece predict.
    func score(_ logits: Logits, from first: Int, topCount: Int) {
        for place in index..<end where place + 1 < rest.count {
            let row = logits[first + place - index]
            scores.append(TokenScore(rest[place + 1], row.lazy.map(Double.init), topCount: topCount))
        }
    }
}

/// A prompt that was read, of which texts are still to begin.
final class ReadPrompt {
    let job: EngineJob
    let logits: [Float]
    let history: [Int32]?
    let recent: [Int32]
    /// The next choice to begin.
    var next = 0
    private var state: SequenceState?

    init(_ job: EngineJob, _ state: SequenceState, _ logits: [Float], history: [Int32]?, recent: [Int32]) {
        self.job = job
        self.state = state
        self.logits = logits
        self.history = history
        self.recent = recent
    }

    /// Returns the state; the last choice takes it, the others get copies.
    func takeState() -> SequenceState? {
        defer { if next == job.request.choiceCount { state = nil } }
        return state
    }
}

/// A text that is being generated.
final class EngineRow {
    let job: EngineJob
    let choice: Int
    var decoder: RowDecoder
    /// The tokens read; nil if they are not known.
    var history: [Int32]?
    /// The state after the tokens read; nil while a pass has it.
    var state: SequenceState?
    /// The logits after the tokens read, if no token was chosen from them.
    var logits: [Float]?
    var lastToken: ContinuousClock.Instant?

    init(
        _ job: EngineJob, choice: Int, _ state: SequenceState, _ decoder: RowDecoder, history: [Int32]?
    ) {
        self.job = job
        self.choice = choice
        self.state = state
        self.decoder = decoder
        self.history = history
    }

    func takeState() -> SequenceState? {
        defer { state = nil }
        return state
    }
}
