import RetNetSettings
import RetNetStorage
import RetNetTorch

/// Named tensors of a checkpoint that are read on demand, with what its files say beside them.
public protocol TensorSource {
    /// The path of the file or folder, as given.
    var path: String { get }
    /// All tensors, in the order of the files.
    var entries: [SafetensorsEntry] { get }
    /// Values that are no tensors, such as the argument bag of a training program; `.null` for none.
    var values: SettingsTree { get }

    /// Returns a tensor's type and shape; nil if there is no tensor of this name.
    func entry(named name: String) -> SafetensorsEntry?
    /// Reads a tensor in its stored element type onto a device, in row-major order.
    func tensor(named name: String, on device: Device) throws -> Tensor
}

extension TensorSource {
    /// None.
    public var values: SettingsTree { .null }

    /// Returns true if two tensors have the same element type, shape and values.
    func areEqual(_ first: String, _ second: String) throws -> Bool {
        guard let a = entry(named: first), let b = entry(named: second),
            a.elementType == b.elementType, a.shape == b.shape
        else { return false }
        guard a.elementCount > 0 else { return true }
        let equal = try tensor(named: first, on: .cpu).isEqual(to: tensor(named: second, on: .cpu))
        return try equal.to(.uint8).min().item() == 1
    }
}

extension SafetensorsTensors: TensorSource {}

extension PyTorchTensors: TensorSource {}
