import RetNetLayers
import RetNetTorch

/// The average of the attention-free transformer (AFT, arXiv 2105.14103): every channel weighs the past by itself.
///
///     y_t = Σ_{i≤t} e^(kᵢ + b_{t,i}) ⊙ vᵢ / Σ_{i≤t} e^(kᵢ + b_{t,i})
///
/// Keys, values and outputs are [B, T, C]; a bias is shared by all channels. Every form divides by the largest
/// weight that the query itself sees, never by one of a later token.
public enum AFT {
    /// Averages [B, T, C] and the sums over the tokens that have left the window.
    public typealias Result = (output: Tensor, sums: ExponentialSums)

    /// The biases of a call, and the tokens before its first one.
    public struct Context {
        /// Biases of the tokens of the window; nil for none at all.
        public var bias: FusedOperators.WindowBias?
        /// The number of steps back, itself included, within which a token has a bias; beyond, it counts e^k.
        public var window: Int
        /// The keys and values that the window still reaches.
        public var history: FusedOperators.WindowHistory?
        /// The sums over older tokens.
        public var sums: ExponentialSums?
        /// True if tokens that leave the window are added to the sums; else they are dropped.
        public var absorbs: Bool
        /// This rank's part of sequences that lie on several ranks; for AFT-simple only.
        public var sequence: SequencePart?

        /// AFT-simple from the start of a sequence by default.
        public init(
            bias: FusedOperators.WindowBias? = nil, window: Int = 1,
            history: FusedOperators.WindowHistory? = nil, sums: ExponentialSums? = nil, absorbs: Bool = true,
            sequence: SequencePart? = nil
        ) {
            self.bias = bias
            self.window = window
            self.history = history
            self.sums = sums
            self.absorbs = absorbs
            self.sequence = sequence
        }
    }

    /// The formula itself in float64 from the start of a sequence, without any care for overflow.
    ///
    /// `bias` [T, T] is read at and below the diagonal; nil is AFT-simple.
    public static func definition(_ key: Tensor, _ value: Tensor, bias: Tensor?) throws -> Tensor {
        let (k, v) = (try key.to(.float64), try value.to(.float64))
        let outputs = try (0..<k.size(1)).map { t in
            var exponents = try k.sliced(1, 0..<t + 1)
            if let bias {
                exponents =
                    try exponents + bias.to(.float64).selected(0, t).sliced(0, 0..<t + 1).unsqueezed(-1)
            }
            let weights = try exponents.exp()
            return try (weights * v.sliced(1, 0..<t + 1)).sum([1]) / weights.sum([1])
        }
        return try Tensor.stacked(outputs, axis: 1)
    }

    /// One token after another over the keys and values in its window and the sums of older ones.
    public static func recurrent(_ key: Tensor, _ value: Tensor, _ context: Context) throws -> Result {
        let type = key.elementType.accumulator
        let (batch, length, channels) = (key.size(0), key.size(1), key.size(2))
        let past = try AlignedHistory(context.history, type)
        let k = try past.map { try Tensor.concatenated([$0.key, key.to(type)], axis: 1) } ?? key.to(type)
        let v =
            try past.map { try Tensor.concatenated([$0.value, value.to(type)], axis: 1) } ?? value.to(type)
        let start = past?.key.size(1) ?? 0
        var sums = try context.sums ?? .empty(batch: batch, channels: channels, type, key.device)
        var exponent = try sums.effectiveExponent()
        var outputs: [Tensor] = []
        for t in 0..<length {
            let now = start + t
            let first = Swift.max(0, now - context.window + 1)
            var exponents = try k.sliced(1, first..<now + 1)
            if let bias = try biases(context, past, token: t, from: first, to: now, type) {
                exponents = try exponents + bias.unsqueezed(-1)
            }
            if let past, first < start {
                exponents = try exponents.maskFilled(
                    past.absent(from: first, to: now).unsqueezed(-1), ExponentialSums.nothing)
            }
            let largest = try exponents.max([1]).maximum(exponent).detached()
            let weights = try (exponents - largest.unsqueezed(1)).exp()
            let kept = try (sums.exponent - largest).clamped(-.infinity, 80).exp()
            let numerator = try (weights * v.sliced(1, first..<now + 1)).sum([1]) + sums.numerator * kept
            outputs.append(try numerator / (weights.sum([1]) + sums.denominator * kept))
            guard context.absorbs, now - context.window + 1 >= 0 else { continue }
            let next = try sums.adding(k.selected(1, first), v.selected(1, first), from: exponent)
            let nextExponent = next.exponent
            if let past, first < start {
                let absent = try past.absent(from: first, to: first)
                sums = ExponentialSums(
                    numerator: try Tensor.select(where: absent, sums.numerator, else: next.numerator),
                    denominator: try Tensor.select(where: absent, sums.denominator, else: next.denominator),
                    exponent: try Tensor.select(where: absent, sums.exponent, else: next.exponent))
                exponent = try Tensor.select(where: absent, exponent, else: nextExponent)
            } else {
                (sums, exponent) = (next, nextExponent)
            }
        }
        return (try Tensor.stacked(outputs, axis: 1).to(value.elementType), sums)
    }

    /// Computes the same results by the native kernels, which run all tokens of a group of channels in one go.
    ///
    /// On devices and types without kernels this is ``recurrent(_:_:_:)``.
    public static func fused(_ key: Tensor, _ value: Tensor, _ context: Context) throws -> Result {
        guard key.size(1) > 0 else { throw MixerError.emptySequence }
        if let sequence = context.sequence, context.bias == nil {
            var alone = context
            (alone.sequence, alone.sums) = (nil, nil)
            let merged = try sequence.merged(
                fused(key, value, alone).sums, decay: nil, from: context.sums)
            alone.sums = merged.entering
            return (try fused(key, value, alone).output, merged.end)
        }
        guard FusedOperators.hasKernel(for: .biasedWindow, key.elementType, on: key.device) else {
            return try recurrent(key, value, context)
        }
        guard let bias = context.bias else {
            // AFT-simple is WKV without decay and bonus.
            let zeros = try Tensor.zeros([key.size(2)], key.elementType.accumulator)
            return try WKV.fused(key, value, decay: zeros, bonus: zeros, sums: context.sums)
        }
        let result = try FusedOperators.biasedWindow(
            key: key, value: value, bias: bias, window: context.window, history: context.history,
            sums: context.sums, absorbing: context.absorbs)
        return (result.output, result.sums)
    }

    /// Returns the biases [B or 1, n] of a token for the entries `first ... last` of the aligned keys.
    private static func biases(
        _ context: Context, _ past: AlignedHistory?, token t: Int, from first: Int, to last: Int,
        _ type: ElementType
    ) throws -> Tensor? {
        switch context.bias {
        case nil: return nil
        case .byLag(let tensor):
            return try tensor.selected(1, t).sliced(1, 0..<last - first + 1).flipped(1).to(type)
        case .byToken(let tensor):
            let row = try tensor.selected(1, t)
            return try (past?.aligned(row) ?? row).sliced(1, first..<last + 1).to(type)
        }
    }
}

/// The history of rows with different pasts, moved so that every row's last token stands at the end.
struct AlignedHistory {
    /// [B, H, C], zeros where a row has no token.
    let key: Tensor
    /// [B, H, C], zeros where a row has no token.
    let value: Tensor
    private let counts: [Int]
    private let length: Int

    /// Nil where no row has a token.
    init?(_ history: FusedOperators.WindowHistory?, _ type: ElementType) throws {
        guard let history, let longest = history.ranges.map(\.count).max(), longest > 0 else { return nil }
        counts = history.ranges.map(\.count)
        length = longest
        func align(_ tensor: Tensor) throws -> Tensor {
            let rows = try history.ranges.enumerated().map { row, range in
                try Self.padded(tensor.sliced(0, row..<row + 1).sliced(1, range).to(type), to: longest)
            }
            return try Tensor.concatenated(rows, axis: 0)
        }
        key = try align(history.key)
        value = try align(history.value)
    }

    private static func padded(_ tensor: Tensor, to length: Int) throws -> Tensor {
        guard tensor.size(1) < length else { return tensor }
        var shape = tensor.shape
        shape[1] = length - tensor.size(1)
        return try Tensor.concatenated(
            [Tensor.zeros(shape, tensor.elementType, on: tensor.device), tensor], axis: 1)
    }

    /// Returns booleans [B, n]: true for entries `first ... last` of history and new tokens that are no tokens of the row.
    func absent(from first: Int, to last: Int) throws -> Tensor {
        let flags = counts.flatMap { count in (first...last).map { $0 < length - count ? 1.0 : 0.0 } }
        return try Tensor.from(flags, [counts.count, last - first + 1]).isEqual(to: 1).to(on: key.device)
    }

    /// Returns biases [B or 1, tokens of the row] moved as keys are: [B, tokens of the longest row].
    func aligned(_ biases: Tensor) throws -> Tensor {
        guard Set(counts).count > 1 else { return biases }
        let rows = try counts.enumerated().map { row, count in
            let own = try biases.size(0) == 1 ? biases : biases.sliced(0, row..<row + 1)
            // Spare entries at the end of a short row belong to no token.
            return try Self.padded(own.sliced(1, 0..<own.size(1) - (length - count)), to: own.size(1))
        }
        return try Tensor.concatenated(rows, axis: 0)
    }
}
