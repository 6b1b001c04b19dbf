import Foundation
import RetNetMixers

/// A measurement of speed and memory in a process of its own, where the peak memory is that of the measured work.
///
/// The command `retnet bench` measures; it reports its figures as a JSON object.
public enum SpeedMeasurement: Equatable, Sendable {
    /// Training steps of a preset: `tokens_per_second` and `peak_bytes`.
    case training(preset: String, form: MixerForm, batch: Int, length: Int, repetitions: Int)
    /// Generation at several positions: `parameters`, `peak_bytes`, and per position the entries of `results`.
    case generation(preset: String, batch: Int, positions: [Int], tokenCount: Int, repetitions: Int)

    /// Returns numbers of a JSON object by name; throws ``ExperimentError/unusable(_:)`` if one is missing.
    static func numbers(_ object: [String: Any], _ names: [String]) throws -> [String: Double] {
        try Dictionary(
            uniqueKeysWithValues: names.map { name in
                guard let value = (object[name] as? NSNumber)?.doubleValue else {
                    throw ExperimentError.unusable("the measurement has no number '\(name)'")
                }
                return (name, value)
            })
    }

    /// Returns a list of objects in a JSON object; throws ``ExperimentError/unusable(_:)`` if it is missing.
    static func objects(_ object: [String: Any], _ name: String) throws -> [[String: Any]] {
        guard let list = object[name] as? [[String: Any]] else {
            throw ExperimentError.unusable("the measurement has no list '\(name)'")
        }
        return list
    }
}

extension [UnitResult] {
    /// A warning if rounds of one measurement differ by more than half, as on a busy machine; otherwise nil.
    func disturbance(_ name: String) -> ExperimentReport.Section? {
        let busy = contenders.filter { contender in
            guard let range = sample(contender, name).range, range.lowerBound > 0 else { return false }
            return range.upperBound > 1.5 * range.lowerBound
        }
        guard !busy.isEmpty else { return nil }
        return .text(
            "**Rounds differ** by more than half for \(busy.count) of \(contenders.count) measurements, so other"
                + " programs were running: these speeds are unreliable; measure again on an idle machine. Memory is"
                + " not affected.")
    }
}
