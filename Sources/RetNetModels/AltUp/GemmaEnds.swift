import RetNetLayers
import RetNetTorch

/// Gemma 3n's way in and out: every further block is a projection, brought to the magnitude of the first.
struct GemmaEnds {
    private let expand: [Linear]
    private let collapse: [Linear]

    /// Declares `expand.i` and `collapse.i` for i from 1.
    init(_ scope: ParameterScope, _ configuration: AltUpConfiguration, hiddenSize: Int) throws {
        func projections(_ name: String) throws -> [Linear] {
            try (1..<max(1, configuration.blockCount)).map {
                try Linear(
                    scope.scope("\(name).\($0)"), from: hiddenSize, to: hiddenSize, bias: false,
                    initializer: .fanInUniform(scale: 1))
            }
        }
        expand = try projections("expand")
        collapse = try projections("collapse")
    }

    func blocks(of x: Tensor) throws -> [Tensor] {
        let target = try Self.meanSquare(x)
        return [x] + (try expand.map { try Self.matched($0(x), to: target) })
    }

    func one(of blocks: [Tensor]) throws -> Tensor {
        let target = try Self.meanSquare(blocks[0])
        let parts =
            try [blocks[0]] + zip(blocks.dropFirst(), collapse).map { try Self.matched($1($0), to: target) }
        let weights = [Double](repeating: 1 / Double(parts.count), count: parts.count)
        return try FusedOperators.combine(parts, weights: [weights])[0]
    }

    private static func meanSquare(_ x: Tensor) throws -> Tensor {
        let wide = try x.to(x.elementType.accumulator)
        return try (wide * wide).mean([-1], keepingAxes: true)
    }

    /// x with the root mean square of another; the floor under the root is that of the public code.
    private static func matched(_ x: Tensor, to target: Tensor) throws -> Tensor {
        let factor = try target.sqrt() * meanSquare(x).maximum(1e-5).rsqrt()
        return try (x.to(factor.elementType) * factor).to(x.elementType)
    }
}
