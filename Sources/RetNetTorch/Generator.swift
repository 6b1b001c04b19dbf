import CRetNetTorch

/// A source of random numbers whose state can be saved and restored.
public final class Generator {
    let handle: ct_generator
    /// Where draws are made.
    public let device: Device

    /// A generator that draws the same numbers for the same seed.
    public init(seed: UInt64, device: Device = .cpu) throws {
        var out: ct_generator?
        try check(ct_generator_new(&out, seed, device.code.kind, device.code.index))
        guard let out else { throw TorchError(kind: .other, message: "no generator was made") }
        handle = out
        self.device = device
    }

    deinit { ct_generator_free(handle) }

    /// The whole state, as bytes that ``restore(_:)`` takes.
    public func state() throws -> [UInt8] {
        try Tensor.make { ct_generator_state($0, handle) }.values(as: UInt8.self)
    }

    /// Continues from a saved state; throws when the bytes are not a state of this kind of generator.
    public func restore(_ state: [UInt8]) throws {
        let tensor = try Tensor.from(state)
        try check(ct_generator_set_state(handle, tensor.handle))
    }

    /// Normal numbers.
    public func normal(
        _ shape: [Int], mean: Double = 0, standardDeviation: Double = 1, _ type: ElementType = .float32
    )
        throws -> Tensor
    {
        let tensor = try Tensor.empty(shape, type, on: device)
        try check(ct_normal(tensor.handle, mean, standardDeviation, handle))
        return tensor
    }

    /// Uniform numbers in `low ..< high`.
    public func uniform(
        _ shape: [Int], from low: Double = 0, to high: Double = 1, _ type: ElementType = .float32
    )
        throws -> Tensor
    {
        let tensor = try Tensor.empty(shape, type, on: device)
        try check(ct_uniform(tensor.handle, low, high, handle))
        return tensor
    }

    /// Ones with a probability, else zeros.
    public func bernoulli(_ shape: [Int], probability: Double, _ type: ElementType = .float32) throws
        -> Tensor
    {
        let tensor = try Tensor.empty(shape, type, on: device)
        try check(ct_bernoulli(tensor.handle, probability, handle))
        return tensor
    }

    /// One index for every row of probabilities [N, V].
    public func sample(_ probabilities: Tensor) throws -> Tensor {
        try Tensor.make { ct_multinomial($0, probabilities.handle, handle) }
    }
}
