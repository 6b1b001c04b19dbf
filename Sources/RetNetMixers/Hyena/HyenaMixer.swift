import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// A layer of Hyena (arXiv 2302.10866): gates around convolutions as long as the sequence.
///
///     (x⁰, x¹, v) = ShortConv(x W_in + b),   z = v ⊙ x¹,   y = x⁰ ⊙ (h * z + b_h ⊙ z),   out = y W_out + b
///
/// That is order 2; every further order adds a gate and a long filter. There is no state of fixed size: decoding keeps
/// z and sums over it, O(n d) per token.
public struct HyenaMixer: TokenMixer {
    /// Sizes and choices.
    public let configuration: HyenaConfiguration
    private let input: Linear
    private let short: ShortConvolution
    private let filter: HyenaFilter
    private let output: Linear
    private let tables = DerivedTables()

    /// `hyena`.
    public var name: String { "hyena" }

    /// Declares `input`, `short`, `filter` and `output`.
    public init(_ scope: ParameterScope, _ configuration: HyenaConfiguration, _ context: LayerContext) throws
    {
        self.configuration = configuration
        let (width, channels) = (context.hiddenSize, configuration.channelCount)
        let own = Initializer.fanInUniform(scale: 1)
        let inner = (configuration.order + 1) * channels
        input = try Linear(
            scope.scope("input"), from: width, to: inner, bias: true,
            initializer: context.initialization.matrix(own))
        short = try ShortConvolution(
            scope.scope("short"), channels: inner, width: configuration.shortSize, bias: true)
        filter = try HyenaFilter(scope.scope("filter"), configuration)
        output = try Linear(
            scope.scope("output"), from: channels, to: width, bias: true,
            initializer: context.initialization.deepMatrix(own))
    }

    /// True: every rank gets the inputs of the long filters of all ranks before it.
    public var dividesSequences: Bool { true }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    ///
    /// Throws ``MixerError/tooLong(mixer:length:limit:remedy:)`` beyond the configured length.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        let length = x.size(1)
        guard length > 0 else { throw MixerError.emptySequence }
        let before = try StateTensors.own(
            state, as: HyenaState.self, named: name, batch: x.size(0), configuration.stateTensors)
        let sequence = pass.context.sequence
        let carried = try self.starts(pass, before, batch: x.size(0), length: sequence?.wholeLength ?? length)
        let starts = carried.map { $0 + (sequence?.offset ?? 0) }
        let total = (starts.max() ?? 0) + length
        let taps = try taps(total, x.elementType.accumulator)
        let (all, ring) = try short(
            input(x), ring: before?.ring, in: sequence, isTraining: pass.context.isTraining)
        let d = configuration.channelCount
        func part(_ index: Int) throws -> Tensor { try all.sliced(-1, index * d..<(index + 1) * d) }
        let order = configuration.order
        var y = try part(order)
        var histories: [GrowingTensor] = []
        for index in 0..<order - 1 {
            let z = try y * part(order - 1 - index)
            let history: GrowingTensor
            if let sequence {
                let parts = try sequence.gatheredTokens(z, axis: 1)
                func joined(_ count: Int) throws -> GrowingTensor {
                    let tokens = try Tensor.concatenated(Array(parts.prefix(count)), axis: 1)
                    return try append(tokens, to: before?.histories[index], carried)
                }
                history = try joined(sequence.rank + 1)
                histories.append(
                    pass.context.keepsStates ? try withoutGradients { try joined(parts.count) } : history)
            } else {
                history = try append(z, to: before?.histories[index], carried)
                histories.append(history)
            }
            let columns = index * d..<(index + 1) * d
            y = try Hyena.filter(
                history.tensor, taps: taps.sliced(1, columns), bias: filter.bias.sliced(0, columns),
                starts: starts, length: length, form: pass.form)
        }
        return (try output(y * part(0)), HyenaState(ring: ring, histories: histories))
    }

    private func append(_ z: Tensor, to history: GrowingTensor?, _ counts: [Int]) throws -> GrowingTensor {
        guard let history else { return GrowingTensor(z, axis: 1) }
        let records = gradientsAreEnabled && (history.tensor.requiresGradient || z.requiresGradient)
        return try history.appending(z, counts: counts, recordsGraph: records)
    }

    /// Returns the number of tokens that each row has seen, after checking that state and length allow for them.
    private func starts(_ pass: ForwardPass, _ before: HyenaState?, batch: Int, length: Int) throws -> [Int] {
        guard pass.positions.count == batch else {
            throw MixerError.wrongBatch(expected: batch, found: pass.positions.count)
        }
        // Positions are those of this rank's first token.
        let offset = pass.context.sequence?.offset ?? 0
        let counts =
            before == nil
            ? [Int](repeating: 0, count: batch) : pass.positions.map { max(0, $0.count - offset) }
        let longest = counts.max() ?? 0
        if let before, let short = before.histories.first(where: { $0.tensor.size(1) < longest }) {
            throw MixerError.wrongState(
                expected: "a history of \(longest) tokens", found: "one of \(short.tensor.size(1))")
        }
        guard longest + length <= configuration.maximumLength else {
            throw MixerError.tooLong(
                mixer: name, length: longest + length, limit: configuration.maximumLength,
                remedy: "start a new sequence, or train with a larger 'maximum_length'")
        }
        return counts
    }

    /// Returns at least `length` taps of every filter, [L, filters · d].
    private func taps(_ length: Int, _ type: ElementType) throws -> Tensor {
        let weights = filter.weights
        guard !(gradientsAreEnabled && weights.contains(where: \.requiresGradient)) else {
            return try filter.taps(length: length, type)
        }
        // Twice as many each time, so that a decoding computes them a few times only.
        var room = 64
        while room < length { room *= 2 }
        let count = min(room, configuration.maximumLength)
        return try tables(weights, size: count, type) {
            [try filter.taps(length: count, type).contiguous()]
        }[0]
    }
}

// MARK: State

/// The state of Hyena: the last inputs of the short convolution, and every input of the long ones.
///
/// Histories [B, n, d] are in the type of passes, to which entries were rounded before any form used them. The
/// entry of a row's token i is at index i; entries behind a row's own are never read.
public struct HyenaState: MixerState {
    /// The last inputs of the short convolution [B, W-1, (order+1) d], float32 (float64 in float64 models).
    public let ring: Tensor
    /// One history per long filter.
    let histories: [GrowingTensor]

    init(ring: Tensor, histories: [GrowingTensor]) {
        self.ring = ring
        self.histories = histories
    }

    /// `ring`, and `history_1` and so on.
    public var tensors: [(name: String, tensor: Tensor)] {
        [("ring", ring)] + histories.enumerated().map { (Self.historyName($0), $1.tensor) }
    }

    /// Histories grow along axis 1.
    public var growingAxes: [String: Int] {
        Dictionary(uniqueKeysWithValues: histories.indices.map { (Self.historyName($0), 1) })
    }

    /// Returns the state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> HyenaState {
        HyenaState(
            ring: try transform(ring),
            histories: try histories.map { GrowingTensor(try transform($0.tensor), axis: 1) })
    }

    static func historyName(_ index: Int) -> String { "history_\(index + 1)" }
}

extension HyenaMixer {
    /// Returns zeros and empty histories: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let d = configuration.channelCount
        return HyenaState(
            ring: try short.initialRing(batch: batch, elementType: elementType, device: device),
            histories: try (0..<configuration.filterCount).map { _ in
                GrowingTensor(try Tensor.zeros([batch, 0, d], elementType, on: device), axis: 1)
            })
    }

    /// Returns a state of `ring` and a history for each long filter.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        let parts = try StateTensors.ordered(tensors, configuration.stateTensors)
        return HyenaState(ring: parts[0], histories: parts.dropFirst().map { GrowingTensor($0, axis: 1) })
    }
}

extension HyenaConfiguration: MixerBuilding {
    /// Returns a Hyena layer of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try HyenaMixer(scope, self, context)
    }
}
