import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// Gated multi-scale retention (RetNet, arXiv 2307.08621, equation 8).
///
///     Q = X W_Q     K = X W_K / √a     V = X W_V     G = X W_G        rotate Q and K by absolute position
///     headᵢ = Retention(Qᵢ, Kᵢ, Vᵢ; γᵢ)              one decay per head
///     MSR = (swish(G) ⊙ HeadNorm(head₁ … headₕ)) W_O
///
/// B batch, T time, D model width, H heads, A key size, V value size.
public struct MultiScaleRetention: TokenMixer {
    /// Sizes and choices, with the heads of this rank where ranks have parts of the layers.
    public let configuration: RetentionConfiguration
    private let group: (any RankGroup)?
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let gate: Linear?
    private let output: HeadOutput
    private let logGammas: [Double]
    private let rotation: Rotation
    private let damping: RetentionDamping?

    /// `retention`.
    public var name: String { "retention" }

    /// Declares `query`, `key`, `value`, `gate`, `head_norm` and `output`.
    public init(
        _ scope: ParameterScope, _ configuration: RetentionConfiguration, _ context: LayerContext
    ) throws {
        group = scope.group
        self.configuration = configuration.divided(between: scope.group?.count ?? 1)
        let c = configuration
        let width = context.hiddenSize
        // torchscale multiscale_retention.py, HEAD 4d1e0e8: gain 2^-2.5 for what reads, 2^-1 for the output.
        let reading = Initializer.xavierUniform(gain: pow(2, -2.5))
        let writing = Initializer.xavierUniform(gain: context.initialization.outputGains[.retention] ?? 0.5)
        let (matrix, deepMatrix) = (context.initialization.matrix, context.initialization.deepMatrix)
        func linear(_ name: String, to size: Int, _ initializer: Initializer) throws -> Linear {
            try Linear(
                scope.scope(name), from: width, to: size, bias: c.biases, initializer: initializer,
                dividing: .outputs)
        }
        let keyValueHeads = c.keyValueHeadCount ?? c.headCount
        query = try linear("query", to: c.headCount * c.keySize, matrix(reading))
        key = try linear("key", to: keyValueHeads * c.keySize, matrix(reading))
        value = try linear("value", to: keyValueHeads * c.valueSize, deepMatrix(reading))
        gate = c.gate == .none ? nil : try linear("gate", to: c.headCount * c.valueSize, matrix(reading))
        output = try HeadOutput(
            scope, norm: c.headNorm, gate: c.gate, headCount: c.headCount, valueSize: c.valueSize,
            hiddenSize: width, biases: c.biases, initializer: deepMatrix(writing))
        let stride = Double(context.positionStride)
        let heads = scope.group?.part(of: c.headCount) ?? 0..<c.headCount
        logGammas = c.decay.logGammas(headCount: c.headCount)[heads].map { $0 * stride }
        rotation = Rotation(c.rotation, keySize: c.keySize, stride: context.positionStride)
        damping = RetentionDamping(c, stride: context.positionStride)
    }

    /// Returns a reason for forms with a state if scores are normalized by the sum of their absolute values.
    public func unsupportedReason(for form: MixerForm) -> String? {
        configuration.unsupportedReason(for: form)
    }

    /// True, unless xPos damps distances: its factors are taken along a row.
    public var supportsForests: Bool { damping == nil }

    /// True, unless xPos damps distances or scores are normalized by sums of theirs.
    public var supportsRecording: Bool {
        damping == nil && (configuration.normalization == .none || configuration.normalization == .decay)
    }

    /// True, unless xPos damps distances: its states are taken relative to the last token of a pass.
    public var dividesSequences: Bool { damping == nil }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        if let forest = pass.forest { return try inForest(forest, x, state, pass) }
        if let reason = unsupportedReason(for: pass.form) {
            throw MixerError.unsupportedForm(mixer: name, form: pass.form, reason: reason)
        }
        if let damping, x.size(1) > damping.segmentLength {
            return try inSegments(x, state, pass, length: damping.segmentLength)
        }
        let x = try group?.entering(x) ?? x
        var previous = try checked(state, batch: x.size(0))
        if let damping { previous = try previous.map { try damping.moved($0, by: 1) } }
        if let result = try trained(x, previous, pass) { return result }
        if let result = try decoded(x, previous, pass) { return result }
        let (q, k, v) = try heads(x, pass)
        let retained = try Retention.fused(
            q, k, v, state: previous?.matrix, logGammas: logGammas, form: pass.form,
            overwritesState: pass.context.overwritesStates,
            // The pieces of a damped layer continue from it within one pass.
            keepsState: pass.context.keepsStates || damping != nil, isTraining: pass.context.isTraining,
            sequence: pass.context.sequence)
        let scoreSums = try scoreSums(q, k, previous, pass)
        let epsilons = try foldedEpsilons(q, k, scoreSums: scoreSums?.sums, previous, pass)
        let mixed = try output(retained.output, gate: gate?(x), epsilons: epsilons)
        let next = RetentionState(matrix: retained.state, keySum: scoreSums?.keySum)
        return (mixed, try damping?.moved(next, by: x.size(1) - 1) ?? next)
    }

    /// Runs a training pass by the kernel for whole layers; nil where the layer or the device asks for the single steps.
    ///
    /// Other passes take the steps, whose rounding does not change.
    private func trained(_ x: Tensor, _ previous: RetentionState?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)?
    {
        let c = configuration
        let chunkLength: Int
        switch pass.form {
        case .parallel: chunkLength = x.size(1)
        case .chunkwise(let length): chunkLength = length
        case .recurrent: return nil
        }
        guard pass.context.isTraining, pass.context.sequence == nil, damping == nil, !c.biases,
            c.keyValueHeadCount ?? c.headCount == c.headCount,
            // Sums of absolute scores need all of them at once. Without an epsilon the kernel would carry no sum of keys.
            c.normalization != .decaySumAbs,
            c.normalization != .decayAbsSum || c.headNorm.epsilon > 0, let norm = try output.fusedNorm(),
            FusedOperators.runsRetentionLayer(x, headCount: c.headCount)
        else { return nil }
        let table = try rotation.table(x, pass)
        let layer = FusedOperators.RetentionLayer(
            query: query.weight, key: key.weight, value: value.weight, gate: gate?.weight,
            cosine: table.first, sine: table.last, interleaved: rotation.isInterleaved,
            keyScale: 1 / Double(c.keySize).squareRoot(),
            // The kernel folds the sums of scores in itself.
            epsilons: try foldedEpsilons(
                x, length: x.size(1), by: c.normalization == .none ? ScoreNormalization.none : .decay,
                scoreSums: nil, previous,
                pass),
            sumEpsilon: c.normalization == .decayAbsSum ? c.headNorm.epsilon : nil, keySum: previous?.keySum,
            normWeight: norm.weight, normBias: norm.bias, norm: norm.kind, activation: c.gate.activation,
            logGammas: logGammas, chunkLength: chunkLength)
        let (heads, next, keySum) = try FusedOperators.retentionLayer(
            x, layer, state: previous?.matrix, keepsState: pass.context.keepsStates)
        return (try output.project(heads), RetentionState(matrix: next, keySum: keySum))
    }

    /// Runs a step of generation by the kernel for it; nil where the layer or the device asks for the single steps.
    private func decoded(_ x: Tensor, _ previous: RetentionState?, _ pass: ForwardPass) throws -> (
        output: Tensor, state: any MixerState
    )? {
        let c = configuration
        guard x.size(1) == 1, pass.form == .recurrent, !pass.context.isTraining, !gradientsAreEnabled,
            damping == nil,
            c.normalization == .none || c.normalization == .decay, let norm = try output.fusedNorm(),
            FusedOperators.runsRetentionLayerStep(like: x)
        else { return nil }
        let table = try rotation.table(x, pass)
        let state =
            try previous?.matrix
            ?? Tensor.zeros([x.size(0)] + stateShape, x.elementType.accumulator, on: x.device)
        let step = FusedOperators.RetentionLayerStep(
            query: try query(x), key: try key(x), value: try value(x), gate: try gate?(x),
            cosine: table.first,
            sine: table.last, interleaved: rotation.isInterleaved,
            keyScale: 1 / Double(c.keySize).squareRoot(),
            epsilons: try foldedEpsilons(x, length: 1, scoreSums: nil, previous, pass),
            normWeight: norm.weight,
            normBias: norm.bias, norm: norm.kind, activation: c.gate.activation, logGammas: logGammas,
            groupCount: c.keyValueHeadCount ?? c.headCount)
        guard
            let (heads, next) = try FusedOperators.retentionLayerStep(
                step, state: state, inPlace: previous == nil || pass.context.overwritesStates)
        else { return nil }
        return (try output.project(heads), RetentionState(matrix: next, keySum: nil))
    }

    /// Runs the layer on pieces of x, one after the other.
    private func inSegments(_ x: Tensor, _ state: (any MixerState)?, _ pass: ForwardPass, length: Int) throws
        -> (output: Tensor, state: any MixerState)
    {
        var state = try state ?? initialState(batch: x.size(0), elementType: x.elementType, device: x.device)
        var outputs: [Tensor] = []
        for start in stride(from: 0, to: x.size(1), by: length) {
            let piece = pass.deriving("retention from \(start)") {
                pass.positions.map { $0.advanced(by: start) }
            }
            let end = min(start + length, x.size(1))
            let (output, next) = try self(x.sliced(1, start..<end), state: state, piece)
            outputs.append(output)
            state = next
        }
        return (try Tensor.concatenated(outputs, axis: 1), state)
    }

    /// Runs the layer over trees of tokens, all pairs of a row at once; the state that is returned means nothing.
    private func inForest(
        _ forest: TokenForest, _ x: Tensor, _ state: (any MixerState)?, _ pass: ForwardPass
    ) throws -> (output: Tensor, state: any MixerState) {
        let x = try group?.entering(x) ?? x
        let sharesState = (state as? RetentionState)?.matrix.size(0) == 1
        let previous = try checked(state, batch: sharesState ? 1 : x.size(0))
        let (q, k, v) = try heads(x, pass)
        let type = q.elementType.accumulator
        let decays = try pass.sharing("branches \(configuration.decay) \(configuration.headCount)") {
            let decays = try Retention.branchDecays(
                forest, hidden: pass.hidden(forest, on: x.device), logGammas, type)
            return [decays.between, decays.reach]
        }
        let retained = try Retention.branching(
            q, k, v, state: previous?.matrix, (between: decays[0], reach: decays[1]))
        var sums: Tensor?
        switch configuration.normalization {
        case .none, .decay: break
        case .decayAbsSum:
            sums = try retained.scores.sum([-1])
            if let z = previous?.keySum {
                let carried = try (q.to(type) * decays[1]).matmulRows(z.unsqueezed(-1)).squeezed(-1)
                sums = try sums.map { try $0 + carried }
            }
        // Without a state: the form with one does not exist.
        case .decaySumAbs: sums = previous == nil ? try retained.scores.abs().sum([-1]) : nil
        }
        let epsilons = try foldedEpsilons(q, k, scoreSums: sums, previous, pass)
        let mixed = try output(retained.output, gate: gate?(x), epsilons: epsilons)
        return (mixed, previous ?? RetentionState(matrix: retained.output, keySum: nil))
    }

    /// Q, K (scaled by a^-½) rotated, and V, as [B, H, T, ·].
    private func heads(_ x: Tensor, _ pass: ForwardPass) throws -> (Tensor, Tensor, Tensor) {
        let c = configuration
        let keyValueHeads = c.keyValueHeadCount ?? c.headCount
        let group = c.headCount / keyValueHeads
        let table = try rotation.table(x, pass)
        let (queryTable, keyTable) = try damping?.tables(table, pass) ?? (table, table)
        let q = try rotation.heads(query(x), c.headCount, by: queryTable)
        let k = try rotation.heads(
            key(x), keyValueHeads, by: keyTable, scale: 1 / Double(c.keySize).squareRoot())
        let v = try value(x).heads(keyValueHeads)
        return (q, try k.repeatInterleaved(group, axis: 1), try v.repeatInterleaved(group, axis: 1))
    }

    /// The raw score sums [B, H, T] and the next z, with `decay_abs_sum`.
    private func scoreSums(_ q: Tensor, _ k: Tensor, _ previous: RetentionState?, _ pass: ForwardPass) throws
        -> (sums: Tensor, keySum: Tensor)?
    {
        guard configuration.normalization == .decayAbsSum else { return nil }
        // The sum of scores is retention of the value 1, and z the state of that column.
        return try withoutGradients {
            let wide = q.elementType.accumulator
            let ones = try Tensor.ones([q.size(0), q.size(1), q.size(2), 1], wide, on: q.device)
            let result = try Retention.fused(
                q.detached().to(wide), k.detached().to(wide), ones,
                state: previous?.keySum?.detached().unsqueezed(-1), logGammas: logGammas, form: pass.form,
                sequence: pass.context.sequence)
            return (try result.output.squeezed(-1), try result.state.squeezed(-1))
        }
    }

    /// The head norm's epsilons for raw numerators: [B or 1, H, T], or one number.
    ///
    /// Queries and keys are looked at only where scores are normalized by sums of theirs; else q may be any tensor of the
    /// layer, with the `length` of the sequence. `normalization` takes the place of the layer's.
    private func foldedEpsilons(
        _ q: Tensor, _ k: Tensor? = nil, length: Int? = nil, by normalization: ScoreNormalization? = nil,
        scoreSums: Tensor?, _ previous: RetentionState?, _ pass: ForwardPass
    ) throws -> Tensor {
        let c = configuration
        let normalization = normalization ?? c.normalization
        let type = q.elementType.accumulator
        let length = length ?? q.size(2)
        let epsilon = c.headNorm.kind == .none ? 1 : c.headNorm.epsilon
        guard normalization != .none else { return try Tensor.full([1], epsilon, type, on: q.device) }
        let decaySums = try pass.sharing("decay sums \(c.decay) \(c.headCount)") {
            if let forest = pass.forest {
                let sums = try ScoreNormalization.decaySums(
                    logGammas: logGammas, counts: [pass.commonPlace().count], length: forest.depthCount,
                    type: type, device: q.device)
                return [try forest.spreadHeads(sums)]
            }
            return [
                try ScoreNormalization.decaySums(
                    logGammas: logGammas, counts: pass.positions.map(\.count), length: length, type: type,
                    device: q.device)
            ]
        }[0]
        return try normalization.foldedEpsilons(epsilon, decaySums: decaySums) {
            if let scoreSums { return scoreSums }
            guard previous == nil, let k else {
                throw MixerError.unsupportedForm(
                    mixer: name, form: pass.form,
                    reason: "normalization 'decay_sum_abs' cannot continue from a state")
            }
            return try withoutGradients {
                try Retention.absoluteScoreSums(q.detached(), k.detached(), logGammas: logGammas)
            }
        }
    }
}

// MARK: State

/// The state of retention: S = Σ γ^(n-m) kₘᵀ vₘ, and z = Σ γ^(n-m) kₘ where scores are normalized by their sum.
public struct RetentionState: MixerState {
    /// S [B, H, A, V], float32 (float64 in float64 models), raw: no normalizer is folded in.
    public let matrix: Tensor
    /// z [B, H, A], only with `decay_abs_sum`.
    public let keySum: Tensor?

    /// A state of given values.
    public init(matrix: Tensor, keySum: Tensor?) {
        self.matrix = matrix
        self.keySum = keySum
    }

    /// S as `memory`, and z as `key_sum` where there is one.
    public var tensors: [(name: String, tensor: Tensor)] {
        [("memory", matrix)] + (keySum.map { [("key_sum", $0)] } ?? [])
    }

    /// Returns the state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> RetentionState {
        RetentionState(matrix: try transform(matrix), keySum: try keySum.map(transform))
    }
}

extension MultiScaleRetention {
    private var stateShape: [Int] {
        [configuration.headCount, configuration.keySize, configuration.valueSize]
    }

    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let type = elementType.accumulator
        let keySum =
            configuration.normalization == .decayAbsSum
            ? try Tensor.zeros([batch] + stateShape.dropLast(), type, on: device) : nil
        return RetentionState(
            matrix: try Tensor.zeros([batch] + stateShape, type, on: device), keySum: keySum)
    }

    /// Returns a state of the tensors `memory` and, if this layer keeps one, `key_sum`.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        guard let matrix = tensors["memory"] else {
            throw MixerError.wrongState(expected: "a tensor 'memory'", found: "\(tensors.keys.sorted())")
        }
        let state = RetentionState(matrix: matrix, keySum: tensors["key_sum"])
        guard matrix.rank == 4, Set(tensors.keys).isSubset(of: ["memory", "key_sum"]) else {
            throw MixerError.wrongState(expected: "[B, \(stateShape)]", found: "\(matrix.shape)")
        }
        _ = try checked(state, batch: matrix.size(0))
        return state
    }

    /// Returns the state with every key pair of S and z turned by -offset · θ, so that positions may start again lower.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState {
        guard let state = try checked(state, batch: offsets.count), !rotation.isIdentity else { return state }
        return RetentionState(
            matrix: try rotation.rebased(state.matrix, by: offsets),
            keySum: try state.keySum.map { try rotation.rebased($0.unsqueezed(-1), by: offsets).squeezed(-1) }
        )
    }

    /// The state as this layer's own, after checking that it fits.
    private func checked(_ state: (any MixerState)?, batch: Int) throws -> RetentionState? {
        guard let state else { return nil }
        guard let state = state as? RetentionState else {
            throw MixerError.wrongState(expected: "a retention state", found: "\(type(of: state))")
        }
        guard Array(state.matrix.shape.dropFirst()) == stateShape else {
            throw MixerError.wrongState(expected: "[B] + \(stateShape)", found: "\(state.matrix.shape)")
        }
        let hasSum = configuration.normalization == .decayAbsSum
        guard hasSum == (state.keySum != nil),
            state.keySum.map({ $0.shape == Array(state.matrix.shape.dropLast()) }) ?? true
        else {
            throw MixerError.wrongState(
                expected: hasSum ? "a key sum [B, H, A]" : "no key sum",
                found: "\(state.keySum?.shape.description ?? "none")")
        }
        guard state.matrix.size(0) == batch else {
            throw MixerError.wrongBatch(expected: batch, found: state.matrix.size(0))
        }
        return state
    }
}

extension RetentionConfiguration: MixerBuilding {
    /// Returns gated multi-scale retention of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try MultiScaleRetention(scope, self, context)
    }
}
