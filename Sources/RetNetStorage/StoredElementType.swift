/// The type of a stored tensor's elements, named as in the safetensors format.
public enum StoredElementType: String, Sendable, CaseIterable {
    /// A truth value in one byte, 0 or 1.
    case bool = "BOOL"
    /// An unsigned 8-bit integer.
    case uint8 = "U8"
    /// A signed 8-bit integer.
    case int8 = "I8"
    /// An unsigned 16-bit integer, little-endian.
    case uint16 = "U16"
    /// A signed 16-bit integer, little-endian.
    case int16 = "I16"
    /// An unsigned 32-bit integer, little-endian.
    case uint32 = "U32"
    /// A signed 32-bit integer, little-endian.
    case int32 = "I32"
    /// An unsigned 64-bit integer, little-endian.
    case uint64 = "U64"
    /// A signed 64-bit integer, little-endian.
    case int64 = "I64"
    /// An IEEE 754 half-precision number.
    case float16 = "F16"
    /// A bfloat16 number: the upper half of a single-precision one.
    case bfloat16 = "BF16"
    /// An IEEE 754 single-precision number.
    case float32 = "F32"
    /// An IEEE 754 double-precision number.
    case float64 = "F64"
    /// An 8-bit float with 4 exponent and 3 mantissa bits.
    case float8E4M3 = "F8_E4M3"
    /// An 8-bit float with 5 exponent and 2 mantissa bits.
    case float8E5M2 = "F8_E5M2"

    /// The number of bytes of one element.
    public var byteCount: Int {
        switch self {
        case .bool, .uint8, .int8, .float8E4M3, .float8E5M2: return 1
        case .uint16, .int16, .float16, .bfloat16: return 2
        case .uint32, .int32, .float32: return 4
        case .uint64, .int64, .float64: return 8
        }
    }

    /// The number of bytes of a tensor of this type, or `nil` if negative or beyond 64 bits.
    public func byteCount(shape: [Int]) -> Int? {
        var total = byteCount
        for dimension in shape {
            guard dimension >= 0 else { return nil }
            let (product, overflows) = total.multipliedReportingOverflow(by: dimension)
            guard !overflows else { return nil }
            total = product
        }
        return total
    }
}
