import RetNetSampling
import RetNetText

/// The choice of one text's tokens and the text they make.
struct RowDecoder {
    private let model: ServingModel
    private let request: ServingRequest
    private let endTokens: Set<Int32>
    private var sampler: Sampler
    private var stream: StreamingText
    private var recent: [Int32]
    private var counts: [Int32: Int] = [:]
    /// Tokens whose text is held back, because it may become a stop string.
    private var held: [GeneratedToken] = []
    private var characterCount = 0
    private var releasedCount = 0
    /// The place in the text behind all tokens.
    private(set) var place: TextPlace
    private(set) var tokenCount = 0
    private(set) var totalLogProbability = 0.0
    /// The token that was chosen last, which the model has not read.
    private(set) var pending: Int32?
    /// The reason why the text ended, once it has.
    private(set) var end: FinishReason?

    init(_ model: ServingModel, _ request: ServingRequest, history: [Int32], choice: Int) {
        self.model = model
        self.request = request
        let parameters = request.sampling
        endTokens = model.endTokens(parameters)
        sampler = Sampler(
            parameters, generator: SeededGenerator(seed: (parameters.seed ?? 0) &+ UInt64(choice)))
        stream = StreamingText(stopStrings: parameters.stopStrings)
        recent = Array(history.suffix(SamplingParameters.maximumRepetitionWindow))
        place = request.place
        if parameters.maxTokens == 0 { end = .length }
    }

    /// Chooses the next token from logits and returns the text that is now certain; nil if they are not finite.
    mutating func advance(_ logits: UnsafeBufferPointer<Float>) -> TextFragment? {
        // The rows behind a tokenizer's tokens count in an encoder-decoder, as in Transformers.
        let size = model.isEncoderDecoder ? logits.count : min(model.tokenizer.vocabularySize, logits.count)
        let usable = UnsafeBufferPointer(rebasing: logits.prefix(size))
        guard request.topCount != nil || !request.adjustments.isEmpty else {
            return sampler.choose(usable, recent: recent[...]).map { take($0.token, nil) }
        }
        var values = usable.map(Double.init)
        if !request.adjustments.isEmpty { request.adjustments.apply(to: &values, counts: counts) }
        guard let choice = sampler.choose(values, recent: recent[...]) else { return nil }
        let score = request.topCount.map {
            TokenScore(choice.token, logits.lazy.map(Double.init), topCount: $0)
        }
        return take(choice.token, score)
    }

    /// Ends the text from outside; returns what was held back.
    mutating func finish(_ reason: FinishReason) -> TextFragment {
        end = reason
        defer { held = [] }
        // Tokens behind a stop string are not part of the text.
        return TextFragment(
            text: stream.finish(), tokens: reason == .stop ? [] : held, tokenCount: tokenCount)
    }

    private mutating func take(_ token: Int32, _ score: TokenScore?) -> TextFragment {
        tokenCount += 1
        pending = token
        recent.append(token)
        let limit = SamplingParameters.maximumRepetitionWindow
        // Twice the limit before anything moves, so that the cost per token does not grow with the text.
        if recent.count > 2 * limit { recent.removeFirst(recent.count - limit) }
        if !request.adjustments.isEmpty { counts[token, default: 0] += 1 }
        totalLogProbability += score?.logProbability ?? 0
        let bytes = model.tokenizer.bytes(of: token, at: &place)
        if endTokens.contains(token) {
            place = .beginning
            return finish(.endToken)
        }
        if let score { held.append(GeneratedToken(score: score, offset: characterCount)) }
        characterCount += bytes.count { $0 & 0xC0 != 0x80 }
        var fragment = TextFragment(text: stream.append(bytes), tokenCount: tokenCount)
        releasedCount += fragment.text.unicodeScalars.count
        // A token is handed out with the first of its characters; what a stop string cuts off is not.
        let count = held.prefix { $0.offset < releasedCount }.count
        fragment.tokens = Array(held.prefix(count))
        held.removeFirst(count)
        guard stream.stopString != nil || tokenCount >= request.sampling.maxTokens else { return fragment }
        let rest = finish(stream.stopString != nil ? .stop : .length)
        fragment.text += rest.text
        fragment.tokens += rest.tokens
        return fragment
    }
}
