/// The reason why a safetensors index is refused.
public enum SafetensorsIndexFault: Error, Equatable, Sendable {
    /// The index is not UTF-8.
    case notUTF8(byteOffset: Int)
    /// The index is not JSON.
    case notJSON(byteOffset: Int, reason: String)
    /// The index is JSON but not of the expected form.
    case wrongForm(byteOffset: Int, reason: String)
    /// A name occurs twice in the index.
    case duplicateName(name: String)
    /// There is no `weight_map`.
    case noWeightMap
    /// A shard's name would leave the folder.
    case unsafeShardName(shard: String)
    /// A shard named in the index is not there.
    case missingShard(shard: String)
    /// A name listed in the index is absent from its shard.
    case missingTensor(name: String, shard: String)
    /// A shard holds a tensor that the index does not list.
    case unlistedTensor(name: String, shard: String)
    /// A tensor occurs in a shard other than the one the index gives.
    case duplicateTensor(name: String, shard: String, listedShard: String)
}

extension SafetensorsIndexFault: CustomStringConvertible {
    /// A sentence that says what is wrong and what to do.
    public var description: String {
        switch self {
        case .notUTF8(let byteOffset):
            return "it is not UTF-8 at byte \(byteOffset). Fetch the file again."
        case .notJSON(let byteOffset, let reason):
            return "it is not JSON at byte \(byteOffset): \(reason). Fetch the file again."
        case .wrongForm(let byteOffset, let reason):
            return "at byte \(byteOffset), \(reason). Fetch or write the file again."
        case .duplicateName(let name):
            return "the name \"\(name)\" occurs twice. Write the index again."
        case .noWeightMap:
            return "it has no \"weight_map\". Check that it is a safetensors index."
        case .unsafeShardName(let shard):
            return "the shard name \"\(shard)\" is not a plain file name. "
                + "Name only files of the index's own folder."
        case .missingShard(let shard):
            return "the shard \(shard) is missing. Fetch it into the same folder."
        case .missingTensor(let name, let shard):
            return "tensor \"\(name)\" is listed in shard \(shard) but is not there. "
                + "Fetch the index and the shards again, together."
        case .unlistedTensor(let name, let shard):
            return "shard \(shard) holds tensor \"\(name)\", which the index does not list. "
                + "Fetch the index and the shards again, together."
        case .duplicateTensor(let name, let shard, let listedShard):
            return "tensor \"\(name)\" is listed in shard \(listedShard) but shard \(shard) holds one too. "
                + "Fetch the index and the shards again, together."
        }
    }
}
