import Foundation

/// Processes (*ranks*) that share a measurement or a batch of texts: each does a part, and all learn the results of all.
///
/// All ranks call ``gathered(_:_:)`` the same number of times.
public protocol MeasuringRanks: AnyObject {
    /// The number of this rank, from 0.
    var rank: Int { get }
    /// The number of ranks.
    var count: Int { get }

    /// Returns the values of all ranks, in their order, on all ranks; `operation` names what ranks wait for.
    func gathered(_ value: Data, _ operation: String) throws -> [Data]
}

extension MeasuringRanks {
    /// Returns the values of all ranks, in their order, on all ranks, exactly.
    public func gatheredValues<Value: Codable>(_ value: Value, _ operation: String) throws -> [Value] {
        let encoder = JSONEncoder()
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        // In an array, for older decoders refuse single numbers.
        return try gathered(encoder.encode([value]), operation).map { data in
            guard let value = try decoder.decode([Value].self, from: data).first else {
                throw CocoaError(.coderReadCorrupt)
            }
            return value
        }
    }
}
