import Foundation

/// Numbers of the JSON objects that `retnet bench` prints.
enum BenchValues {
    /// The named numbers; throws ``ExperimentError/unusable(_:)`` when one is missing.
    static func numbers(_ object: [String: Any], _ names: [String]) throws -> [String: Double] {
        try Dictionary(
            uniqueKeysWithValues: names.map { name in
                guard let value = (object[name] as? NSNumber)?.doubleValue else {
                    throw ExperimentError.unusable("the measurement has no number '\(name)'")
                }
                return (name, value)
            })
    }

    /// The objects of a list.
    static func objects(_ object: [String: Any], _ name: String) throws -> [[String: Any]] {
        guard let list = object[name] as? [[String: Any]] else {
            throw ExperimentError.unusable("the measurement has no list '\(name)'")
        }
        return list
    }
}

extension [UnitResult] {
    /// A warning where rounds of one measurement differ by more than half, as they do on a busy machine; else nil.
    func disturbance(_ name: String) -> ExperimentReport.Section? {
        let busy = contenders.filter { contender in
            guard let range = sample(contender, name).range, range.lowerBound > 0 else { return false }
            return range.upperBound > 1.5 * range.lowerBound
        }
        guard !busy.isEmpty else { return nil }
        return .text(
            "**Rounds differ** by more than half for \(busy.count) of \(contenders.count) measurements, so other"
                + " programs were at work: these speeds say little; repeat them on an idle machine. Memory is not affected."
        )
    }
}
