import RetNetTorch

/// Sums over past tokens of averages with exponential weights: what WKV and AFT remember.
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

    /// The exponent, or ``nothing`` where no token has been seen.
    func effectiveExponent() throws -> Tensor {
        let total = try numerator.detached().abs() + denominator.detached().abs()
        return try exponent.maskFilled(total.isEqual(to: 0), Self.nothing)
    }

    /// The sums after keys that count e^key, in float32 or wider; one token, or one tensor of several at once.
    ///
    /// `exponent` is the effective one.
    func adding(_ key: Tensor, _ value: Tensor, decay: Tensor? = nil, from exponent: Tensor) throws
        -> ExponentialSums
    {
        let old = try decay.map { try exponent - $0 } ?? exponent
        let raw = try decay.map { try self.exponent - $0 } ?? self.exponent
        let largest = try old.maximum(key)
        // Where nothing was seen the sums are zeros, whose weight only matters to their gradient.
        let (kept, fresh) = (try (raw - largest).minimum(80).exp(), try (key - largest).exp())
        return ExponentialSums(
            numerator: try numerator * kept + value * fresh, denominator: try denominator * kept + fresh,
            exponent: largest)
    }

    /// The three tensors with the names under which states keep them.
    var named: [(name: String, tensor: Tensor)] {
        [("numerator", numerator), ("denominator", denominator), ("exponent", exponent)]
    }

    /// The sums with transformed tensors.
    func map(_ transform: (Tensor) throws -> Tensor) rethrows -> ExponentialSums {
        ExponentialSums(
            numerator: try transform(numerator), denominator: try transform(denominator),
            exponent: try transform(exponent))
    }
}

extension Tensor {
    /// The smaller of each element and a bound.
    fileprivate func minimum(_ bound: Double) throws -> Tensor { try clamped(-.infinity, bound) }
}
