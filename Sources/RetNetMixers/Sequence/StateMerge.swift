import RetNetLayers
import RetNetTorch

/// The way of a matrix state [B, H, K, V] through a rank's part of a sequence: S' = A S + (what the part itself leaves).
enum StateTransition {
    /// γ^length for every head, given as ln γ: the same for all sequences.
    case powers([Double])
    /// e^g for every head or key channel, given as g [B, H, K or 1, 1], the sum of the logarithms over the part.
    case gates(Tensor)
    /// A [B, H, K, K].
    case matrix(Tensor)
}

extension SequencePart {
    /// Exchanges the states that all ranks' parts leave, each computed with nothing before it, and returns the state that enters
    /// this rank's part, and the one after the whole sequence.
    ///
    ///     E₀ = carried (zeros where nil)     E_{r+1} = A_r E_r + own_r
    ///
    /// One all-gather, also of the transitions where they depend on the data. In the backward pass the gradients of the
    /// entering states are gathered and merged in reverse: U_r = ∂E_{r+1} + A_{r+1}ᵀ U_{r+1} is the gradient of own_r, and
    /// U_r E_rᵀ that of A_r. The state after the whole is outside the graph. Everything is in the type of `own`: float32, or
    /// float64 in float64 models.
    func merged(_ own: Tensor, from carried: Tensor?, by transition: StateTransition) throws
        -> (entering: Tensor, end: Tensor)
    {
        let given: Tensor? =
            switch transition {
            case .powers: nil
            case .gates(let logs): logs
            case .matrix(let matrix): matrix
            }
        let start = try carried?.to(own.elementType)
        let inputs = [own] + [given, start].compactMap { $0 }
        let hasGiven = given != nil
        let results = try recording(inputs) {
            let states = try all(own)
            let steps = try Transitions(transition, gathered: given.map { try all($0) }, lengths, like: own)
            var state = try start?.detached() ?? Tensor.zeros(own.shape, own.elementType, on: own.device)
            var entering = state
            for index in lengths.indices {
                if index == rank { entering = state }
                state = try steps.apply(index, to: state) + states.selected(0, index)
            }
            // Outputs of one node must not share memory.
            return (
                [try entering.clone(), state], hasGiven ? [entering, steps.tensor].compactMap { $0 } : []
            )
        } backward: { saved, gradients in
            let steps = try Transitions(
                transition, gathered: saved.count > 1 ? saved[1] : nil, lengths, like: gradients[0])
            let entering = try all(gradients[0])
            var later = try Tensor.zeros(
                gradients[0].shape, gradients[0].elementType, on: gradients[0].device)
            for index in stride(from: count - 1, to: rank, by: -1) {
                later = try steps.applyTransposed(index, to: later) + entering.selected(0, index)
            }
            var result: [Tensor?] = [later]
            if hasGiven { result.append(try steps.gradient(rank, of: later, entering: saved[0])) }
            if start != nil {
                result.append(
                    try stride(from: rank - 1, through: 0, by: -1).reduce(gradients[0]) {
                        try steps.applyTransposed($1, to: $0)
                    })
            }
            return result
        }
        return (results[0], try results[1].detached())
    }

    /// Returns the tensors of all ranks, [P, ...], outside the graph.
    private func all(_ x: Tensor) throws -> Tensor {
        let result = try Tensor.empty([count] + x.shape, x.elementType, on: x.device)
        try ranks.allGather(x.detached().contiguous().unsqueezed(0), into: result)
        return result
    }
}

/// The transitions of the parts of all ranks.
private struct Transitions {
    /// What the ranks gave, [P, ...]; nil for powers.
    let tensor: Tensor?
    private let factors: [Tensor]
    private let areMatrices: Bool

    init(_ kind: StateTransition, gathered: Tensor?, _ lengths: [Int], like state: Tensor) throws {
        tensor = gathered
        switch kind {
        case .powers(let logGammas):
            factors = try lengths.map {
                try Retention.powers([Double($0)], logGammas, state.elementType, state.device)
            }
            areMatrices = false
        case .gates:
            factors = try lengths.indices.compactMap { try gathered?.selected(0, $0).exp() }
            areMatrices = false
        case .matrix:
            factors = try lengths.indices.compactMap { try gathered?.selected(0, $0) }
            areMatrices = true
        }
    }

    func apply(_ index: Int, to state: Tensor) throws -> Tensor {
        areMatrices ? try factors[index].matmul(state) : try state * factors[index]
    }

    func applyTransposed(_ index: Int, to gradient: Tensor) throws -> Tensor {
        areMatrices
            ? try factors[index].transposed(-1, -2).matmul(gradient) : try gradient * factors[index]
    }

    /// Returns the gradient of what a rank gave, from that of the state after its part and the state before it.
    func gradient(_ index: Int, of later: Tensor, entering: Tensor) throws -> Tensor {
        if areMatrices { return try later.matmul(entering.transposed(-1, -2)) }
        // d e^g = e^g dg
        let axes = factors[index].size(2) == 1 ? [2, 3] : [3]
        return try (later * entering).sum(axes, keepingAxes: true) * factors[index]
    }
}
