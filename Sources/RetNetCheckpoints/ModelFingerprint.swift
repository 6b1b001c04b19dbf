import Foundation
import RetNetModels
import RetNetStorage
import RetNetTorch

/// A short text that differs between models whose states cannot be exchanged.
public enum ModelFingerprint {
    private static let sampledValueCount = 16

    /// The CRC-32 of the configuration and that of the first values of every parameter, in hexadecimal.
    ///
    /// Values count rounded to bfloat16, so that a model has the same fingerprint whether it was loaded in
    /// that type, in float32 or in float64.
    public static func make(_ model: LanguageModel) throws -> String {
        let configuration = Checksum.crc32(Data(try model.configuration.jsonText().utf8))
        var weights: UInt32 = 0
        try withoutGradients {
            for entry in model.parameters.entries {
                let count = Swift.min(sampledValueCount, entry.tensor.elementCount)
                // A view of the first values: parameters are contiguous.
                let sample = try entry.tensor.detached().reshaped([-1]).sliced(0, 0..<count)
                weights = try sample.to(.float32).to(.bfloat16).withHostBytes {
                    Checksum.crc32($0, continuing: weights)
                }
            }
        }
        return Checksum.hexadecimal(configuration) + "-" + Checksum.hexadecimal(weights)
    }
}
