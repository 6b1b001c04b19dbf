import RetNetTorch

/// Diagonal state spaces (S4D, arXiv 2206.11893) over sequences, in their equal forms.
///
/// B batch, T time, C channels, M complex modes per channel. u [B, T, C], state [B, C, 2, M]: real and imaginary
/// parts of x, float32 (float64 for float64 inputs), nil for zeros. Outputs [B, T, C] have the state's type.
///
/// ``definition(_:_:state:)`` is the specification; the other forms are tested against it.
public enum StateSpace {
    /// Outputs and the state after the last position.
    public typealias Result = (output: Tensor, state: Tensor)

    /// x_t = Ā x_{t-1} + B̄ u_t, y_t = 2 Re(C x_t) + D u_t in float64, as it is written.
    public static func definition(_ u: Tensor, _ system: DiagonalSystem, state: Tensor?) throws -> Result {
        let type = system.skip.elementType
        let transition = try system.transition()
        var x = try modes(state, u, system, type)
        var outputs: [Tensor] = []
        for t in 0..<u.size(1) {
            let value = try u.selected(1, t).to(type)
            x = try transition * x + system.input * value.unsqueezed(-1)
            let read = try (system.readout * x).real.sum([-1]) * 2
            outputs.append(try read + value * system.skip)
        }
        return (try Tensor.stacked(outputs, axis: 1), try x.planes(axis: 2))
    }

    /// y = K * u + D u by one long convolution, plus 2 Re(C Ā^(t+1) x) of the state, which has a closed form too.
    public static func parallel(_ u: Tensor, _ system: DiagonalSystem, state: Tensor?) throws -> Result {
        let type = u.elementType.accumulator
        let (wide, length) = (try u.to(type), u.size(1))
        let kernel = try system.kernel(length: length, type)
        var output = try FusedOperators.longConvolution(
            wide, taps: kernel.transposed(0, 1), skip: system.skip.to(type))
        var x = try system.absorb(wide.permuted([2, 0, 1])) * narrow(system.input, type)
        if let state {
            let before = try ComplexTensor(planes: state.to(type).permuted([1, 0, 2, 3]), axis: 2)
            let carried = try system.evaluate(before * fading(system, type), length: length, type)
            output = try output + carried.permuted([1, 2, 0])
            x = try x + before * system.powers([Double(length)]).map { try $0.to(type) }
        }
        return (output, try x.planes(axis: 2).permuted([1, 0, 2, 3]).contiguous())
    }

    /// The longest sequence whose outputs in training are one convolution: what chunks save from there on is more than what their
    /// states cost.
    private static let trainingLength = 1024
    /// Up to this length direct sums over the taps that reach anything are faster than spectra.
    private static let directLength = 768

    /// Computes the outputs [B, T, C] of a sequence from the start alone, in the type of u, for training, where nobody needs the
    /// state behind it; nil where chunks are less work.
    static func outputs(_ u: Tensor, _ system: DiagonalSystem) throws -> Tensor? {
        let (type, length) = (u.elementType.accumulator, u.size(1))
        guard length <= trainingLength,
            FusedOperators.hasKernel(for: .longConvolution, u.elementType, on: u.device)
        else { return nil }
        return try FusedOperators.longConvolution(
            u, taps: system.kernelWithSkip(length: length, type).transposed(0, 1),
            method: length <= directLength ? .direct : .automatic)
    }

    /// Convolutions inside chunks, all at once, and the state from one chunk to the next: work linear in T.
    public static func chunkwise(_ u: Tensor, _ system: DiagonalSystem, state: Tensor?, chunkLength: Int)
        throws -> Result
    {
        let (length, whole) = (u.size(1), u.size(1) / chunkLength * chunkLength)
        guard whole > chunkLength else {
            guard whole > 0, whole < length else { return try parallel(u, system, state: state) }
            let first = try parallel(u.sliced(1, 0..<whole), system, state: state)
            let last = try parallel(u.sliced(1, whole..<length), system, state: first.state)
            return (try Tensor.concatenated([first.output, last.output], axis: 1), last.state)
        }
        let chunks = try wholeChunks(u.sliced(1, 0..<whole), system, state: state, chunkLength: chunkLength)
        guard whole < length else { return chunks }
        let last = try parallel(u.sliced(1, whole..<length), system, state: chunks.state)
        return (try Tensor.concatenated([chunks.output, last.output], axis: 1), last.state)
    }

    private static func wholeChunks(
        _ u: Tensor, _ system: DiagonalSystem, state: Tensor?, chunkLength: Int
    ) throws -> Result {
        let type = u.elementType.accumulator
        let (batch, channels, count) = (u.size(0), u.size(2), u.size(1) / chunkLength)
        let local = try u.to(type).reshaped([batch * count, chunkLength, channels])
        let kernel = try system.kernel(length: chunkLength, type)
        let output = try FusedOperators.longConvolution(
            local, taps: kernel.transposed(0, 1), skip: system.skip.to(type))
        let written = try (system.absorb(local.permuted([2, 0, 1])) * narrow(system.input, type)).map {
            try $0.reshaped([channels, batch, count, system.modeCount])
        }
        let power = try system.powers([Double(chunkLength)]).map { try $0.to(type) }
        var x = try ComplexTensor(
            planes: (state?.to(type) ?? zeros(u, system)).permuted([1, 0, 2, 3]), axis: 2)
        var entering: [ComplexTensor] = []
        for index in 0..<count {
            entering.append(x)
            x = try x * power + written.map { try $0.selected(2, index) }
        }
        let states = ComplexTensor(
            real: try Tensor.stacked(entering.map(\.real), axis: 2),
            imaginary: try Tensor.stacked(entering.map(\.imaginary), axis: 2)
        )
        let flat = try states.map { try $0.reshaped([channels, batch * count, system.modeCount]) }
        let carried = try system.evaluate(flat * fading(system, type), length: chunkLength, type)
        let sum = try output + carried.permuted([1, 2, 0])
        return (
            try sum.reshaped([batch, count * chunkLength, channels]),
            try x.planes(axis: 2).permuted([1, 0, 2, 3]).contiguous()
        )
    }

    /// One position after another, differentiable.
    public static func recurrent(_ u: Tensor, _ system: DiagonalSystem, state: Tensor?) throws -> Result {
        let type = u.elementType.accumulator
        // As a difference from 1, or thousands of steps would multiply the rounding of a decay close to 1.
        let alpha = try narrow(system.logTransition.exponentialMinusOne(), type, axis: nil)
        let input = try narrow(system.input, type, axis: nil)
        let readout = try narrow(system.readout, type, axis: nil)
        let skip = try system.skip.to(type)
        var x = try modes(state, u, system, type)
        var outputs: [Tensor] = []
        for t in 0..<u.size(1) {
            let value = try u.selected(1, t).to(type)
            x = try x + (alpha * x + input * value.unsqueezed(-1))
            outputs.append(try (readout * x).real.sum([-1]) * 2 + value * skip)
        }
        return (try Tensor.stacked(outputs, axis: 1), try x.planes(axis: 2))
    }

    /// Computes the same without gradients by a native step, from tables that ``stepTables(_:_:)`` makes; for the CPU.
    static func steps(_ u: Tensor, _ tables: [Tensor], state: Tensor?, overwritesState: Bool = false) throws
        -> Result
    {
        let type = tables[0].elementType
        // One copy at the start keeps the caller's state intact; the steps then work in place.
        let x =
            try state?.forSteps(type, overwrites: overwritesState)
            ?? Tensor.zeros([u.size(0)] + tables[0].shape, type, on: u.device)
        let wide = try u.to(type)
        let outputs = try (0..<u.size(1)).map { t in
            try FusedOperators.diagonalStep(
                wide.selected(1, t), state: x, alpha: tables[0], input: tables[1], readout: tables[2])
        }
        return (try Tensor.stacked(outputs, axis: 1) + wide * tables[3], x)
    }

    /// Ā - 1, B̄ and C as [C, 2, M], and D.
    static func stepTables(_ system: DiagonalSystem, _ type: ElementType) throws -> [Tensor] {
        try [system.logTransition.exponentialMinusOne(), system.input, system.readout].map {
            try $0.planes(axis: 1).to(type).contiguous()
        } + [system.skip.to(type).contiguous()]
    }

    // MARK: Parts

    /// Returns the state's modes as [B, C, M].
    private static func modes(_ state: Tensor?, _ u: Tensor, _ system: DiagonalSystem, _ type: ElementType)
        throws -> ComplexTensor
    {
        try ComplexTensor(planes: (state ?? zeros(u, system)).to(type), axis: 2)
    }

    /// Returns C Ā, by which a state entering a piece counts at its first position: [C, 1, M].
    private static func fading(_ system: DiagonalSystem, _ type: ElementType) throws -> ComplexTensor {
        try narrow(system.readout * system.transition(), type)
    }

    private static func narrow(_ numbers: ComplexTensor, _ type: ElementType, axis: Int? = 1) throws
        -> ComplexTensor
    {
        try numbers.map { number in
            let narrowed = try number.to(type)
            return try axis.map { try narrowed.unsqueezed($0) } ?? narrowed
        }
    }

    private static func zeros(_ u: Tensor, _ system: DiagonalSystem) throws -> Tensor {
        try Tensor.zeros(
            [u.size(0), u.size(2), 2, system.modeCount], u.elementType.accumulator, on: u.device)
    }
}
