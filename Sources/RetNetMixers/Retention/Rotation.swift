import Foundation
import RetNetArchitecture
import RetNetTorch

/// The rotation of one layer's queries and keys, with the tables that layers of a pass share.
struct Rotation {
    private let kind: RotationKind
    private let keySize: Int
    private let angles: [Double]
    /// The number of positions of the sequence from one that the layer sees to the next.
    private let stride: Int

    init(_ kind: RotationKind, keySize: Int, stride: Int = 1) {
        self.kind = kind
        self.keySize = keySize
        self.stride = stride
        angles = kind.angles(keySize: keySize).map { $0 * Double(stride) }
    }

    /// True if nothing is rotated.
    var isIdentity: Bool { angles.isEmpty }

    /// True if pairs are neighboring channels, not halves of a head.
    var isInterleaved: Bool { kind == .interleaved }

    /// Returns cosines and sines for the T positions of x [B, T, ...]; none without a rotation.
    func table(_ x: Tensor, _ pass: ForwardPass) throws -> [Tensor] {
        guard !isIdentity else { return [] }
        return try pass.sharing("rotary \(kind) \(keySize)") {
            if let forest = pass.forest {
                return try RotaryTable.make(
                    angles: angles, starts: [pass.commonPlace().position], length: forest.depthCount,
                    type: x.elementType.accumulator, device: x.device
                ).map(forest.spread)
            }
            return try RotaryTable.make(
                angles: angles, starts: pass.positions.map(\.position), length: x.size(1),
                type: x.elementType.accumulator, device: x.device)
        }
    }

    /// Returns x [B, T, H·A] as heads [B, H, T, A], contiguous, rotated by a table (not with an empty one), times `scale`.
    func heads(_ x: Tensor, _ count: Int, by table: [Tensor] = [], scale: Double = 1) throws -> Tensor {
        try FusedOperators.rotateHeads(
            x.reshaped([x.size(0), x.size(1), count, keySize]), cosine: table.first, sine: table.last,
            interleaved: kind == .interleaved, scale: scale)
    }

    /// Returns a state S [B, H, A, X] of rotated keys with every key pair turned by -offset · θ, one offset per row.
    func rebased(_ matrix: Tensor, by offsets: [Int]) throws -> Tensor {
        let (batch, heads, keys, columns) = (matrix.size(0), matrix.size(1), matrix.size(2), matrix.size(3))
        let table = try RotaryTable.make(
            angles: kind.angles(keySize: keys), starts: offsets.map { -$0 * stride }, length: 1,
            type: matrix.elementType, device: matrix.device)
        // [B, H, A, X] as B rows of "time" 1 with H·X "heads" of width A.
        let wide = try matrix.transposed(2, 3).reshaped([batch, 1, heads * columns, keys])
        let turned = try FusedOperators.rotateHeads(
            wide, cosine: table[0], sine: table[1], interleaved: kind == .interleaved, scale: 1)
        return try turned.reshaped([batch, heads, columns, keys]).transposed(2, 3).contiguous()
    }
}

extension Tensor {
    /// [B, T, H·X] → [B, H, T, X], contiguous, times `scale`.
    func heads(_ count: Int, scale: Double = 1) throws -> Tensor {
        try FusedOperators.rotateHeads(
            reshaped([size(0), size(1), count, size(2) / count]), cosine: nil, sine: nil, interleaved: false,
            scale: scale)
    }
}

/// Cosines and sines of position × angle, computed in float64: float32 angles are off by 0.02 rad at position 10⁶.
public enum RotaryTable {
    /// Returns [B or 1, T, A/2] each, in the accumulator type: float32, or float64 for float64 models.
    public static func make(
        angles: [Double], starts: [Int], length: Int, type: ElementType, device: Device
    ) throws -> [Tensor] {
        let rows = Set(starts).count == 1 ? Array(starts.prefix(1)) : starts
        let count = rows.count * length * angles.count
        var cosines = [Double]()
        var sines = [Double]()
        cosines.reserveCapacity(count)
        sines.reserveCapacity(count)
        for start in rows {
            for t in 0..<length {
                let position = Double(start + t)
                for angle in angles {
                    cosines.append(cos(position * angle))
                    sines.append(sin(position * angle))
                }
            }
        }
        let shape = [rows.count, length, angles.count]
        return [
            try Tensor.from(cosines, shape).to(type, on: device),
            try Tensor.from(sines, shape).to(type, on: device),
        ]
    }
}
