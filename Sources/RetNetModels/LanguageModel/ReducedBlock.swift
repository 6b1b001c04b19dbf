import RetNetArchitecture
import RetNetMixers
import RetNetTorch

/// A block that sees every k-th token of its sequence, the anchors: those at multiples of k in the sequence.
///
/// Its state is that of the dense block, which advances at anchors only, and with Sequence-AltUp the last anchor
/// and the block's update of it.
struct ReducedBlock: Block {
    let block: MixerBlock
    let reduction: SequenceAltUp
    let hiddenSize: Int

    private var stride: Int { reduction.stride }

    var auxiliaryLossNames: [String] { block.auxiliaryLossNames }

    func unsupportedReason(for form: MixerForm) -> String? { block.unsupportedReason(for: form) }

    /// False: anchors are counted along a row.
    var supportsForests: Bool { false }
    var supportsRecording: Bool { false }

    /// False: a rank's part may begin between two anchors, or have none.
    var dividesSequences: Bool { false }

    func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        let previous = try own(state)
        let phases = Dictionary(grouping: pass.positions.indices) { pass.positions[$0].count % stride }
        if phases.count <= 1 {
            return try piece(x, previous, pass, phase: phases.keys.first ?? 0)
        }
        // Rows with anchors at different tokens, as in a batch of conversations, run group by group.
        var order: [Int] = []
        var outputs: [Tensor] = []
        var states: [ReducedState] = []
        for (phase, rows) in phases.sorted(by: { $0.key < $1.key }) {
            let indices = try Tensor.from(rows.map(Int64.init)).to(on: x.device)
            let part = pass.deriving("rows of phase \(phase) of \(stride)") {
                rows.map { pass.positions[$0] }
            }
            let (output, next) = try piece(
                x.indexSelected(0, indices),
                previous?.mapTensors { try $0.indexSelected(0, indices) }, part, phase: phase)
            order += rows
            outputs.append(output)
            states.append(next)
        }
        var back = [Int64](repeating: 0, count: order.count)
        for (place, row) in order.enumerated() { back[row] = Int64(place) }
        let indices = try Tensor.from(back).to(on: x.device)
        let joined = try self.state(from: StateRows.joined(states))
        return (
            try Tensor.concatenated(outputs, axis: 0).indexSelected(0, indices),
            try joined.mapTensors { try $0.indexSelected(0, indices) }
        )
    }

    /// Applies the block to a piece all of whose rows are at the same distance from their last anchors.
    private func piece(_ x: Tensor, _ previous: ReducedState?, _ pass: ForwardPass, phase: Int) throws
        -> (output: Tensor, state: ReducedState)
    {
        let first = (stride - phase) % stride
        let before =
            try previous
            ?? initialState(batch: x.size(0), elementType: x.elementType, device: x.device)
        var inner = before.inner
        var layerOutput: Tensor?
        if let anchors = try reduction.anchors(x, first: first) {
            let anchorPass = pass.deriving("anchors of \(stride)") { pass.positions.map(anchorPosition) }
            let result = try block(anchors, state: previous?.inner, anchorPass)
            (layerOutput, inner) = (result.output, result.state)
        }
        let mixed = try reduction.mix(x, layerOutput: layerOutput, carry: before.carry, first: first)
        return (mixed.output, ReducedState(inner: inner, carry: mixed.carry))
    }

    /// Returns the position of the next anchor among all anchors, the only tokens that the mixer counts.
    private func anchorPosition(_ place: SequencePosition) -> SequencePosition {
        let wait = (stride - place.count % stride) % stride
        return SequencePosition(
            position: (place.position + wait) / stride, count: (place.count + stride - 1) / stride)
    }

    // MARK: State

    func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        let state: ReducedState = try initialState(batch: batch, elementType: elementType, device: device)
        return state
    }

    private func initialState(batch: Int, elementType: ElementType, device: Device) throws -> ReducedState {
        func zeros() throws -> Tensor {
            try Tensor.zeros([batch, hiddenSize], elementType.accumulator, on: device)
        }
        return ReducedState(
            inner: try block.initialState(batch: batch, elementType: elementType, device: device),
            carry: reduction.coefficients == nil
                ? nil : SequenceAltUp.Carry(anchor: try zeros(), innovation: try zeros()))
    }

    func rebased(_ state: any MixerState, from positions: [SequencePosition]) throws -> any MixerState {
        guard let state = try own(state) else { return state }
        let offsets = positions.map { place in
            let moved = anchorPosition(SequencePosition(position: 0, count: place.count))
            return SequencePosition(
                position: anchorPosition(place).position - moved.position, count: 0)
        }
        return ReducedState(inner: try block.rebased(state.inner, from: offsets), carry: state.carry)
    }

    func state(from tensors: [String: Tensor]) throws -> any MixerState {
        var rest = tensors
        guard reduction.coefficients != nil else {
            return ReducedState(inner: try block.state(from: rest), carry: nil)
        }
        guard let anchor = rest.removeValue(forKey: SequenceReductionConfiguration.anchorName),
            let innovation = rest.removeValue(forKey: SequenceReductionConfiguration.innovationName),
            anchor.rank == 2, anchor.size(1) == hiddenSize, innovation.shape == anchor.shape
        else {
            throw MixerError.wrongState(
                expected: "the last anchor and its update [B, \(hiddenSize)]",
                found: "\(tensors.mapValues(\.shape))")
        }
        return ReducedState(
            inner: try block.state(from: rest),
            carry: SequenceAltUp.Carry(anchor: anchor, innovation: innovation))
    }

    private func own(_ state: (any MixerState)?) throws -> ReducedState? {
        guard let state else { return nil }
        guard let state = state as? ReducedState else {
            throw MixerError.wrongState(
                expected: "the state of a layer that sees some of the tokens", found: "\(type(of: state))")
        }
        return state
    }
}

/// The state of a block that sees some of the tokens.
struct ReducedState: MixerState {
    var inner: any MixerState
    var carry: SequenceAltUp.Carry?

    var tensors: [(name: String, tensor: Tensor)] {
        let own = carry.map {
            [
                (SequenceReductionConfiguration.anchorName, $0.anchor),
                (SequenceReductionConfiguration.innovationName, $0.innovation),
            ]
        }
        return (own ?? []) + inner.tensors
    }

    var growingAxes: [String: Int] { inner.growingAxes }

    func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> ReducedState {
        ReducedState(
            inner: try inner.mapTensors(transform),
            carry: try carry.map {
                SequenceAltUp.Carry(
                    anchor: try transform($0.anchor), innovation: try transform($0.innovation))
            })
    }
}
