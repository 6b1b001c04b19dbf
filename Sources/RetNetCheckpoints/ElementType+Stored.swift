import RetNetStorage
import RetNetTorch

extension ElementType {
    /// The tensor element type of a stored one; nil for types that tensors cannot have (U16, U32, U64, F8).
    public init?(_ stored: StoredElementType) {
        switch stored {
        case .bool: self = .bool
        case .uint8: self = .uint8
        case .int8: self = .int8
        case .int16: self = .int16
        case .int32: self = .int32
        case .int64: self = .int64
        case .float16: self = .float16
        case .bfloat16: self = .bfloat16
        case .float32: self = .float32
        case .float64: self = .float64
        case .uint16, .uint32, .uint64, .float8E4M3, .float8E5M2: return nil
        }
    }

    /// The same type as files name it.
    public var stored: StoredElementType {
        switch self {
        case .bool: .bool
        case .uint8: .uint8
        case .int8: .int8
        case .int16: .int16
        case .int32: .int32
        case .int64: .int64
        case .float16: .float16
        case .bfloat16: .bfloat16
        case .float32: .float32
        case .float64: .float64
        }
    }
}
