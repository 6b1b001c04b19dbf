import Foundation
import Settings

extension TrainingConfiguration {
    /// Settings that may change when a run is resumed, because they do not change what a step does.
    ///
    /// Changed text and another tokenizer are found by their checksums, so their places may change. The length of the run may change too, and
    /// with it the rest of the learning rate's course.
    private static let changeableKeys = [
        "steps", "tokens", "epochs", "log", "evaluation", "sample", "checkpoint", "recompute_activations",
        "data.paths", "data.validation_paths", "data.tokenizer",
    ]

    /// The names of settings that differ from those of another configuration and decide the course of a run.
    public func decisiveDifferences(from other: TrainingConfiguration) -> [String] {
        let (own, others) = (Self.leaves(settings), Self.leaves(other.settings))
        return Set(own.keys).union(others.keys).filter { own[$0] != others[$0] && !Self.isChangeable($0) }
            .sorted()
    }

    /// Throws ``TrainingError/configurationChanged(keys:)`` unless the run in a folder can go on with this.
    ///
    /// A folder without a configuration died before its run began, so anything goes.
    func checkResumable(folder: RunFolder) throws {
        guard FileManager.default.fileExists(atPath: folder.configurationPath) else { return }
        let keys = decisiveDifferences(from: try TrainingConfiguration(runFolder: folder.path))
        guard keys.isEmpty else { throw TrainingError.configurationChanged(keys: keys) }
    }

    private static func isChangeable(_ key: String) -> Bool {
        changeableKeys.contains { key == $0 || key.hasPrefix($0 + ".") }
    }

    private static func leaves(_ tree: SettingsTree, path: String = "") -> [String: SettingsTree] {
        guard let object = tree.object else { return [path: tree] }
        var result: [String: SettingsTree] = [:]
        for entry in object.entries {
            let name = path.isEmpty ? entry.key : path + "." + entry.key
            result.merge(leaves(entry.value, path: name)) { first, _ in first }
        }
        return result
    }
}
