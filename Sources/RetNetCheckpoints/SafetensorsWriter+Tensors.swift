import RetNetStorage
import RetNetTorch

extension SafetensorsWriter.Tensor {
    /// Describes a tensor that is converted and copied to the host only while it is being written.
    ///
    /// `type` is the element type in the file, by default the tensor's own.
    public init(name: String, _ tensor: RetNetTorch.Tensor, as type: ElementType? = nil) {
        let type = type ?? tensor.elementType
        self.init(name: name, elementType: type.stored, shape: tensor.shape) { sink in
            try withoutGradients {
                try tensor.to(type).withHostBytes { try sink.write($0) }
            }
        }
    }
}

extension SafetensorsWriter {
    /// Prepares to write named tensors, holding a host copy of one at a time.
    public init(tensors: [(name: String, tensor: RetNetTorch.Tensor)], metadata: [String: String] = [:]) {
        self.init(tensors.map { SafetensorsWriter.Tensor(name: $0.name, $0.tensor) }, metadata: metadata)
    }
}
