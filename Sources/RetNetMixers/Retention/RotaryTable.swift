import Foundation
import RetNetTorch

/// Cosines and sines of position × angle, computed in float64: float32 angles are off by 0.02 rad at position 10⁶.
public enum RotaryTable {
    /// [B or 1, T, A/2] each, in the accumulator type: float32, or float64 for float64 models.
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
