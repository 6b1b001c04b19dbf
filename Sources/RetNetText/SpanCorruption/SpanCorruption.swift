/// T5's span corruption: random spans of a text become sentinels, and the target says what stood there.
///
///     tokens   10 11 12 13 14 15 16 17      noise  . . x x . . . x
///     inputs   10 11 S0 14 15 16 S1 eos     targets  S0 12 13 S1 17 eos
///
/// Source: Raffel et al., arXiv 1910.10683, as in the reference code (`random_spans_noise_mask`,
/// `noise_span_to_unique_sentinel`, `nonnoise_span_to_unique_sentinel`). The first token is never noise and the last
/// always is. There is no closing sentinel.
public struct SpanCorruption: Sendable, Hashable {
    /// The share of tokens that become noise; 0.15.
    public let noiseDensity: Float
    /// The mean length of a noise span; 3.
    public let meanSpanLength: Float
    /// Sentinels in the order of their use.
    public let sentinels: [Int32]
    /// The token after inputs and targets.
    public let endToken: Int32

    /// The usual corruption with the sentinels of a tokenizer.
    ///
    /// Throws `TextError.invalidArgument` for a density outside 0 to 1, spans shorter than a token, or no sentinels.
    public init(
        sentinels: [Int32], endToken: Int32, noiseDensity: Float = 0.15, meanSpanLength: Float = 3
    ) throws {
        guard noiseDensity > 0, noiseDensity < 1 else {
            throw TextError.invalidArgument(
                name: "noise density", reason: "\(noiseDensity) is not between 0 and 1")
        }
        guard meanSpanLength >= 1, meanSpanLength.isFinite else {
            throw TextError.invalidArgument(
                name: "mean span length", reason: "\(meanSpanLength) is not at least 1")
        }
        guard !sentinels.isEmpty else {
            throw TextError.invalidArgument(
                name: "sentinels", reason: "there are none; use a tokenizer with sentinels")
        }
        self.sentinels = sentinels
        self.endToken = endToken
        self.noiseDensity = noiseDensity
        self.meanSpanLength = meanSpanLength
    }

    // MARK: Lengths

    /// How many tokens of a piece become noise, and in how many spans they lie.
    ///
    /// Products are rounded half to even in float32, as in the reference, whose results differ from those in float64
    /// at some lengths.
    public func noise(length: Int) -> (tokenCount: Int, spanCount: Int) {
        let length = max(2, length)
        let wanted = (Float(length) * noiseDensity).rounded(.toNearestOrEven)
        let tokens = min(max(Int(wanted), 1), length - 1)
        let spans = Int((Float(tokens) / meanSpanLength).rounded(.toNearestOrEven))
        return (tokens, min(max(1, spans), length - tokens))
    }

    /// The tokens of inputs and targets that a piece of `length` tokens becomes, with their end tokens.
    public func corruptedLengths(length: Int) -> (inputs: Int, targets: Int) {
        let (tokens, spans) = noise(length: length)
        return (max(2, length) - tokens + spans + 1, tokens + spans + 1)
    }

    /// The longest piece whose inputs have at most `inputLength` tokens, and the length of its targets.
    ///
    /// Throws `TextError.invalidArgument` if not even two tokens fit.
    public func pieceLength(inputLength: Int) throws -> (length: Int, targetLength: Int) {
        guard inputLength >= corruptedLengths(length: 2).inputs, inputLength <= 1 << 24 else {
            throw TextError.invalidArgument(
                name: "input length", reason: "\(inputLength) is not from 3 to 16,777,216")
        }
        var length = inputLength
        while corruptedLengths(length: length).inputs > inputLength { length -= 1 }
        while corruptedLengths(length: length + 1).inputs <= inputLength { length += 1 }
        return (length, corruptedLengths(length: length).targets)
    }

    // MARK: Corrupting

    /// A random mask of a piece: true where a token becomes noise.
    ///
    /// `rolls` turns the mask by a random number of places, so that the last token need not be noise.
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

    /// Sizes of `count` non-empty parts of `total` items, all divisions equally likely.
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

    /// What a piece becomes under a mask; throws `TextError.invalidArgument` if there are too few sentinels.
    public func corrupt(_ tokens: [Int32], mask: [Bool]) throws -> (inputs: [Int32], targets: [Int32]) {
        guard tokens.count == mask.count else {
            throw TextError.invalidArgument(
                name: "mask", reason: "it has \(mask.count) places for \(tokens.count) tokens")
        }
        return (
            try replacing(tokens, where: mask) + [endToken],
            try replacing(tokens, where: mask.map { !$0 }) + [endToken]
        )
    }

    /// Every run of marked tokens replaced by the next sentinel.
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
                        "a piece of \(tokens.count) tokens needs more than \(sentinels.count); use shorter pieces"
                )
            }
            result.append(sentinels[runCount])
            runCount += 1
        }
        return result
    }
}
