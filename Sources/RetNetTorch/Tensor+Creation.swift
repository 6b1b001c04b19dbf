import CRetNetTorch
import Foundation

extension Tensor {
    /// Returns a tensor whose elements are not set.
    public static func empty(_ shape: [Int], _ type: ElementType = .float32, on device: Device = .cpu) throws
        -> Tensor
    {
        Runtime.prepare()
        return try withSizes(shape) { sizes, rank in
            try make { ct_empty($0, sizes, rank, type.code, device.code.kind, device.code.index) }
        }
    }

    /// Returns a tensor with every element equal to `value`.
    public static func full(
        _ shape: [Int], _ value: Double, _ type: ElementType = .float32, on device: Device = .cpu
    ) throws -> Tensor {
        Runtime.prepare()
        return try withSizes(shape) { sizes, rank in
            try make { ct_full($0, sizes, rank, value, type.code, device.code.kind, device.code.index) }
        }
    }

    /// Returns a tensor of zeros.
    public static func zeros(_ shape: [Int], _ type: ElementType = .float32, on device: Device = .cpu) throws
        -> Tensor
    {
        try full(shape, 0, type, on: device)
    }

    /// Returns a tensor of ones.
    public static func ones(_ shape: [Int], _ type: ElementType = .float32, on device: Device = .cpu) throws
        -> Tensor
    {
        try full(shape, 1, type, on: device)
    }

    /// Returns the numbers `start`, `start + step`, … below `end`.
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

    /// Makes a tensor of memory that `owner` keeps, without copying it; nil if the memory is not aligned to its elements.
    ///
    /// The memory must be writable, in row-major order and of the size that fits shape and type. The tensor and its views
    /// keep `owner` alive.
    public static func sharing(
        _ memory: UnsafeMutableRawBufferPointer, of owner: AnyObject, _ shape: [Int], _ type: ElementType
    ) throws -> Tensor? {
        Runtime.prepare()
        guard let address = memory.baseAddress, UInt(bitPattern: address) % UInt(type.byteCount) == 0 else {
            return nil
        }
        let context = Unmanaged.passRetained(owner).toOpaque()
        return try withSizes(shape) { sizes, rank in
            try make {
                ct_from_memory(
                    $0, address, Int64(memory.count), sizes, rank, type.code,
                    { context in context.map { Unmanaged<AnyObject>.fromOpaque($0).release() } }, context)
            }
        }
    }

    /// Returns the elements as Swift numbers in row-major order, converted to the number's type first.
    public func values<Element: TensorElement>(as type: Element.Type = Element.self) throws -> [Element] {
        let source = try to(Element.elementType)
        let count = elementCount
        return try [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
            try check(
                ct_to_bytes(source.handle, buffer.baseAddress, Int64(count * MemoryLayout<Element>.stride)))
            initialized = count
        }
    }

    /// Returns the elements as float64 in row-major order.
    public func doubles() throws -> [Double] { try values(as: Double.self) }

    /// Passes a host copy of the raw elements in row-major order to a body.
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

    /// Returns the only element as a number; throws unless there is exactly one.
    public func item() throws -> Double {
        var value = 0.0
        try check(ct_item_double(&value, handle))
        return value
    }

    /// Returns the tensor in another element type and on another device; self if nothing changes.
    public func to(_ type: ElementType? = nil, on device: Device? = nil) throws -> Tensor {
        let type = type ?? elementType
        let device = device ?? self.device
        if type == elementType, device == self.device { return self }
        return try Tensor.make { ct_to($0, handle, type.code, device.code.kind, device.code.index, false) }
    }

    /// Returns a copy with its own storage.
    public func clone() throws -> Tensor { try Tensor.make { ct_clone($0, handle) } }
    /// Returns the same elements in row-major order without gaps; copies only where needed.
    public func contiguous() throws -> Tensor { try Tensor.make { ct_contiguous($0, handle) } }
}

/// A source of random numbers whose state can be saved and restored.
public final class Generator {
    let handle: ct_generator
    /// The device of the draws.
    public let device: Device

    /// A generator that draws the same numbers for the same seed.
    public init(seed: UInt64, device: Device = .cpu) throws {
        var out: ct_generator?
        try check(ct_generator_new(&out, seed, device.code.kind, device.code.index))
        guard let out else {
            throw TorchError(kind: .other, message: "the native call returned no generator")
        }
        handle = out
        self.device = device
    }

    deinit { ct_generator_free(handle) }

    /// Returns the whole state, as bytes that ``restore(_:)`` takes.
    public func state() throws -> [UInt8] {
        try Tensor.make { ct_generator_state($0, handle) }.values(as: UInt8.self)
    }

    /// Continues from a saved state; throws when the bytes are not a state of this kind of generator.
    public func restore(_ state: [UInt8]) throws {
        let tensor = try Tensor.from(state)
        try check(ct_generator_set_state(handle, tensor.handle))
    }

    /// Returns normally distributed numbers.
    public func normal(
        _ shape: [Int], mean: Double = 0, standardDeviation: Double = 1, _ type: ElementType = .float32
    )
        throws -> Tensor
    {
        let tensor = try Tensor.empty(shape, type, on: device)
        try check(ct_normal(tensor.handle, mean, standardDeviation, handle))
        return tensor
    }

    /// Returns uniform numbers in `low ..< high`.
    public func uniform(
        _ shape: [Int], from low: Double = 0, to high: Double = 1, _ type: ElementType = .float32
    )
        throws -> Tensor
    {
        let tensor = try Tensor.empty(shape, type, on: device)
        try check(ct_uniform(tensor.handle, low, high, handle))
        return tensor
    }

    /// Returns ones with a probability, else zeros.
    public func bernoulli(_ shape: [Int], probability: Double, _ type: ElementType = .float32) throws
        -> Tensor
    {
        let tensor = try Tensor.empty(shape, type, on: device)
        try check(ct_bernoulli(tensor.handle, probability, handle))
        return tensor
    }

    /// Returns one index for every row of probabilities [N, V].
    public func sample(_ probabilities: Tensor) throws -> Tensor {
        try Tensor.make { ct_multinomial($0, probabilities.handle, handle) }
    }
}
