import RetNetTorch

/// Relative tolerances of equal forms, by element type: the numerics contract of the package.
public func tolerance(_ type: ElementType) -> Double {
    switch type {
    case .float64: 1e-10
    case .float32: 1e-4
    default: 2e-2
    }
}

/// Returns ‖a - b‖ / ‖b‖ over all elements, in float64; infinity if shapes differ or a value is not finite.
public func relativeError(_ a: Tensor, _ b: Tensor) throws -> Double {
    let (x, y) = (try a.to(.float64).detached(), try b.to(.float64).detached())
    guard x.shape == y.shape, try x.allFinite(), try y.allFinite() else { return .infinity }
    let norm = try (y * y).sum().item().squareRoot()
    let difference = try ((x - y) * (x - y)).sum().item().squareRoot()
    return difference == 0 ? 0 : difference / Swift.max(norm, 1e-300)
}

/// Returns the largest difference relative to the largest value; infinity if lengths differ.
public func relativeDifference(_ a: [Double], _ b: [Double]) -> Double {
    guard a.count == b.count, !a.isEmpty else { return .infinity }
    let scale = b.reduce(1e-300) { max($0, abs($1)) }
    return zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } / scale
}
