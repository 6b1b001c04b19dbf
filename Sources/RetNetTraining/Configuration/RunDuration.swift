import RetNetSettings

/// How long a run lasts: one of `steps`, `tokens` and `epochs` in a training configuration.
public enum RunDuration: Sendable, Equatable {
    /// A number of updates.
    case steps(Int)
    /// A number of training tokens, rounded up to whole updates.
    case tokens(Int)
    /// Passes over the training text, rounded up to whole updates.
    case epochs(Double)

    /// The number of updates, at least 1, for updates of `tokensPerStep` tokens over `tokensPerEpoch` tokens.
    func stepCount(tokensPerStep: Int, tokensPerEpoch: Int) -> Int {
        let perStep = max(1, tokensPerStep)
        switch self {
        case .steps(let count): return max(1, count)
        case .tokens(let count): return max(1, count / perStep + (count % perStep > 0 ? 1 : 0))
        case .epochs(let count):
            let steps = (count * Double(tokensPerEpoch) / Double(perStep)).rounded(.up)
            return steps < 1 ? 1 : Int(exactly: min(steps, 0x1p53)) ?? 1
        }
    }

    /// Reads whichever of the three names is given; the default where none is.
    static func read(_ reader: SettingsReader, default duration: RunDuration) -> RunDuration {
        let steps = reader.optionalInt("steps", in: 1...1_000_000_000)
        let tokens = reader.optionalInt("tokens", in: 1...Int.max)
        let epochs = reader.optionalDouble("epochs", in: SettingsRange.positive)
        let given = ["steps", "tokens", "epochs"].filter { reader.has($0) }
        if given.count > 1 {
            reader.reportContradiction(given[1], "only one of steps, tokens and epochs can be given")
        }
        if let steps { return .steps(steps) }
        if let tokens { return .tokens(tokens) }
        return epochs.map { .epochs($0) } ?? duration
    }

    /// The name and value that are written to files.
    var setting: (key: String, value: SettingsTree) {
        switch self {
        case .steps(let count): ("steps", .int(count))
        case .tokens(let count): ("tokens", .int(count))
        case .epochs(let count): ("epochs", .double(count))
        }
    }
}
