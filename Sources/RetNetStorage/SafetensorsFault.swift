/// A reason to refuse a safetensors file.
///
/// Byte offsets count from the start of the file.
public enum SafetensorsFault: Error, Equatable, Sendable {
    /// The file cannot hold the eight bytes of the header length.
    case tooShort(fileByteCount: Int)
    /// The header claims more than 100 MB.
    case headerTooLong(byteCount: UInt64)
    /// The header claims to reach beyond the end of the file.
    case headerBeyondEnd(byteCount: UInt64, fileByteCount: Int)
    /// The header is not UTF-8.
    case notUTF8(byteOffset: Int)
    /// The header is not JSON.
    case notJSON(byteOffset: Int, reason: String)
    /// The header is JSON but not an object.
    case notAnObject(byteOffset: Int)
    /// A name occurs twice.
    case duplicateName(name: String)
    /// A name that is reserved or otherwise unusable.
    case reservedName(name: String)
    /// A tensor's description lacks a key.
    case missingKey(name: String, key: String)
    /// A tensor's description has a value of the wrong kind.
    case wrongKind(name: String, key: String, byteOffset: Int, reason: String)
    /// The element type is not known.
    case unknownElementType(name: String, elementType: String)
    /// A dimension is negative.
    case negativeDimension(name: String, byteOffset: Int)
    /// The elements of a packed type do not fill whole bytes.
    case partOfByte(name: String, elementType: String, bitCount: Int)
    /// The shape's product or bit count exceeds what a 64-bit integer holds.
    case shapeOverflow(name: String)
    /// The end offset lies before the begin offset.
    case offsetsReversed(name: String, begin: Int, end: Int)
    /// The data reaches beyond the end of the file.
    case dataBeyondEnd(name: String, end: Int, dataByteCount: Int)
    /// The byte count differs from the shape times the element size.
    case byteCountMismatch(name: String, expected: Int, found: Int)
    /// Two tensors share bytes.
    case overlap(name: String, other: String)
    /// Bytes before a tensor belong to none.
    case hole(name: String, byteOffset: Int, byteCount: Int)
    /// Bytes after the last tensor belong to none.
    case trailingBytes(byteOffset: Int, byteCount: Int)
    /// `__metadata__` is not an object of strings.
    case badMetadata(byteOffset: Int, reason: String)
}

extension SafetensorsFault: CustomStringConvertible {
    /// The cause and the remedy.
    public var description: String {
        switch self {
        case .tooShort(let fileByteCount):
            "it holds \(fileByteCount) bytes, fewer than the 8 of the header length; "
                + "fetch the file again"
        case .headerTooLong(let byteCount):
            "its header claims \(byteCount) bytes, more than the 100000000 allowed; "
                + "check that it is a safetensors file"
        case .headerBeyondEnd(let byteCount, let fileByteCount):
            "its header claims \(byteCount) bytes after the first 8, but the file holds "
                + "only \(fileByteCount); fetch the file again"
        case .notUTF8(let byteOffset):
            "its header is not UTF-8 at byte \(byteOffset); fetch the file again"
        case .notJSON(let byteOffset, let reason):
            "its header is not JSON at byte \(byteOffset): \(reason); fetch the file again"
        case .notAnObject(let byteOffset):
            "its header is not a JSON object: no '{' at byte \(byteOffset); "
                + "check that it is a safetensors file"
        case .trailingBytes(let byteOffset, let byteCount):
            "\(byteCount) bytes from byte \(byteOffset) to the end belong to no tensor; "
                + "fetch or write the file again"
        case .badMetadata(let byteOffset, let reason):
            "__metadata__ must be an object of strings: \(reason) at byte \(byteOffset); "
                + "write the file again with strings only"
        case .duplicateName(let name):
            "the name '\(name)' occurs twice; give each tensor its own name"
        case .reservedName(let name):
            "the name '\(name)' is reserved; give the tensor another name"
        case .missingKey(let name, let key):
            "tensor '\(name)' has no '\(key)'; write the file again"
        case .wrongKind(let name, let key, let byteOffset, let reason):
            "tensor '\(name)'\(key.isEmpty ? "" : ", '\(key)'") at byte \(byteOffset): \(reason); write the file again"
        case .unknownElementType(let name, let elementType):
            "tensor '\(name)' has the unknown element type '\(elementType)'; convert it to one of "
                + StoredElementType.allCases.map(\.rawValue).joined(separator: ", ")
        case .negativeDimension(let name, let byteOffset):
            "tensor '\(name)' has a negative dimension at byte \(byteOffset); write the file again"
        case .partOfByte(let name, let elementType, let bitCount):
            "tensor '\(name)' has \(bitCount) bits of type \(elementType), which are no whole bytes; "
                + "write the file again"
        case .shapeOverflow(let name):
            "the shape of tensor '\(name)' exceeds what 64 bits can count; write the file again"
        case .offsetsReversed(let name, let begin, let end):
            "tensor '\(name)' ends at \(end), before it begins at \(begin); write the file again"
        case .dataBeyondEnd(let name, let end, let dataByteCount):
            "tensor '\(name)' ends at data byte \(end), but the file holds only \(dataByteCount) "
                + "data bytes, so it may be truncated; fetch it again"
        case .byteCountMismatch(let name, let expected, let found):
            "tensor '\(name)' has \(found) bytes, but its shape and element type need \(expected); "
                + "write the file again"
        case .overlap(let name, let other):
            "tensor '\(name)' overlaps tensor '\(other)'; write the file again"
        case .hole(let name, let byteOffset, let byteCount):
            "\(byteCount) bytes at byte \(byteOffset), before tensor '\(name)', belong to no tensor; "
                + "write the file again"
        }
    }
}

/// A reason to refuse a safetensors index.
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
    /// The cause and the remedy.
    public var description: String {
        switch self {
        case .notUTF8(let byteOffset):
            "it is not UTF-8 at byte \(byteOffset); fetch the file again"
        case .notJSON(let byteOffset, let reason):
            "it is not JSON at byte \(byteOffset): \(reason); fetch the file again"
        case .wrongForm(let byteOffset, let reason):
            "at byte \(byteOffset), \(reason); fetch or write the file again"
        case .duplicateName(let name):
            "the name '\(name)' occurs twice; write the index again"
        case .noWeightMap:
            "it has no 'weight_map'; check that it is a safetensors index"
        case .unsafeShardName(let shard):
            "the shard name '\(shard)' is not a plain file name; "
                + "name only files of the index's own folder"
        case .missingShard(let shard):
            "the shard \(shard) is missing; fetch it into the same folder"
        case .missingTensor(let name, let shard):
            "tensor '\(name)' is listed in shard \(shard) but is not there; "
                + "fetch the index and the shards again, together"
        case .unlistedTensor(let name, let shard):
            "shard \(shard) holds tensor '\(name)', which the index does not list; "
                + "fetch the index and the shards again, together"
        case .duplicateTensor(let name, let shard, let listedShard):
            "tensor '\(name)' is listed in shard \(listedShard) but shard \(shard) holds one too; "
                + "fetch the index and the shards again, together"
        }
    }
}
