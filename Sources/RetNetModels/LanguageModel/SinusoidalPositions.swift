import Foundation
import RetNetMixers
import RetNetTorch

/// Sines and cosines of absolute positions, to be added to embeddings (Vaswani et al., arXiv 1706.03762).
enum SinusoidalPositions {
    /// [B or 1, T, D] for rows that begin at `starts`: sin(p θⱼ), then cos(p θⱼ), θⱼ = 10000^(-2j/D).
    static func table(size: Int, starts: [Int], length: Int, like x: Tensor) throws -> Tensor {
        let half = size / 2
        let angles = (0..<half).map { pow(10_000, -Double($0) / Double(half)) }
        let waves = try RotaryTable.make(
            angles: angles, starts: starts, length: length, type: x.elementType.accumulator, device: x.device)
        let table = try Tensor.concatenated([waves[1], waves[0]], axis: -1).to(x.elementType)
        // Embeddings of several blocks: the same for each.
        let blocks = [Tensor](repeating: table, count: Swift.max(1, x.size(-1) / size))
        return blocks.count == 1 ? table : try Tensor.concatenated(blocks, axis: -1)
    }
}
