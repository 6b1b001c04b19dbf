import Foundation
import RetNetArchitecture
import RetNetTorch

/// xPos's damping of retention: pair j of a query and a key that are n positions apart counts ζⱼ^(n/base) times.
///
/// ζⱼ = (2j/A + 0.4)/1.4. Taken alone, the factors ζ^(p/base) of queries and ζ^(-p/base) of keys leave every number format
/// as positions grow. So they are taken relative to the first token of a pass, passes are cut into segments, and the state
/// holds its keys as seen from the last token that it has absorbed: the next pass damps it by one step more. Source: A
/// Length-Extrapolatable Transformer (arXiv 2212.10554), as Jamie-Stirling/RetNet applies it to retention.
struct RetentionDamping {
    /// Number of tokens of a pass from which it is cut, so that no factor exceeds ζ^-8.
    let segmentLength: Int
    /// ln ζⱼ / base, for every pair.
    private let logRatios: [Double]
    private let areHalves: Bool

    /// `stride` is the number of positions of the sequence from one token that the layer sees to the next.
    init?(_ c: RetentionConfiguration, stride: Int) {
        guard let base = c.xPosScaleBase, c.rotation != .none else { return nil }
        let step = base / Double(stride)
        logRatios = (0..<c.keySize / 2).map {
            log((2 * Double($0) / Double(c.keySize) + 0.4) / 1.4) / step
        }
        areHalves = c.rotation == .halves
        segmentLength = max(1, Int(min(8 * step, 1e6)))
    }

    /// Returns the cosines and sines of a pass [B or 1, T, A/2] times the factors of queries, and times those of keys.
    func tables(_ plain: [Tensor], _ pass: ForwardPass) throws -> (query: [Tensor], key: [Tensor]) {
        guard let first = plain.first, first.size(1) > 1 else { return (plain, plain) }
        let length = first.size(1)
        let tables = try pass.sharing("xpos \(logRatios)") {
            try [1.0, -1.0].flatMap { sign in
                let factors = (0..<length).flatMap { t in logRatios.map { exp(sign * Double(t) * $0) } }
                let table = try Tensor.from(factors, [1, length, logRatios.count])
                    .to(first.elementType, on: first.device)
                return try plain.map { try $0 * table }
            }
        }
        return (Array(tables.prefix(2)), Array(tables.suffix(2)))
    }

    /// Returns a state as seen from `count` tokens further on.
    func moved(_ state: RetentionState, by count: Int) throws -> RetentionState {
        guard count > 0 else { return state }
        let perPair = logRatios.map { exp(Double(count) * $0) }
        let perChannel = areHalves ? perPair + perPair : perPair.flatMap { [$0, $0] }
        let factors = try Tensor.from(perChannel, [1, 1, perChannel.count, 1])
            .to(state.matrix.elementType, on: state.matrix.device)
        return RetentionState(
            matrix: try state.matrix * factors,
            keySum: try state.keySum.map { try ($0.unsqueezed(-1) * factors).squeezed(-1) })
    }
}
