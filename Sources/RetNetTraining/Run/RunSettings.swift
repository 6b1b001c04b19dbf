import Foundation
import RetNetSettings

/// The settings of a run as its folder keeps them, and which of them may change when it is resumed.
struct RunSettings {
    /// All settings, resolved.
    let tree: SettingsTree
    /// Names, or beginnings of names, of settings that do not change what a step does.
    let changeableKeys: [String]
    /// Reads a document as this kind of run does, so that defaults are filled in.
    let read: (SettingsDocument) throws -> SettingsTree

    /// The names of settings that differ from those of another run and decide the course of a run.
    func decisiveDifferences(from other: SettingsTree) -> [String] {
        let (own, others) = (Self.leaves(tree), Self.leaves(other))
        return Set(own.keys).union(others.keys).filter { own[$0] != others[$0] && !isChangeable($0) }
            .sorted()
    }

    /// Throws ``TrainingError/configurationChanged(keys:)`` unless the run in a folder can go on with this.
    ///
    /// A folder without a configuration died before its run began, so anything goes.
    func checkResumable(folder: RunFolder) throws {
        guard FileManager.default.fileExists(atPath: folder.configurationPath) else { return }
        let document = try SettingsDocument(contentsOf: URL(fileURLWithPath: folder.configurationPath))
        let keys = decisiveDifferences(from: try read(document))
        guard keys.isEmpty else { throw TrainingError.configurationChanged(keys: keys) }
    }

    private func isChangeable(_ key: String) -> Bool {
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
