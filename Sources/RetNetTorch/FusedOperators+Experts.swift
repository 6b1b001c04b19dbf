import CRetNetTorch

extension FusedOperators {
    /// Who chooses in a mixture of experts, and in which order.
    public enum RoutingOrder: Sendable {
        /// Tokens choose experts; places are given in the order of positions.
        case byPosition
        /// Tokens choose experts; places are given to the most certain first (V-MoE).
        case byPriority
        /// Experts choose tokens.
        case byExpert

        var code: ct_routing_order {
            switch self {
            case .byPosition: CT_ROUTING_BY_POSITION
            case .byPriority: CT_ROUTING_BY_PRIORITY
            case .byExpert: CT_ROUTING_BY_EXPERT
            }
        }
    }

    /// The assignment of tokens to experts.
    ///
    /// A slot is one token at one expert, or empty.
    public struct Routes {
        /// The token of every slot, int64 [M], -1 where it is empty; slots are sorted by expert.
        public let slotTokens: Tensor
        /// Where each slot's probability stands among all N · E, int64 [M]; 0 where it is empty.
        public let slotEntries: Tensor
        /// The experts that every token wanted, best first, int64 [N, k].
        public let choices: Tensor
        /// The number of slots of each expert, empty ones included.
        public let counts: [Int]
        /// The number of all slots that are not empty.
        public let takenCount: Int
    }

    /// Routes by probabilities [N, E]; a capacity of nil takes every token.
    ///
    /// Given the `sequences` of the tokens, N indices from 0, the capacity is that of an expert for one sequence, where
    /// tokens choose. Empty slots make every expert's count a multiple of `granule`.
    public static func route(
        _ probabilities: Tensor, order: RoutingOrder, choices: Int, capacity: Int?,
        sequences: [Int64]? = nil, granule: Int = 1
    ) throws -> Routes {
        if let sequences, sequences.count != probabilities.size(0) {
            throw TorchError(
                kind: .value,
                message: "routing \(probabilities.size(0)) tokens needs the sequence of each, found"
                    + " \(sequences.count)")
        }
        var outs = [ct_tensor?](repeating: nil, count: 3)
        var counts = [Int64](repeating: 0, count: Swift.max(1, probabilities.size(-1)))
        try outs.withUnsafeMutableBufferPointer { outs in
            guard let base = outs.baseAddress else { return }
            try check(
                ct_route(
                    base, base + 1, base + 2, &counts, probabilities.handle, order.code, Int64(choices),
                    Int64(capacity.map { Swift.max(1, $0) } ?? 0), sequences, Int64(Swift.max(1, granule))))
        }
        let results = outs.compactMap { $0.map { Tensor(owning: $0) } }
        guard results.count == 3 else {
            throw TorchError(kind: .other, message: "routing returned no tensor")
        }
        let (taken, granule) = (counts.map(Int.init), Swift.max(1, granule))
        return Routes(
            slotTokens: results[0], slotEntries: results[1], choices: results[2],
            counts: taken.map { ($0 + granule - 1) / granule * granule }, takenCount: taken.reduce(0, +))
    }

    /// The row of every slot's token: x [N, D] → [M, D].
    public static func dispatch(_ x: Tensor, _ routes: Routes) throws -> Tensor {
        try Tensor.make { ct_dispatch($0, x.handle, routes.slotTokens.handle) }
    }

    /// Rows [M, D] times gates [M], summed by token → [N, D]; zeros for tokens without a slot.
    public static func collect(_ rows: Tensor, gates: Tensor, _ routes: Routes, tokenCount: Int) throws
        -> Tensor
    {
        try Tensor.make {
            ct_collect($0, rows.handle, gates.handle, routes.slotTokens.handle, Int64(tokenCount))
        }
    }

    /// Rows [M, D] at their places of N, int64 [M] → [N, D]; zeros elsewhere.
    public static func spread(_ rows: Tensor, to places: Tensor, count: Int) throws -> Tensor {
        let ones = try Tensor.ones([rows.size(0)], rows.elementType.accumulator, on: rows.device)
        return try Tensor.make {
            ct_collect($0, rows.handle, ones.handle, places.handle, Int64(count))
        }
    }

    /// Rows [M, in] times the matrix of their expert; weight [E, out, in], bias [E, out].
    ///
    /// The first `counts[0]` rows belong to expert 0, and so on.
    public static func groupedLinear(_ x: Tensor, weight: Tensor, bias: Tensor?, counts: [Int]) throws
        -> Tensor
    {
        let sizes = counts.map(Int64.init)
        return try Tensor.make {
            ct_grouped_linear(
                $0, x.handle, weight.handle, bias?.handle, sizes, Int32(clamping: sizes.count))
        }
    }
}
