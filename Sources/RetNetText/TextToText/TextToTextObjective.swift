/// The training objective of an encoder-decoder: the conversion of running text into source and target.
public enum TextToTextObjective: Sendable, Hashable {
    /// Sentinels replace random spans in the source, and the target contains the spans: T5's pretraining.
    case spanCorruption(SpanCorruption)
    /// Cuts the window at a random position: the source is the part before, the target the part after.
    case prefixLanguageModel(endToken: Int32)
    /// Makes the whole window the target; the source is only the end token.
    case languageModel(endToken: Int32)

    /// The name of the objective in settings.
    public var name: String {
        switch self {
        case .spanCorruption: "span_corruption"
        case .prefixLanguageModel: "prefix_lm"
        case .languageModel: "lm"
        }
    }

    /// Returns the length of the windows of text, and the maximum lengths of their sources and targets.
    ///
    /// `inputLength` limits the source and, for language models, the target. Throws `TextError.invalidArgument` if it
    /// is too short for an example, or if windows need more sentinels than the tokenizer has.
    public func lengths(inputLength: Int) throws -> (window: Int, source: Int, target: Int) {
        switch self {
        case .spanCorruption(let corruption):
            let (window, target) = try corruption.windowLength(inputLength: inputLength)
            let spanCount = corruption.noise(length: window).spanCount
            guard spanCount <= corruption.sentinels.count else {
                throw TextError.invalidArgument(
                    name: "input length",
                    reason: "windows of \(window) tokens need \(spanCount) sentinels, but the tokenizer has"
                        + " \(corruption.sentinels.count); use a smaller length")
            }
            return (window, inputLength, target)
        case .prefixLanguageModel, .languageModel:
            guard (3...1 << 24).contains(inputLength) else {
                throw TextError.invalidArgument(
                    name: "input length", reason: "\(inputLength) is out of range; use 3 to 16,777,216")
            }
            if case .languageModel = self { return (inputLength - 1, 1, inputLength) }
            return (inputLength - 1, inputLength - 1, inputLength - 1)
        }
    }

    /// Returns the example of a window of at least two tokens; throws `TextError` if there are too few sentinels.
    func example(_ window: [Int32], using generator: inout SeededGenerator) throws -> EncodedExample {
        switch self {
        case .spanCorruption(let corruption):
            let mask = corruption.noiseMask(length: window.count, using: &generator)
            let (inputs, targets) = try corruption.corrupt(window, mask: mask)
            return EncodedExample(source: inputs, target: targets)
        case .prefixLanguageModel(let endToken):
            // At least one token on both sides.
            let cut = 1 + generator.integer(below: window.count - 1)
            return EncodedExample(source: window[..<cut] + [endToken], target: window[cut...] + [endToken])
        case .languageModel(let endToken):
            return EncodedExample(source: [endToken], target: window + [endToken])
        }
    }

    /// The settings that change the examples, for comparison with a saved position.
    var identity: String {
        guard case .spanCorruption(let corruption) = self else { return name }
        return "\(name) \(corruption.noiseDensity) \(corruption.meanSpanLength)"
    }
}

/// T5's span corruption: sentinels replace random spans in the source, and the target contains the spans.
///
///     tokens   10 11 12 13 14 15 16 17      noise  . . x x . . . x
///     inputs   10 11 S0 14 15 16 S1 eos     targets  S0 12 13 S1 17 eos
///
/// Source: Raffel et al., arXiv 1910.10683, as in the reference code (`random_spans_noise_mask`,
/// `noise_span_to_unique_sentinel`, `nonnoise_span_to_unique_sentinel`). The first token is never noise and the last
/// always is. There is no closing sentinel.
public struct SpanCorruption: Sendable, Hashable {
    /// The fraction of tokens that become noise; 0.15 by default.
    public let noiseDensity: Float
    /// The mean length of a noise span in tokens; 3 by default.
    public let meanSpanLength: Float
    /// The sentinels in the order of their use.
    public let sentinels: [Int32]
    /// The token at the end of inputs and targets.
    public let endToken: Int32

    /// Creates the corruption with the sentinels of a tokenizer.
    ///
    /// Throws `TextError.invalidArgument` for a density outside 0 to 1, spans shorter than a token, or no sentinels.
    public init(
        sentinels: [Int32], endToken: Int32, noiseDensity: Float = 0.15, meanSpanLength: Float = 3
    ) throws {
        guard noiseDensity > 0, noiseDensity < 1 else {
            throw TextError.invalidArgument(
                name: "noise density", reason: "\(noiseDensity) is out of range; use a value between 0 and 1")
        }
        guard meanSpanLength >= 1, meanSpanLength.isFinite else {
            throw TextError.invalidArgument(
                name: "mean span length", reason: "\(meanSpanLength) is out of range; use at least 1")
        }
        guard !sentinels.isEmpty else {
            throw TextError.invalidArgument(
                name: "sentinels", reason: "the tokenizer has none; use one with sentinels")
        }
        self.sentinels = sentinels
        self.endToken = endToken
        self.noiseDensity = noiseDensity
        self.meanSpanLength = meanSpanLength
    }

    // MARK: Lengths

    /// Returns the number of noise tokens of a window, and the number of their spans.
    ///
    /// Products are rounded half to even in float32, as in the reference; the results differ from those in float64 at
    /// some lengths.
    public func noise(length: Int) -> (tokenCount: Int, spanCount: Int) {
        let length = max(2, length)
        let wanted = (Float(length) * noiseDensity).rounded(.toNearestOrEven)
        let tokens = min(max(Int(wanted), 1), length - 1)
        let spans = Int((Float(tokens) / meanSpanLength).rounded(.toNearestOrEven))
        return (tokens, min(max(1, spans), length - tokens))
    }

    /// Returns the numbers of input and target tokens of a window of `length` tokens, end tokens included.
    public func corruptedLengths(length: Int) -> (inputs: Int, targets: Int) {
        let (tokens, spans) = noise(length: length)
        return (max(2, length) - tokens + spans + 1, tokens + spans + 1)
    }

    /// Returns the largest window with at most `inputLength` input tokens, and the number of its target tokens.
    ///
    /// Throws `TextError.invalidArgument` if not even two tokens fit.
    public func windowLength(inputLength: Int) throws -> (length: Int, targetLength: Int) {
        guard inputLength >= corruptedLengths(length: 2).inputs, inputLength <= 1 << 24 else {
            throw TextError.invalidArgument(
                name: "input length", reason: "\(inputLength) is out of range; use 3 to 16,777,216")
        }
        var length = inputLength
        while corruptedLengths(length: length).inputs > inputLength { length -= 1 }
        while corruptedLengths(length: length + 1).inputs <= inputLength { length += 1 }
        return (length, corruptedLengths(length: length).targets)
    }

    // MARK: Corruption

    /// Returns a random mask of a window: true for tokens that become noise.
    ///
    /// `rolls` rotates the mask by a random number of positions, so that the last token is not always noise.
    public func noiseMask(length: Int, rolls: Bool = false, using generator: inout SeededGenerator) -> [Bool]
    {
        guard length >= 2 else { return [Bool](repeating: false, count: max(0, length)) }
        let (tokens, spans) = noise(length: length)
        let noiseSizes = Self.segmentation(tokens, into: spans, using: &generator)
        let otherSizes = Self.segmentation(length - tokens, into: spans, using: &generator)
        var mask: [Bool] = []
        mask.reserveCapacity(length)
        for (other, noise) in zip(otherSizes, noiseSizes) {
            mask.append(contentsOf: repeatElement(false, count: other))
            mask.append(contentsOf: repeatElement(true, count: noise))
        }
        guard rolls else { return mask }
        let shift = generator.integer(below: length)
        return Array(mask[shift...] + mask[..<shift])
    }

    /// Returns the sizes of `count` non-empty parts of `total` items, all divisions equally likely.
    static func segmentation(_ total: Int, into count: Int, using generator: inout SeededGenerator) -> [Int] {
        var starts = [Bool](repeating: false, count: max(0, total - 1))
        for index in 0..<min(count - 1, starts.count) { starts[index] = true }
        generator.shuffle(&starts)
        var sizes = [1]
        for start in starts {
            if start { sizes.append(1) } else { sizes[sizes.count - 1] += 1 }
        }
        return sizes
    }

    /// Returns inputs and targets of a window; throws `TextError.invalidArgument` if there are too few sentinels.
    public func corrupt(_ tokens: [Int32], mask: [Bool]) throws -> (inputs: [Int32], targets: [Int32]) {
        guard tokens.count == mask.count else {
            throw TextError.invalidArgument(
                name: "mask",
                reason: "it has \(mask.count) elements for \(tokens.count) tokens; use one per token")
        }
        return (
            try replacing(tokens, where: mask) + [endToken],
            try replacing(tokens, where: mask.map { !$0 }) + [endToken]
        )
    }

    /// Returns the tokens with each run of marked tokens replaced by the next sentinel.
    private func replacing(_ tokens: [Int32], where marked: [Bool]) throws -> [Int32] {
        var result: [Int32] = []
        var runCount = 0
        for index in tokens.indices {
            guard marked[index] else {
                result.append(tokens[index])
                continue
            }
            if index > 0, marked[index - 1] { continue }
            guard runCount < sentinels.count else {
                throw TextError.invalidArgument(
                    name: "sentinels",
                    reason:
                        "a window of \(tokens.count) tokens needs more than \(sentinels.count); use shorter windows"
                )
            }
            result.append(sentinels[runCount])
            runCount += 1
        }
        return result
    }
}
