import CRetNetTorch

/// A multi-dimensional array on a device, with automatic differentiation by LibTorch.
///
/// A tensor is a reference to native storage: views share memory with the tensor they come from. It is not
/// `Sendable`; work on a model stays in one isolation domain. Every operation can throw ``TorchError``.
public final class Tensor {
    package let handle: ct_tensor

    /// Takes ownership of a native handle.
    init(owning handle: ct_tensor) {
        self.handle = handle
    }

    deinit {
        ct_tensor_free(handle)
    }

    /// Runs a native call that writes one tensor.
    @inline(__always)
    static func make(_ body: (UnsafeMutablePointer<ct_tensor?>) -> ct_status) throws -> Tensor {
        var out: ct_tensor?
        try check(body(&out))
        guard let out else { throw TorchError(kind: .other, message: "the native call returned no tensor") }
        return Tensor(owning: out)
    }

    /// The size of every axis.
    public var shape: [Int] {
        let rank = Int(ct_rank(handle))
        return [Int](unsafeUninitializedCapacity: rank) { buffer, count in
            buffer.withMemoryRebound(to: Int64.self) { ct_shape(handle, $0.baseAddress) }
            count = rank
        }
    }

    /// The number of axes.
    public var rank: Int { Int(ct_rank(handle)) }
    /// The number of elements.
    public var elementCount: Int { Int(ct_element_count(handle)) }
    /// The type of the elements.
    public var elementType: ElementType { ElementType(code: ct_dtype_of(handle)) }
    /// Bytes of all elements.
    public var byteCount: Int { elementCount * elementType.byteCount }
    /// True if elements lie in row-major order without gaps.
    public var isContiguous: Bool { ct_is_contiguous(handle) }
    /// The device of the elements.
    public var device: Device {
        var kind = CT_CPU
        var index: Int32 = 0
        ct_device_of(handle, &kind, &index)
        return Device(kind: kind, index: index)
    }

    /// Returns the size of one axis, which must exist; negative axes count from the end.
    public func size(_ axis: Int) -> Int {
        let shape = shape
        return shape[axis < 0 ? shape.count + axis : axis]
    }
}

extension Tensor: CustomStringConvertible {
    /// Shape, type and device; not the elements.
    public var description: String { "Tensor\(shape) \(elementType.rawValue) \(device)" }
}

/// Lends the handles of several tensors (nil stays NULL) to a native call.
@inline(__always)
package func withHandles<R>(_ tensors: [Tensor?], _ body: (UnsafePointer<ct_tensor?>?) throws -> R) rethrows
    -> R
{
    let handles = tensors.map { $0?.handle }
    return try withExtendedLifetime(tensors) {
        try handles.withUnsafeBufferPointer { try body($0.baseAddress) }
    }
}

/// Lends sizes as the native 64-bit integers.
@inline(__always)
func withSizes<R>(_ sizes: [Int], _ body: (UnsafePointer<Int64>?, Int32) throws -> R) rethrows -> R {
    try sizes.withUnsafeBufferPointer { buffer in
        try buffer.withMemoryRebound(to: Int64.self) {
            try body($0.baseAddress, Int32(clamping: sizes.count))
        }
    }
}

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

    /// True if elements are floating-point numbers.
    public var isFloatingPoint: Bool {
        switch self {
        case .float16, .bfloat16, .float32, .float64: true
        default: false
        }
    }

    /// The type of sums, states and statistics over elements of this type: float64 for itself, else float32.
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
