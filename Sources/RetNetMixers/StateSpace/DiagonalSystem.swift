import RetNetArchitecture
import RetNetTorch

/// A discrete diagonal state space for each of C channels, M complex modes per channel, conjugates folded.
///
///     x_t = Ā x_{t-1} + B̄ u_t,   y_t = 2 Re(C x_t) + D u_t
///
/// Everything is float64 in models of every type: a float32 phase is off by 0.01 rad after 16 384 steps of a
/// fast mode. The tables are small; they are narrowed where they meet sequences.
public struct DiagonalSystem {
    /// ln Ā [C, M]; its real part is negative.
    public let logTransition: ComplexTensor
    /// B̄ [C, M].
    public let input: ComplexTensor
    /// C [C, M].
    public let readout: ComplexTensor
    /// D [C].
    public let skip: Tensor

    /// A system of given numbers.
    public init(logTransition: ComplexTensor, input: ComplexTensor, readout: ComplexTensor, skip: Tensor) {
        self.logTransition = logTransition
        self.input = input
        self.readout = readout
        self.skip = skip
    }

    /// The continuous system A = -e^`logDecay` + i `frequency`, B (1 where nil), C, D in steps of e^`logStep`.
    ///
    /// `logStep` [C], `logDecay` and `frequency` [C, M], `input` and `readout` [C, M], `skip` [C].
    public init(
        logStep: Tensor, logDecay: Tensor, frequency: Tensor, input: ComplexTensor?, readout: ComplexTensor,
        skip: Tensor, discretization: Discretization
    ) throws {
        // Metal has no float64.
        let type: ElementType = logStep.device == .mps ? .float32 : .float64
        let step = try logStep.to(type).exp().unsqueezed(-1)
        let decay = try logDecay.to(type).exp().negated()
        let a = ComplexTensor(real: decay, imaginary: try frequency.to(type))
        let scaled = try a * step
        let discrete: ComplexTensor
        switch discretization {
        case .zeroOrderHold:
            logTransition = scaled
            discrete = try scaled.exponentialMinusOne() / a
        case .bilinear:
            let half = try scaled * Tensor.full([1], 0.5, type, on: logStep.device)
            let denominator = try half.map { try $0.negated() }.adding(1)
            logTransition = try Self.logBilinear(half, denominator)
            let one = ComplexTensor(
                real: try Tensor.ones([1, 1], type, on: logStep.device),
                imaginary: try Tensor.zeros([1, 1], type, on: logStep.device))
            discrete = try one / denominator * step
        }
        self.input = try input.map { try $0.map { try $0.to(type) } * discrete } ?? discrete
        self.readout = try readout.map { try $0.to(type) }
        self.skip = try skip.to(type)
    }

    /// ln((1 + w) / (1 - w)), precise for small w: the modulus is 1 + 4 Re w / |1 - w|².
    private static func logBilinear(_ w: ComplexTensor, _ denominator: ComplexTensor) throws -> ComplexTensor
    {
        let squares = try denominator.real * denominator.real + denominator.imaginary * denominator.imaginary
        // A mode that vanishes in one step would have the logarithm of 0.
        let excess = try (w.real * 4 / squares).maximum(-1 + 1e-15)
        let modulus = try w.real * w.real + w.imaginary * w.imaginary
        return ComplexTensor(
            real: try excess.log1p() * 0.5, imaginary: try (w.imaginary * 2).angle(over: 1 - modulus))
    }

    /// C, the number of channels.
    public var channelCount: Int { logTransition.size(0) }
    /// M, the number of complex modes of a channel.
    public var modeCount: Int { logTransition.size(1) }

    /// Returns Ā^e for every exponent, [C, E, M].
    func powers(_ exponents: [Double]) throws -> ComplexTensor {
        let z = logTransition
        let steps = try Tensor.from(exponents, [1, exponents.count, 1]).to(
            z.real.elementType, on: z.real.device)
        return try (z.map { try $0.unsqueezed(1) } * steps).exponential()
    }

    /// Returns Ā [C, M].
    func transition() throws -> ComplexTensor { try logTransition.exponential() }

    /// Returns the filters K_l = 2 Re(C B̄ Ā^l), l = 0 ..< length, without D: [C, L].
    public func kernel(length: Int, _ type: ElementType) throws -> Tensor {
        let weights = try (readout * input).map { try $0.unsqueezed(1) }
        return try evaluate(weights, length: length, type).squeezed(1)
    }

    /// Returns the same filters with D added to K_0.
    func kernelWithSkip(length: Int, _ type: ElementType) throws -> Tensor {
        let kernel = try kernel(length: length, type)
        let first = try kernel.sliced(1, 0..<1) + skip.to(type).unsqueezed(1)
        return length == 1 ? first : try Tensor.concatenated([first, kernel.sliced(1, 1..<length)], axis: 1)
    }

    /// Returns 2 Re Σ_m w_m Ā_m^l for weights [C, G, M], l = 0 ..< length: [C, G, L].
    ///
    /// With l = a R + r the sum is a product of matrices of 2M columns, Ā^(aR) on one side and Ā^r on the other:
    /// about 2√L exponentials per mode instead of L.
    func evaluate(_ weights: ComplexTensor, length: Int, _ type: ElementType) throws -> Tensor {
        let (channels, groups) = (weights.size(0), weights.size(1))
        let (outer, inner) = Self.split(length, groups: groups)
        let coarse = try powers((0..<outer).map { Double($0 * inner) }).map { try $0.unsqueezed(1).to(type) }
        let fine = try powers((0..<inner).map(Double.init)).map { try $0.to(type) }
        // [C, G, 1, M] · [C, 1, A, M]
        let left = try weights.map { try $0.to(type).unsqueezed(2) } * coarse
        let rows = try Tensor.concatenated([left.real * 2, left.imaginary * -2], axis: -1)
        let product = try rows.reshaped([channels, groups * outer, 2 * modeCount])
            .matmul(fine.joined().transposed(-1, -2))
        return try product.reshaped([channels, groups, outer * inner]).sliced(2, 0..<length)
    }

    /// Returns Σ_t Ā^(T-1-t) u_t for sequences u [C, G, T], without B̄: [C, G, M] in the type of u.
    func absorb(_ u: Tensor) throws -> ComplexTensor {
        let (channels, groups, length) = (u.size(0), u.size(1), u.size(2))
        let type = u.elementType
        let (outer, inner) = Self.split(length, groups: groups)
        let missing = outer * inner - length
        let whole =
            missing == 0
            ? u
            : try Tensor.concatenated(
                [Tensor.zeros([channels, groups, missing], type, on: u.device), u], axis: 2)
        let fine = try powers((0..<inner).map { Double(inner - 1 - $0) }).map { try $0.to(type) }
        let coarse = try powers((0..<outer).map { Double((outer - 1 - $0) * inner) }).map {
            try $0.to(type).unsqueezed(1)
        }
        let sums = try whole.reshaped([channels, groups * outer, inner]).matmul(fine.joined())
            .reshaped([channels, groups, outer, 2, modeCount])
        return try (ComplexTensor(planes: sums, axis: 3) * coarse).map { try $0.sum([2]) }
    }

    /// Returns the sizes of two factors of a length such that both tables are small.
    private static func split(_ length: Int, groups: Int) -> (outer: Int, inner: Int) {
        let balanced = Int((Double(length) * Double(groups)).squareRoot().rounded(.up))
        let inner = min(length, max(1, balanced))
        return ((length + inner - 1) / inner, inner)
    }
}

extension ComplexTensor {
    /// z + a real number.
    fileprivate func adding(_ number: Double) throws -> ComplexTensor {
        ComplexTensor(real: try real + number, imaginary: imaginary)
    }
}
