import RetNetLayers
import RetNetTorch

/// The WKV operator of RWKV-4 (arXiv 2305.13048, section 3.1.3): an average of past values whose weights decay.
///
///     y_t = (Σ_{i<t} e^(kᵢ - (t-1-i) w) vᵢ + e^(u + k_t) v_t) / (Σ_{i<t} e^(kᵢ - (t-1-i) w) + e^(u + k_t))
///
/// The token just before t is not decayed yet; the current token counts e^u more instead. Every channel has its own
/// decay w > 0 and bonus u. Keys, values and outputs are [B, T, C], w and u [C]. All forms take the sums before the
/// first token, nil for none, and return those after the last.
public enum WKV {
    /// Averages [B, T, C] and the sums afterwards.
    public typealias Result = (output: Tensor, sums: ExponentialSums)

    /// The formula itself in float64: direct sums over all pairs of positions, without any care for overflow.
    ///
    /// The sums after the last token have the exponent 0.
    public static func definition(
        _ key: Tensor, _ value: Tensor, decay: Tensor, bonus: Tensor, sums: ExponentialSums?
    ) throws -> Result {
        let (k, v) = (try key.to(.float64), try value.to(.float64))
        let (w, u) = (try decay.to(.float64), try bonus.to(.float64))
        let carried = try sums.map { sums in
            let scale = try sums.exponent.to(.float64).exp()
            return (try sums.numerator.to(.float64) * scale, try sums.denominator.to(.float64) * scale)
        }
        // Numerator and denominator before token t.
        func before(_ t: Int) throws -> (Tensor, Tensor) {
            let zero = try Tensor.zeros([k.size(0), k.size(2)], .float64)
            let faded = try (w * -Double(t)).exp()
            var numerator = try carried.map { try $0.0 * faded } ?? zero
            var denominator = try carried.map { try $0.1 * faded } ?? zero
            for i in 0..<t {
                let weight = try (k.selected(1, i) - w * Double(t - 1 - i)).exp()
                numerator = try numerator + weight * v.selected(1, i)
                denominator = try denominator + weight
            }
            return (numerator, denominator)
        }
        let outputs = try (0..<k.size(1)).map { t in
            let (numerator, denominator) = try before(t)
            let weight = try (k.selected(1, t) + u).exp()
            return try (numerator + weight * v.selected(1, t)) / (denominator + weight)
        }
        let (numerator, denominator) = try before(k.size(1))
        return (
            try Tensor.stacked(outputs, axis: 1),
            ExponentialSums(
                numerator: numerator, denominator: denominator,
                exponent: try Tensor.zeros(numerator.shape, .float64))
        )
    }

    /// One token after another, with numerator and denominator divided by the largest weight so far.
    public static func recurrent(
        _ key: Tensor, _ value: Tensor, decay: Tensor, bonus: Tensor, sums: ExponentialSums?
    ) throws -> Result {
        let (k, v, w, u) = try prepared(key, value, decay, bonus)
        var state = try sums ?? .empty(batch: k.size(0), channels: k.size(2), k.elementType, k.device)
        var exponent = try state.effectiveExponent()
        var outputs: [Tensor] = []
        for t in 0..<k.size(1) {
            let (key, value) = (try k.selected(1, t), try v.selected(1, t))
            let read = try state.adding(key + u, value, from: exponent)
            outputs.append(try read.numerator / read.denominator)
            state = try state.adding(key, value, decay: w, from: exponent)
            exponent = state.exponent
        }
        return (try Tensor.stacked(outputs, axis: 1).to(value.elementType), state)
    }

    /// All tokens at once: an associative scan over (exponent, numerator, denominator) in log₂ T steps.
    public static func parallel(
        _ key: Tensor, _ value: Tensor, decay: Tensor, bonus: Tensor, sums: ExponentialSums?
    ) throws -> Result {
        let (k, v, w, u) = try prepared(key, value, decay, bonus)
        let length = k.size(1)
        // After the step of distance d, entry t holds the sums of the last min(t + 1, 2d) tokens.
        var scan = ExponentialSums(
            numerator: v, denominator: try Tensor.ones(k.shape, k.elementType, on: k.device), exponent: k)
        var distance = 1
        while distance < length {
            let left = try scan.map { try $0.sliced(1, 0..<length - distance) }
            let right = try scan.map { try $0.sliced(1, distance..<length) }
            let joined = try join(left, right, decay: w * Double(distance))
            scan = try ExponentialSums(
                numerator: Tensor.concatenated(
                    [scan.numerator.sliced(1, 0..<distance), joined.numerator], axis: 1),
                denominator: Tensor.concatenated(
                    [scan.denominator.sliced(1, 0..<distance), joined.denominator], axis: 1),
                exponent: Tensor.concatenated(
                    [scan.exponent.sliced(1, 0..<distance), joined.exponent], axis: 1))
            distance *= 2
        }
        let start = try sums ?? .empty(batch: k.size(0), channels: k.size(2), k.elementType, k.device)
        let steps = try Tensor.range(from: 1, to: Double(length + 1), .float64).to(
            k.elementType, on: k.device)
        let after = try withStart(start, scan, decay: steps.reshaped([length, 1]) * w)
        // The sums before token t are those after token t - 1.
        let before = try zip3(start, after) {
            try Tensor.concatenated([$0.unsqueezed(1), $1.sliced(1, 0..<length - 1)], axis: 1)
        }
        let read = try before.adding(k + u, v, from: before.effectiveExponent())
        return (
            try (read.numerator / read.denominator).to(value.elementType),
            try after.map { try $0.selected(1, length - 1) }
        )
    }

    /// Computes the same results by the native kernel, which runs all tokens of a group of channels in one go.
    ///
    /// On devices and types without kernels this is ``parallel(_:_:decay:bonus:sums:)``. With a `sequence`, keys and values are
    /// those of this rank's part and sums those of the whole; the operator then runs twice, first for the sums alone.
    public static func fused(
        _ key: Tensor, _ value: Tensor, decay: Tensor, bonus: Tensor, sums: ExponentialSums?,
        sequence: SequencePart? = nil
    ) throws -> Result {
        guard key.size(1) > 0 else { throw MixerError.emptySequence }
        if let sequence {
            let own = try fused(key, value, decay: decay, bonus: bonus, sums: nil).sums
            let merged = try sequence.merged(own, decay: decay, from: sums)
            let result = try fused(key, value, decay: decay, bonus: bonus, sums: merged.entering)
            return (result.output, merged.end)
        }
        guard FusedOperators.hasKernel(for: .wkv, key.elementType, on: key.device) else {
            return try parallel(key, value, decay: decay, bonus: bonus, sums: sums)
        }
        let result = try FusedOperators.wkv(key: key, value: value, decay: decay, bonus: bonus, sums: sums)
        return (result.output, result.sums)
    }

    // MARK: Parts

    private static func prepared(_ key: Tensor, _ value: Tensor, _ decay: Tensor, _ bonus: Tensor) throws
        -> (Tensor, Tensor, Tensor, Tensor)
    {
        guard key.size(1) > 0 else { throw MixerError.emptySequence }
        let type = key.elementType.accumulator
        return (try key.to(type), try value.to(type), try decay.to(type), try bonus.to(type))
    }

    /// Sums of two neighboring ranges, the left one decayed by `decay`; neither is empty.
    private static func join(_ left: ExponentialSums, _ right: ExponentialSums, decay: Tensor) throws
        -> ExponentialSums
    {
        let old = try left.exponent - decay
        let largest = try old.maximum(right.exponent)
        let (a, b) = (try (old - largest).exp(), try (right.exponent - largest).exp())
        return ExponentialSums(
            numerator: try left.numerator * a + right.numerator * b,
            denominator: try left.denominator * a + right.denominator * b, exponent: largest)
    }

    /// The sums before everything, which may be empty, joined to each of [B, T, C].
    private static func withStart(_ start: ExponentialSums, _ scan: ExponentialSums, decay: Tensor) throws
        -> ExponentialSums
    {
        let before = try start.map { try $0.unsqueezed(1) }
        let exponent = try start.effectiveExponent().unsqueezed(1) - decay
        let largest = try exponent.maximum(scan.exponent)
        let kept = try (before.exponent - decay - largest).clamped(-.infinity, 80).exp()
        let fresh = try (scan.exponent - largest).exp()
        return ExponentialSums(
            numerator: try before.numerator * kept + scan.numerator * fresh,
            denominator: try before.denominator * kept + scan.denominator * fresh, exponent: largest)
    }

    /// Returns sums over tokens, of which there may be none, together with those over the tokens behind them, which there are;
    /// the first are decayed by `decay` [C].
    static func joined(_ start: ExponentialSums, to later: ExponentialSums, decay: Tensor?) throws
        -> ExponentialSums
    {
        let none = try Tensor.zeros([1], later.exponent.elementType, on: later.exponent.device)
        let result = try withStart(start, later.map { try $0.unsqueezed(1) }, decay: decay ?? none)
        return try result.map { try $0.squeezed(1) }
    }

    private static func zip3(
        _ a: ExponentialSums, _ b: ExponentialSums, _ body: (Tensor, Tensor) throws -> Tensor
    ) rethrows -> ExponentialSums {
        ExponentialSums(
            numerator: try body(a.numerator, b.numerator),
            denominator: try body(a.denominator, b.denominator),
            exponent: try body(a.exponent, b.exponent))
    }
}

/// Sums over past tokens of averages with exponential weights: the state of WKV and AFT.
public typealias ExponentialSums = FusedOperators.RunningSums

extension FusedOperators.RunningSums {
    /// Smaller than any exponent in use, and finite: differences of exponents never become NaN.
    static let nothing = -1e38

    /// Sums over no tokens: zeros [B, C].
    static func empty(batch: Int, channels: Int, _ type: ElementType, _ device: Device) throws
        -> ExponentialSums
    {
        let zeros = try Tensor.zeros([batch, channels], type, on: device)
        return ExponentialSums(numerator: zeros, denominator: zeros, exponent: zeros)
    }

    /// Returns the exponent, or ``nothing`` where no token has been seen.
    func effectiveExponent() throws -> Tensor {
        let total = try numerator.detached().abs() + denominator.detached().abs()
        return try exponent.maskFilled(total.isEqual(to: 0), Self.nothing)
    }

    /// Returns the sums after keys that count e^key, in float32 or wider; one token, or one tensor of several at once.
    ///
    /// `exponent` is the effective one.
    func adding(_ key: Tensor, _ value: Tensor, decay: Tensor? = nil, from exponent: Tensor) throws
        -> ExponentialSums
    {
        let old = try decay.map { try exponent - $0 } ?? exponent
        let raw = try decay.map { try self.exponent - $0 } ?? self.exponent
        let largest = try old.maximum(key)
        // Where nothing was seen the sums are zeros, whose weight only matters to their gradient.
        let (kept, fresh) = (try (raw - largest).clamped(-.infinity, 80).exp(), try (key - largest).exp())
        return ExponentialSums(
            numerator: try numerator * kept + value * fresh, denominator: try denominator * kept + fresh,
            exponent: largest)
    }

    /// The three tensors with the names under which states keep them.
    var named: [(name: String, tensor: Tensor)] {
        [("numerator", numerator), ("denominator", denominator), ("exponent", exponent)]
    }

    /// Returns the sums with transformed tensors.
    func map(_ transform: (Tensor) throws -> Tensor) rethrows -> ExponentialSums {
        ExponentialSums(
            numerator: try transform(numerator), denominator: try transform(denominator),
            exponent: try transform(exponent))
    }
}
