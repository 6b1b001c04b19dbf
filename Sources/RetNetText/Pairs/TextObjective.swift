/// How a piece of running text becomes an example for an encoder-decoder.
public enum TextObjective: Sendable, Hashable {
    /// Random spans become sentinels, and the target says what stood there: T5's pretraining.
    case spanCorruption(SpanCorruption)
    /// The piece is cut at a random place: the source is what comes before, the target what comes after.
    case prefixLanguageModel(endToken: Int32)
    /// The target is the whole piece; the source is nothing but the end token.
    case languageModel(endToken: Int32)

    /// The name of the objective in settings.
    public var name: String {
        switch self {
        case .spanCorruption: "span_corruption"
        case .prefixLanguageModel: "prefix_lm"
        case .languageModel: "lm"
        }
    }

    /// The length of the pieces that text is cut into, with the longest source and target that they become.
    ///
    /// `inputLength` bounds the source, and where the target is a piece of text, the target. Throws
    /// `TextError.invalidArgument` if it is too short for an example, or needs more sentinels than there are.
    public func lengths(inputLength: Int) throws -> (piece: Int, source: Int, target: Int) {
        switch self {
        case .spanCorruption(let corruption):
            let (piece, target) = try corruption.pieceLength(inputLength: inputLength)
            let spanCount = corruption.noise(length: piece).spanCount
            guard spanCount <= corruption.sentinels.count else {
                throw TextError.invalidArgument(
                    name: "input length",
                    reason: "pieces of \(piece) tokens need \(spanCount) sentinels, and the tokenizer has"
                        + " \(corruption.sentinels.count); use a smaller length")
            }
            return (piece, inputLength, target)
        case .prefixLanguageModel, .languageModel:
            guard (3...1 << 24).contains(inputLength) else {
                throw TextError.invalidArgument(
                    name: "input length", reason: "\(inputLength) is not from 3 to 16,777,216")
            }
            if case .languageModel = self { return (inputLength - 1, 1, inputLength) }
            return (inputLength - 1, inputLength - 1, inputLength - 1)
        }
    }

    /// The example of a piece of at least two tokens; throws `TextError` if there are too few sentinels.
    func example(_ piece: [Int32], using generator: inout SeededGenerator) throws -> TokenPair {
        switch self {
        case .spanCorruption(let corruption):
            let mask = corruption.noiseMask(length: piece.count, using: &generator)
            let (inputs, targets) = try corruption.corrupt(piece, mask: mask)
            return TokenPair(source: inputs, target: targets)
        case .prefixLanguageModel(let endToken):
            // Both sides have at least one token.
            let cut = 1 + generator.integer(below: piece.count - 1)
            return TokenPair(source: piece[..<cut] + [endToken], target: piece[cut...] + [endToken])
        case .languageModel(let endToken):
            return TokenPair(source: [endToken], target: piece + [endToken])
        }
    }

    /// What decides the examples, for comparison with a saved place.
    var identity: String {
        guard case .spanCorruption(let corruption) = self else { return name }
        return "\(name) \(corruption.noiseDensity) \(corruption.meanSpanLength)"
    }
}
