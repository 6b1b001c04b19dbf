import RetNetTorch

/// Complex numbers as two real tensors of one shape.
public struct ComplexTensor {
    /// Real parts.
    public let real: Tensor
    /// Imaginary parts.
    public let imaginary: Tensor

    /// Numbers of given parts.
    public init(real: Tensor, imaginary: Tensor) {
        self.real = real
        self.imaginary = imaginary
    }

    /// Numbers of planes along an axis of size 2, which disappears.
    init(planes: Tensor, axis: Int) throws {
        real = try planes.selected(axis, 0)
        imaginary = try planes.selected(axis, 1)
    }

    /// Returns the planes along a new axis of size 2.
    func planes(axis: Int) throws -> Tensor { try Tensor.stacked([real, imaginary], axis: axis) }

    /// Returns real parts, then imaginary parts along the last axis.
    func joined() throws -> Tensor { try Tensor.concatenated([real, imaginary], axis: -1) }

    /// Returns the numbers with both parts transformed.
    func map(_ transform: (Tensor) throws -> Tensor) throws -> ComplexTensor {
        ComplexTensor(real: try transform(real), imaginary: try transform(imaginary))
    }

    /// Returns the size of an axis; negative axes count from the end.
    func size(_ axis: Int) -> Int { real.size(axis) }

    static func + (a: ComplexTensor, b: ComplexTensor) throws -> ComplexTensor {
        ComplexTensor(real: try a.real + b.real, imaginary: try a.imaginary + b.imaginary)
    }

    static func * (a: ComplexTensor, b: ComplexTensor) throws -> ComplexTensor {
        ComplexTensor(
            real: try a.real * b.real - a.imaginary * b.imaginary,
            imaginary: try a.real * b.imaginary + a.imaginary * b.real)
    }

    static func * (a: ComplexTensor, b: Tensor) throws -> ComplexTensor { try a.map { try $0 * b } }

    static func / (a: ComplexTensor, b: ComplexTensor) throws -> ComplexTensor {
        let scale = try b.real * b.real + b.imaginary * b.imaginary
        return ComplexTensor(
            real: try (a.real * b.real + a.imaginary * b.imaginary) / scale,
            imaginary: try (a.imaginary * b.real - a.real * b.imaginary) / scale)
    }

    /// Returns e^z.
    func exponential() throws -> ComplexTensor {
        let magnitude = try real.exp()
        return ComplexTensor(
            real: try magnitude * imaginary.cos(), imaginary: try magnitude * imaginary.sin())
    }

    /// Returns e^z - 1, precise near 0: (e^x - 1) cos y - 2 sin²(y/2) + i e^x sin y.
    func exponentialMinusOne() throws -> ComplexTensor {
        let half = try (imaginary * 0.5).sin()
        return ComplexTensor(
            real: try real.expm1() * imaginary.cos() - half * half * 2,
            imaginary: try real.exp() * imaginary.sin())
    }
}
