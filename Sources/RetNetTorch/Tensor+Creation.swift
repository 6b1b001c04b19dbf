import CRetNetTorch
import Foundation

extension Tensor {
    /// Memory that is not yet written.
    public static func empty(_ shape: [Int], _ type: ElementType = .float32, on device: Device = .cpu) throws
        -> Tensor
    {
        Runtime.prepare()
        return try withSizes(shape) { sizes, rank in
            try make { ct_empty($0, sizes, rank, type.code, device.code.kind, device.code.index) }
        }
    }

    /// Every element equal to `value`.
    public static func full(
        _ shape: [Int], _ value: Double, _ type: ElementType = .float32, on device: Device = .cpu
    ) throws -> Tensor {
        Runtime.prepare()
        return try withSizes(shape) { sizes, rank in
            try make { ct_full($0, sizes, rank, value, type.code, device.code.kind, device.code.index) }
        }
    }

    /// Every element zero.
    public static func zeros(_ shape: [Int], _ type: ElementType = .float32, on device: Device = .cpu) throws
        -> Tensor
    {
        try full(shape, 0, type, on: device)
    }

    /// Every element one.
    public static func ones(_ shape: [Int], _ type: ElementType = .float32, on device: Device = .cpu) throws
        -> Tensor
    {
        try full(shape, 1, type, on: device)
    }

    /// The numbers `start`, `start + step`, … below `end`.
    public static func range(
        from start: Double = 0, to end: Double, by step: Double = 1, _ type: ElementType = .float32,
        on device: Device = .cpu
    ) throws -> Tensor {
        Runtime.prepare()
        return try make { ct_arange($0, start, end, step, type.code, device.code.kind, device.code.index) }
    }

    /// Copies Swift numbers, in row-major order, into a new tensor.
    ///
    /// The element type is that of the numbers; throws when the shape does not hold exactly that many.
    public static func from<Element: TensorElement>(
        _ values: [Element], _ shape: [Int]? = nil, on device: Device = .cpu
    ) throws -> Tensor {
        try values.withUnsafeBytes {
            try from(bytes: $0, shape ?? [values.count], Element.elementType, on: device)
        }
    }

    /// Copies raw bytes, in row-major order, into a new tensor; the byte count must fit shape and type.
    public static func from(
        bytes: UnsafeRawBufferPointer, _ shape: [Int], _ type: ElementType, on device: Device = .cpu
    ) throws -> Tensor {
        Runtime.prepare()
        return try withSizes(shape) { sizes, rank in
            try make {
                ct_from_bytes(
                    $0, bytes.baseAddress, Int64(bytes.count), sizes, rank, type.code, device.code.kind,
                    device.code.index)
            }
        }
    }

    /// The elements as Swift numbers in row-major order, converted to the number's type first.
    public func values<Element: TensorElement>(as type: Element.Type = Element.self) throws -> [Element] {
        let source = try to(Element.elementType)
        let count = elementCount
        return try [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
            try check(
                ct_to_bytes(source.handle, buffer.baseAddress, Int64(count * MemoryLayout<Element>.stride)))
            initialized = count
        }
    }

    /// The elements as float64 in row-major order.
    public func doubles() throws -> [Double] { try values(as: Double.self) }

    /// Lends a host copy of the raw elements in row-major order.
    public func withHostBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Swift.max(byteCount, 1), alignment: 64)
        defer { memory.deallocate() }
        try check(ct_to_bytes(handle, memory.baseAddress, Int64(byteCount)))
        return try body(UnsafeRawBufferPointer(start: memory.baseAddress, count: byteCount))
    }

    /// Overwrites the elements with raw bytes of the same type, keeping storage and graph position.
    public func assign(bytes: UnsafeRawBufferPointer) throws {
        try check(ct_assign_bytes(handle, bytes.baseAddress, Int64(bytes.count)))
    }

    /// The only element as a number; throws unless there is exactly one.
    public func item() throws -> Double {
        var value = 0.0
        try check(ct_item_double(&value, handle))
        return value
    }

    /// A tensor of another element type and on another device; self where nothing changes.
    public func to(_ type: ElementType? = nil, on device: Device? = nil) throws -> Tensor {
        let type = type ?? elementType
        let device = device ?? self.device
        if type == elementType, device == self.device { return self }
        return try Tensor.make { ct_to($0, handle, type.code, device.code.kind, device.code.index, false) }
    }

    /// A copy with its own storage.
    public func clone() throws -> Tensor { try Tensor.make { ct_clone($0, handle) } }
    /// The same elements in row-major order without gaps; copies only where needed.
    public func contiguous() throws -> Tensor { try Tensor.make { ct_contiguous($0, handle) } }
}
