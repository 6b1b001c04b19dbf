import CRetNetTorch

/// The type of a tensor's elements.
public enum ElementType: String, Sendable, CaseIterable, Codable {
    case uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64, bool

    /// Bytes of one element.
    public var byteCount: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .int16, .float16, .bfloat16: 2
        case .int32, .float32: 4
        case .int64, .float64: 8
        }
    }

    /// Whether elements are floating-point numbers.
    public var isFloatingPoint: Bool {
        switch self {
        case .float16, .bfloat16, .float32, .float64: true
        default: false
        }
    }

    /// The type in which sums, states and statistics of this type are kept: float64 for itself, else float32.
    public var accumulator: ElementType { self == .float64 ? .float64 : .float32 }

    var code: ct_dtype {
        switch self {
        case .uint8: CT_UINT8
        case .int8: CT_INT8
        case .int16: CT_INT16
        case .int32: CT_INT32
        case .int64: CT_INT64
        case .float16: CT_FLOAT16
        case .bfloat16: CT_BFLOAT16
        case .float32: CT_FLOAT32
        case .float64: CT_FLOAT64
        case .bool: CT_BOOL
        }
    }

    init(code: ct_dtype) {
        self = Self.allCases.first { $0.code == code } ?? .float32
    }
}

/// A Swift number type that can be the element of a tensor.
public protocol TensorElement: Sendable, BitwiseCopyable {
    /// The tensor element type with the same representation.
    static var elementType: ElementType { get }
}

extension UInt8: TensorElement {
    /// Unsigned bytes.
    public static var elementType: ElementType { .uint8 }
}
extension Int32: TensorElement {
    /// 32-bit integers.
    public static var elementType: ElementType { .int32 }
}
extension Int64: TensorElement {
    /// 64-bit integers, LibTorch's index type.
    public static var elementType: ElementType { .int64 }
}
extension Float: TensorElement {
    /// Single precision.
    public static var elementType: ElementType { .float32 }
}
extension Double: TensorElement {
    /// Double precision.
    public static var elementType: ElementType { .float64 }
}
