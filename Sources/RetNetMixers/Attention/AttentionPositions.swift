import Foundation
import RetNetArchitecture
import RetNetTorch

/// Rotary embedding and, optionally, xPos of queries and keys, as factors of the cosines and sines.
///
/// xPos multiplies pair j of query t by ζⱼ^(t/base) and of key i by ζⱼ^(-i/base): only t - i matters, but each factor
/// alone leaves every number format. So both are taken relative to an origin that follows the sequence in steps of
/// 8 · base tokens, and the cached keys move with it by powers of two, which is exact however often it happens:
///
///     query t: 2^(t·lⱼ - Eⱼ)     key i: 2^(Eⱼ - i·lⱼ)     lⱼ = log₂ ζⱼ / base     Eⱼ = round(origin · lⱼ)
///
/// Keys far behind the origin go to zero, as their scores do. t and i count the tokens of the row, not positions, so
/// moving positions back changes no factor.
struct AttentionPositions {
    private let angles: [Double]
    /// lⱼ; empty without xPos.
    private let logRatios: [Double]
    private let interleaved: Bool
    /// The number of channels of a head behind the rotated ones.
    private let restSize: Int
    /// The number of tokens between origins, and at most in one segment; nil without xPos.
    let step: Int?

    /// `stride` is the number of positions of the sequence between two tokens that the layer sees.
    init(_ c: AttentionConfiguration, stride: Int = 1) {
        angles = c.angles.map { $0 * Double(stride) }
        interleaved = c.rotation == .interleaved
        restSize = angles.isEmpty ? 0 : c.headSize - 2 * angles.count
        guard let base = c.xPosScaleBase.map({ $0 / Double(stride) }), base > 0, !angles.isEmpty else {
            (logRatios, step) = ([], nil)
            return
        }
        logRatios = angles.indices.map { log2((2 * Double($0) / Double(c.headSize) + 0.4) / 1.4) / base }
        step = Swift.max(1, Int(Swift.min(8 * base, 1e9)))
    }

    var isIdentity: Bool { angles.isEmpty }

    /// Returns the index of the origin that holds for a row after so many tokens.
    func originIndex(_ count: Int) -> Int { step.map { count / $0 } ?? 0 }

    /// Eⱼ of an origin.
    private func exponents(_ index: Int) -> [Double] {
        let origin = Double(index) * Double(step ?? 0)
        return logRatios.map { (origin * $0).rounded() }
    }

    /// Returns cosines and sines of queries, then of keys (the same two without xPos), each [B or 1, T, R/2].
    func tables(_ rows: [SequencePosition], length: Int, type: ElementType, device: Device) throws -> [Tensor]
    {
        let plain = try RotaryTable.make(
            angles: angles, starts: rows.map(\.position), length: length, type: .float64, device: .cpu)
        func narrow(_ t: Tensor) throws -> Tensor { try t.to(type, on: device) }
        guard !logRatios.isEmpty else { return try plain.map(narrow) }
        let counts = Set(rows.map(\.count)).count == 1 ? [rows.first?.count ?? 0] : rows.map(\.count)
        var factors: [Double] = []
        factors.reserveCapacity(counts.count * length * angles.count)
        for count in counts {
            let exponents = exponents(originIndex(count))
            for t in 0..<length {
                for (ratio, exponent) in zip(logRatios, exponents) {
                    factors.append(exp2(Double(count + t) * ratio - exponent))
                }
            }
        }
        let query = try Tensor.from(factors, [counts.count, length, angles.count])
        return try (plain.map { try $0 * query } + plain.map { try $0 / query }).map(narrow)
    }

    /// Returns x [B, T, H, A] as [B, H, T, A], turned by the tables of queries or keys.
    func rotate(_ x: Tensor, by table: ArraySlice<Tensor>) throws -> Tensor {
        guard let cosine = table.first, let sine = table.last else { return try x.transposed(1, 2) }
        guard restSize > 0 else {
            return try FusedOperators.rotateHeads(
                x, cosine: cosine, sine: sine, interleaved: interleaved, scale: 1)
        }
        let size = x.size(3) - restSize
        let rotated = try FusedOperators.rotateHeads(
            x.sliced(3, 0..<size), cosine: cosine, sine: sine, interleaved: interleaved, scale: 1)
        let rest = try x.sliced(3, size..<x.size(3)).transposed(1, 2)
        return try Tensor.concatenated([rotated, rest], axis: 3)
    }

    /// Returns cached keys [B, G, N, A] moved to the origins that hold after `length` more tokens; nil where none changes.
    func moved(_ key: Tensor, from counts: [Int], by length: Int) throws -> Tensor? {
        let changes = counts.map { (originIndex($0), originIndex($0 + length)) }
        guard step != nil, changes.contains(where: { $0.0 != $0.1 }) else { return nil }
        let factors = changes.flatMap { old, new in
            let pairs = zip(exponents(new), exponents(old)).map { exp2($0 - $1) }
            return interleaved ? pairs.flatMap { [$0, $0] } : pairs + pairs
        }
        return try key
            * Tensor.from(factors, [counts.count, 1, 1, key.size(3)]).to(key.elementType, on: key.device)
    }

    /// Returns cached keys [B, G, N, A] turned back by the given numbers of positions.
    func turnedBack(_ key: Tensor, by offsets: [Int]) throws -> Tensor {
        guard !angles.isEmpty, key.size(2) > 0, offsets.contains(where: { $0 != 0 }) else { return key }
        let table = try RotaryTable.make(
            angles: angles, starts: offsets.map { -$0 }, length: 1, type: key.elementType.accumulator,
            device: key.device)
        let (batch, groups, length, size) = (key.size(0), key.size(1), key.size(2), key.size(3))
        // One "position" of G · N "heads", which all turn by the same angle.
        let wide = try key.reshaped([batch, 1, groups * length, size])
        return try rotate(wide, by: table[...]).reshaped([batch, groups, length, size])
    }
}
