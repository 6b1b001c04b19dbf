import RetNetMixers
import RetNetTorch

/// States of several batches as one.
enum StateRows {
    /// The tensors of one state with the rows of several; those that grow are padded with zeros to the longest.
    static func joined(_ states: [any MixerState]) throws -> [String: Tensor] {
        var named: [String: [Tensor]] = [:]
        for state in states {
            for (name, tensor) in state.tensors { named[name, default: []].append(tensor) }
        }
        let axes = states.first?.growingAxes ?? [:]
        return try Dictionary(
            uniqueKeysWithValues: named.map { name, parts in
                (name, try Tensor.concatenated(padded(parts, axis: axes[name]), axis: 0))
            })
    }

    private static func padded(_ tensors: [Tensor], axis: Int?) throws -> [Tensor] {
        guard let axis else { return tensors }
        let length = tensors.reduce(0) { max($0, $1.size(axis)) }
        return try tensors.map { tensor in
            guard tensor.size(axis) < length else { return tensor }
            var shape = tensor.shape
            shape[axis] = length - tensor.size(axis)
            let zeros = try Tensor.zeros(shape, tensor.elementType, on: tensor.device)
            return try Tensor.concatenated([tensor, zeros], axis: axis)
        }
    }
}
