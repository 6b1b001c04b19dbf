/// The reason why a safetensors file is refused.
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
    /// The shape's product or byte count exceeds what a 64-bit integer holds.
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
    /// A sentence that says what is wrong and what to do.
    public var description: String {
        switch self {
        case .tooShort, .headerTooLong, .headerBeyondEnd, .notUTF8, .notJSON, .notAnObject, .trailingBytes,
            .badMetadata:
            return fileDescription
        default:
            return tensorDescription
        }
    }

    private var fileDescription: String {
        switch self {
        case .tooShort(let fileByteCount):
            return "it holds \(fileByteCount) bytes, fewer than the 8 of the header length. "
                + "Fetch the file again."
        case .headerTooLong(let byteCount):
            return "its header claims \(byteCount) bytes, more than the 100000000 allowed. "
                + "Check that it is a safetensors file."
        case .headerBeyondEnd(let byteCount, let fileByteCount):
            return "its header claims \(byteCount) bytes after the first 8, but the file holds "
                + "only \(fileByteCount). Fetch the file again."
        case .notUTF8(let byteOffset):
            return "its header is not UTF-8 at byte \(byteOffset). Fetch the file again."
        case .notJSON(let byteOffset, let reason):
            return "its header is not JSON at byte \(byteOffset): \(reason). Fetch the file again."
        case .notAnObject(let byteOffset):
            return "its header is not a JSON object: no \"{\" at byte \(byteOffset). "
                + "Check that it is a safetensors file."
        case .trailingBytes(let byteOffset, let byteCount):
            return "\(byteCount) bytes from byte \(byteOffset) to the end belong to no tensor. "
                + "Fetch or write the file again."
        case .badMetadata(let byteOffset, let reason):
            return "__metadata__ must be an object of strings: \(reason) at byte \(byteOffset). "
                + "Write the file again with strings only."
        default:
            return "unexpected fault."
        }
    }

    private var tensorDescription: String {
        switch self {
        case .duplicateName(let name):
            return "the name \"\(name)\" occurs twice. Give each tensor its own name."
        case .reservedName(let name):
            return "the name \"\(name)\" is reserved. Give the tensor another name."
        case .missingKey(let name, let key):
            return "tensor \"\(name)\" has no \"\(key)\". Write the file again."
        case .wrongKind(let name, let key, let byteOffset, let reason):
            let place = key.isEmpty ? "" : ", \"\(key)\""
            return "tensor \"\(name)\"\(place) at byte \(byteOffset): \(reason). Write the file again."
        case .unknownElementType(let name, let elementType):
            return "tensor \"\(name)\" has the unknown element type \"\(elementType)\". Convert it to one of "
                + StoredElementType.allCases.map(\.rawValue).joined(separator: ", ") + "."
        case .negativeDimension(let name, let byteOffset):
            return "tensor \"\(name)\" has a negative dimension at byte \(byteOffset). Write the file again."
        case .shapeOverflow(let name):
            return "the shape of tensor \"\(name)\" exceeds what 64 bits can count. Write the file again."
        case .offsetsReversed(let name, let begin, let end):
            return "tensor \"\(name)\" ends at \(end), before it begins at \(begin). Write the file again."
        case .dataBeyondEnd(let name, let end, let dataByteCount):
            return "tensor \"\(name)\" ends at data byte \(end), but the file holds only \(dataByteCount) "
                + "data bytes. It may be truncated: fetch it again."
        case .byteCountMismatch(let name, let expected, let found):
            return "tensor \"\(name)\" has \(found) bytes, but its shape and element type need \(expected). "
                + "Write the file again."
        case .overlap(let name, let other):
            return "tensor \"\(name)\" overlaps tensor \"\(other)\". Write the file again."
        case .hole(let name, let byteOffset, let byteCount):
            return
                "\(byteCount) bytes at byte \(byteOffset), before tensor \"\(name)\", belong to no tensor. "
                + "Write the file again."
        default:
            return "unexpected fault."
        }
    }
}
