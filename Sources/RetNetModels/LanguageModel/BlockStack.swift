import RetNetArchitecture
import RetNetLayers
import RetNetMixers
import RetNetTorch

/// The blocks of a model, one after the other, over one stream of hidden states or over the streams of AltUp.
struct BlockStack {
    let blocks: [any Block]
    private let altUp: AltUpStack?

    /// Declares every block under `layers.N`.
    init(_ root: ParameterScope, _ c: LanguageModelConfiguration, _ initializers: ModelInitializers) throws {
        let places = c.wholeLayers
        let mixerBlocks = try (0..<c.layerCount).map {
            try MixerBlock(root.scope("layers.\($0)"), c, layer: $0, places, initializers)
        }
        let altUp = try c.altUp.map {
            try AltUpStack(
                $0, hiddenSize: c.hiddenSize, layerCount: c.layerCount, scope: root,
                layerScope: { root.scope("layers.\($0)") })
        }
        blocks = mixerBlocks.enumerated().map { index, block in
            guard let reduction = altUp?.reduction(layer: index) else { return block }
            return ReducedBlock(block: block, reduction: reduction, hiddenSize: c.hiddenSize)
        }
        self.altUp = altUp
    }

    /// Passes embedded tokens [B, T, ·] through all blocks; returns the output and each block's state.
    func callAsFunction(
        _ embedded: Tensor, states: [any MixerState]?, _ pass: ForwardPass, recomputes: Bool
    ) throws -> (output: Tensor, states: [any MixerState]) {
        let norms = pass.context.isTraining ? fusibleNorms : nil
        var streams = try altUp?.expand(embedded) ?? [embedded]
        var next: [any MixerState] = []
        next.reserveCapacity(blocks.count)
        for index in blocks.indices {
            let isRecomputed =
                recomputes && gradientsAreEnabled && streams.contains(where: \.requiresGradient)
            let (mixed, state) =
                isRecomputed
                ? try recomputed(index, streams, states?[index], pass, norms)
                : try step(index, streams, states?[index], pass, norms)
            streams = mixed
            next.append(state)
        }
        if norms != nil, streams.count == 2 {
            let sum = try StepProfile.part(.norms) { try FusedOperators.residualAdd(streams[0], streams[1]) }
            return (sum, next)
        }
        return (try altUp?.collapse(streams) ?? streams[0], next)
    }

    /// The norms of all blocks, where every residual sum can be formed by the norm behind it, also from block to block: nil
    /// where a block or AltUp does something else with the stream.
    ///
    /// The stream then has two parts behind a block: itself, and what the next norm is to add to it.
    private var fusibleNorms: [(block: MixerBlock, norms: MixerBlock.FusibleNorms)]? {
        guard altUp == nil else { return nil }
        let parts = blocks.compactMap { block in
            (block as? MixerBlock).flatMap { block in block.fusibleNorms.map { (block, $0) } }
        }
        return parts.count == blocks.count ? parts : nil
    }

    private func step(
        _ index: Int, _ streams: [Tensor], _ state: (any MixerState)?, _ pass: ForwardPass,
        _ fusible: [(block: MixerBlock, norms: MixerBlock.FusibleNorms)]?
    ) throws -> ([Tensor], any MixerState) {
        if let (block, norms) = fusible?[index] {
            let pending = streams.count == 2 ? streams[1] : nil
            let result = try block.fused(norms, streams[0], adding: pending, state: state, pass)
            return ([result.stream, result.branch], result.state)
        }
        guard let altUp else {
            let (output, next) = try run(index, streams[0], state, pass)
            return ([output], next)
        }
        return try altUp.mix(index, streams, pass.context) { x in try run(index, x, state, pass) }
    }

    private func run(_ index: Int, _ x: Tensor, _ state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (Tensor, any MixerState)
    {
        let block = blocks[index]
        guard let sequence = pass.context.sequence, !block.dividesSequences else {
            let (output, next) = try block(x, state: state, pass)
            return (output, next)
        }
        let (output, next) = try sequence.handingOver(block, x, state: state, pass)
        return (output, next)
    }

    /// Does the same, keeping only the inputs for the backward pass.
    private func recomputed(
        _ index: Int, _ streams: [Tensor], _ state: (any MixerState)?, _ pass: ForwardPass,
        _ fusible: [(block: MixerBlock, norms: MixerBlock.FusibleNorms)]?
    ) throws -> ([Tensor], any MixerState) {
        // Only tensors cross the segment; names and structure are those of a state of this block. States that nothing uses stay
        // inside, or those that grow would be kept.
        let block = blocks[index]
        let template =
            try state
            ?? block.initialState(
                batch: streams[0].size(0), elementType: streams[0].elementType, device: streams[0].device)
        let names = template.tensors.map(\.name)
        let keptNames = pass.context.keepsStates ? names : []
        let losses = pass.context.isTraining ? pass.context.auxiliaryLosses : nil
        let lossNames = losses == nil ? [] : block.auxiliaryLossNames
        let replay = DropoutReplay(pass.context.generator)
        let count = streams.count
        let outputCount = fusible == nil ? count : 2
        let results = try recomputing(
            streams + (state?.tensors.map(\.tensor) ?? []),
            outputCount: outputCount + keptNames.count + lossNames.count
        ) { inputs in
            try replay.run {
                let given =
                    state == nil ? nil : try block.state(from: Self.named(names, inputs.dropFirst(count)))
                func run() throws -> [Tensor] {
                    let (outputs, next) = try step(index, Array(inputs.prefix(count)), given, pass, fusible)
                    return outputs + next.tensors.prefix(keptNames.count).map(\.tensor)
                }
                guard let losses else { return try run() }
                let (outputs, terms) = try losses.capturing(run)
                return outputs + terms.map(\.value)
            }
        }
        for (name, value) in zip(lossNames, results.dropFirst(outputCount + keptNames.count)) {
            losses?.add(name, value)
        }
        guard !keptNames.isEmpty else { return (Array(results.prefix(outputCount)), template) }
        let next = results.dropFirst(outputCount).prefix(names.count)
        return (Array(results.prefix(outputCount)), try block.state(from: Self.named(names, next)))
    }

    private static func named(_ names: [String], _ tensors: ArraySlice<Tensor>) -> [String: Tensor] {
        Dictionary(zip(names, tensors), uniquingKeysWith: { first, _ in first })
    }
}

/// The state of the generator at the first run of a segment, for the same dropout when it is computed again.
final class DropoutReplay {
    private let generator: Generator?
    private var start: [UInt8]?

    init(_ generator: Generator?) { self.generator = generator }

    func run<R>(_ body: () throws -> R) throws -> R {
        guard let generator else { return try body() }
        guard let start else {
            start = try generator.state()
            return try body()
        }
        let now = try generator.state()
        try generator.restore(start)
        let result = try body()
        try generator.restore(now)
        return result
    }
}
