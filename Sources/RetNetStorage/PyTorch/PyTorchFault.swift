/// A reason to refuse a file of PyTorch.
public enum PyTorchFault: Error, Equatable, Sendable {
    /// The file is something else; what it is.
    case notPyTorch(found: String, remedy: String)
    /// The archive is damaged, or holds what archives of PyTorch do not.
    case archive(reason: String)
    /// The pickle is damaged at an offset of its own bytes.
    case pickle(byteOffset: Int, reason: String)
    /// The pickle calls a function, or makes an object of a class, that is none of those known to be harmless.
    case call(name: String)
    /// The pickle exceeds a limit that no real checkpoint reaches.
    case limit(what: String, maximum: Int)
    /// A tensor is of a kind that this reader has not, or does not fit its storage.
    case tensor(name: String, reason: String)
    /// The elements of a tensor are of a type that has no name here.
    case elements(name: String)
    /// The numbers are stored with their most significant byte first.
    case bigEndian
    /// The file holds no tensors by name; the keys are those at its top.
    case noTensors(keys: [String])
    /// Several dictionaries of tensors could be the model's weights.
    case severalStateDictionaries(keys: [String])
    /// The dictionary that was asked for does not exist or holds no tensors.
    case noStateDictionary(key: String, keys: [String])
}

extension PyTorchFault: CustomStringConvertible {
    private static let fetch = "fetch the file again or write it again with torch.save"

    /// The cause and the remedy.
    public var description: String {
        switch self {
        case .notPyTorch(let found, let remedy):
            "it is \(found); \(remedy)"
        case .archive(let reason):
            "\(reason); \(Self.fetch)"
        case .pickle(let byteOffset, let reason):
            "\(reason) at byte \(byteOffset) of its pickle; \(Self.fetch)"
        case .call(let name):
            "its pickle calls '\(name)'; this reader never runs code: load the file where you trust it and save only the "
                + "tensors, with safetensors.torch.save_file or torch.save(model.state_dict(), …)"
        case .limit(let what, let maximum):
            "its pickle has more than \(maximum) \(what), which no checkpoint needs; check where the file comes from"
        case .tensor(let name, let reason):
            "tensor '\(name)' \(reason)"
        case .elements(let name):
            "it holds numbers of the type '\(name)', which this reader does not know; save the model in float32, float16 or "
                + "bfloat16\(name.contains("QInt") || name.contains("QUInt") ? ", before it is quantized" : "")"
        case .bigEndian:
            "it was written on a big-endian machine; load it with PyTorch and save it again on a little-endian one"
        case .noTensors(let keys):
            "it holds no dictionary of tensors by name\(Self.list(keys, " but ")); give a file written by "
                + "torch.save(model.state_dict(), …)"
        case .severalStateDictionaries(let keys):
            "the weights could be those under \(keys.map { "'\($0)'" }.joined(separator: " or ")); save the one that is "
                + "meant to a file of its own"
        case .noStateDictionary(let key, let keys):
            "there are no tensors under '\(key)'\(Self.list(keys, "; it holds ")); choose another key"
        }
    }

    private static func list(_ keys: [String], _ prefix: String) -> String {
        guard !keys.isEmpty else { return "" }
        let shown = keys.prefix(12).map { "'\($0)'" }.joined(separator: ", ")
        return prefix + shown + (keys.count > 12 ? " and \(keys.count - 12) more" : "")
    }
}
