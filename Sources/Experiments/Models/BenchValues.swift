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
