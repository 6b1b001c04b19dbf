import Foundation
import RetNetDistributed
import RetNetLayers
import RetNetTorch

/// What a checkpoint holds and rank 0 has not, or has a part of only.
struct GatheredState {
    /// Whole parameters by name, of those that ranks have parts of.
    var parameters: [String: Tensor] = [:]
    /// The whole state of the optimizer.
    var optimizer: [(name: String, tensor: Tensor)] = []
}

/// Checkpoints are whole, whatever the mesh: rank 0 gathers before it saves, and every rank takes its part when it loads.
extension Replicas {
    /// Brings parameters and the optimizer's state of all ranks to rank 0, which then saves them.
    func gatherState(of optimizer: any Optimizer) throws {
        gatheredState = nil
        var state = GatheredState(optimizer: try gatherShards(of: optimizer))
        guard mesh.holdsFirstCopy else { return }
        if mesh.tensor != nil {
            for entry in parameters?.entries ?? [] where entry.part != nil {
                state.parameters[entry.name] = try whole(entry.tensor, entry.part)
            }
            state.optimizer = try state.optimizer.map {
                ($0.name, try whole($0.tensor, part(ofState: $0.name)))
            }
        }
        if isFirst { gatheredState = state }
    }

    /// Returns what was gathered for a checkpoint, or what this rank has where it has all.
    func takeGathered(_ optimizer: any Optimizer) -> GatheredState {
        defer { gatheredState = nil }
        return gatheredState ?? GatheredState(optimizer: optimizer.state)
    }

    /// Returns this rank's part of a saved tensor of the optimizer.
    func own(ofState name: String, _ saved: Tensor) throws -> Tensor {
        guard let group = mesh.tensor, let part = part(ofState: name), saved.shape == part.wholeShape else {
            return saved
        }
        return try saved.sliced(part.axis, group.part(of: saved.size(part.axis)))
    }

    /// Returns how the ranks divide a tensor of the optimizer: as its parameter, whose name ends that of the tensor.
    private func part(ofState name: String) -> ParameterStore.Part? {
        let parameter = name.drop { $0 != "." }.dropFirst()
        return parameters?.entries.first { $0.name == parameter }?.part
    }

    /// Returns a tensor of which the ranks of this tensor group have parts, whole on the first of them.
    private func whole(_ own: Tensor, _ part: ParameterStore.Part?) throws -> Tensor {
        guard let group = mesh.tensor, let part else { return own }
        let own = try own.detached().contiguous()
        guard group.rank == 0 else {
            try group.send(own, to: 0)
            return own
        }
        var parts = [own]
        for rank in 1..<group.count {
            let tensor = try Tensor.empty(own.shape, own.elementType)
            try group.receive(tensor, from: rank)
            parts.append(tensor)
        }
        return try Tensor.concatenated(parts, axis: part.axis)
    }

    /// Returns the state of the optimizers of all copies, on the first of them; the own state on the others.
    private func gatherShards(of optimizer: any Optimizer) throws -> [(name: String, tensor: Tensor)] {
        let own = optimizer.state
        guard shardsOptimizer, let group = mesh.replicas else { return own }
        struct Description: Codable {
            var name: String
            var shape: [Int]
            var elementType: ElementType
        }
        let lists = try group.gathered(
            JSONEncoder().encode(
                own.map {
                    Description(name: $0.name, shape: $0.tensor.shape, elementType: $0.tensor.elementType)
                }),
            "gathering the optimizer's state")
        guard group.rank == 0 else {
            for (_, tensor) in own where tensor.elementCount > 0 { try group.send(tensor, to: 0) }
            return own
        }
        var all = own
        for rank in 1..<group.count {
            for item in try JSONDecoder().decode([Description].self, from: lists[rank]) {
                let tensor = try Tensor.empty(item.shape, item.elementType)
                if tensor.elementCount > 0 { try group.receive(tensor, from: rank) }
                all.append((item.name, tensor))
            }
        }
        return all
    }

    /// Gives all ranks the parameters and moments of the first copy where they differ, and returns the ranks on which they
    /// did.
    ///
    /// Processors of different kinds round differently, so that copies may drift apart.
    func align(_ optimizer: any Optimizer) throws -> [Int] {
        let entries = parameters?.entries ?? []
        var common = entries.filter { $0.part == nil }.map(\.tensor)
        var divided = entries.filter { $0.part != nil }.map(\.tensor)
        for (name, tensor) in shardsOptimizer ? [] : optimizer.state {
            if part(ofState: name) == nil { common.append(tensor) } else { divided.append(tensor) }
        }
        let own = [try Tensor.fingerprint(of: common), try Tensor.fingerprint(of: divided)]
        let all = try mesh.world.gathered(
            Data(own.map { "\($0)" }.joined(separator: " ").utf8), "comparing the copies"
        ).map { String(decoding: $0, as: UTF8.self).split(separator: " ") }
        let different = all.indices.filter { rank in
            all[rank].first != all[0].first
                || all[rank].last != all[mesh.shape.place(of: rank).tensor].last
        }
        guard !different.isEmpty else { return [] }
        try withoutGradients {
            for tensor in common { try mesh.world.broadcast(tensor) }
            for tensor in divided { try mesh.replicas?.broadcast(tensor) }
        }
        return different
    }

    /// Returns a tensor [B, ...] of all rows on rank 0, where ranks hold rows each [b, ...]; the own rows on other ranks.
    func gatherRows(_ own: Tensor, rowCount: Int) throws -> Tensor {
        guard let group = mesh.data else { return own }
        guard group.rank == 0 else {
            if own.size(0) > 0 { try group.send(own.contiguous(), to: 0) }
            return own
        }
        var parts = [own]
        for rank in 1..<share.count {
            let rows = BatchShare(rank: rank, count: share.count).rows(of: rowCount)
            let part = try Tensor.empty([rows.count] + own.shape.dropFirst(), own.elementType)
            try group.receive(part, from: rank)
            parts.append(part)
        }
        return try Tensor.concatenated(parts, axis: 0)
    }
}
