import Mixers
import Models
import Torch

extension LanguageModel {
    /// One state with the rows of several, in the order given; at least one state is needed.
    public func joined(_ states: [LanguageModelState]) throws -> LanguageModelState {
        guard let first = states.first else { throw MixerError.emptySequence }
        guard states.count > 1 else { return first }
        for state in states where state.layers.count != first.layers.count {
            throw MixerError.wrongState(
                expected: "\(first.layers.count) layers", found: "\(state.layers.count)")
        }
        let layers = try first.layers.indices.map { layer in
            var named: [String: [Tensor]] = [:]
            for state in states {
                for (name, tensor) in state.layers[layer].tensors { named[name, default: []].append(tensor) }
            }
            return try named.mapValues { try Tensor.concatenated($0, axis: 0) }
        }
        return try state(from: layers, positions: states.flatMap(\.positions))
    }
}
