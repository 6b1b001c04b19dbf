import Foundation
import RetNetRuntime
import RetNetStorage
import RetNetText

/// States of one model in a folder of files, so that they outlive the server.
///
/// Files are state files as `retnet generate --state-out` writes them, named after the state; they are complete or absent. The
/// folder belongs to one server at a time.
public final class StateFolder: Sendable {
    /// The folder.
    public let path: String
    let model: ServingModel
    private let lock: FolderLock

    private static let suffix = ".state"
    private static let lockName = "server.lock"
    /// Names of the texts in the files.
    private enum Text {
        static let parent = "server.parent"
        static let created = "server.created"
    }

    /// Opens or makes a folder; throws `StorageError` if that fails or another server uses it.
    public init(_ path: String, model: ServingModel) throws {
        self.path = path
        self.model = model
        lock = try FolderLock(path, fileName: Self.lockName)
        // What a server that was killed had begun to write.
        for name in try FileManager.default.contentsOfDirectory(atPath: path) where Self.isUnfinished(name) {
            try? FileManager.default.removeItem(atPath: path + "/" + name)
        }
    }

    private static func isUnfinished(_ name: String) -> Bool {
        name.hasPrefix(".") && name.contains(suffix + ".tmp-")
    }

    private func file(_ name: String) -> String { path + "/" + name + Self.suffix }

    /// The names of all states, in order.
    public var names: [String] {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return files.filter { $0.hasSuffix(Self.suffix) }.map { String($0.dropLast(Self.suffix.count)) }
            .filter(StateStore.isName).sorted()
    }

    /// Returns true if the folder has a state of a name.
    public func contains(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }

    /// Bytes of the file of a state; nil if there is none.
    public func byteCount(_ name: String) -> Int? {
        (try? FileManager.default.attributesOfItem(atPath: file(name)))?[.size] as? Int
    }

    /// Writes a state; throws `StateFileError` and `StorageError`, and then the file is as it was.
    public func save(_ state: StateStore.NamedState) throws {
        var texts = [Text.created: String(state.created.timeIntervalSince1970)]
        texts[Text.parent] = state.parent
        try StateFile.write(state.snapshot, texts, to: file(state.name), model)
    }

    /// Reads a state.
    ///
    /// Throws ``ServingError/unknownState(_:)`` if there is none, `StateFileError` for a state of another model or with other
    /// contents than it should have, and `StorageError`.
    public func load(_ name: String) throws -> StateStore.NamedState {
        guard StateStore.isName(name), contains(name) else { throw ServingError.unknownState(name) }
        let (snapshot, texts) = try StateFile.read(file(name), model)
        return StateStore.NamedState(
            name: name, parent: texts[Text.parent],
            created: Date(timeIntervalSince1970: texts[Text.created].flatMap(Double.init) ?? 0),
            snapshot: snapshot)
    }

    /// Removes the file of a state, if there is one; throws `StorageError`.
    public func delete(_ name: String) throws {
        guard StateStore.isName(name), contains(name) else { return }
        do {
            try FileManager.default.removeItem(atPath: file(name))
        } catch {
            throw ServingError.stateFile(name: name, reason: error.localizedDescription)
        }
    }
}

/// The states with names of a server: those in memory, and behind them those in a folder.
public struct StateKeeper: Sendable {
    /// The memory.
    public let store: StateStore
    /// The folder, if the server has one.
    public let folder: StateFolder?

    /// States in memory, and in a folder if there is one.
    public init(_ store: StateStore, folder: StateFolder? = nil) {
        self.store = store
        self.folder = folder
    }

    /// Returns the state of a name, and reads it from the folder if it is not in memory.
    ///
    /// Throws ``ServingError`` and what ``StateFolder/load(_:)`` throws.
    public func state(named name: String) throws -> StateStore.NamedState {
        do {
            return try store.state(named: name)
        } catch ServingError.unknownState(name) {
            guard let folder else { throw ServingError.unknownState(name) }
            let state = try folder.load(name)
            return try store.setState(
                state.snapshot, named: name, parent: state.parent, created: state.created, replaces: true)
        }
    }

    /// Returns true if there is a state of a name, in memory or in the folder.
    public func contains(_ name: String) -> Bool {
        (try? store.state(named: name)) != nil || folder?.contains(name) == true
    }

    /// Keeps a state under a name, also in the folder if that is asked for or has one of the name.
    ///
    /// Throws what the store and the folder throw.
    @discardableResult
    public func set(
        _ snapshot: StateSnapshot, named name: String, parent: String? = nil, replaces: Bool = false,
        persists: Bool = false
    ) throws -> StateStore.NamedState {
        if persists, folder == nil { throw ServingError.noStateFolder }
        guard StateStore.isName(name) else { throw ServingError.invalidStateName(name) }
        guard replaces || !contains(name) else { throw ServingError.stateExists(name) }
        let state = try store.setState(snapshot, named: name, parent: parent, replaces: replaces)
        // A file with the former state would come back at the next start.
        if let folder, persists || folder.contains(name) { try folder.save(state) }
        return state
    }

    /// Writes a state to the folder; throws what ``state(named:)`` and ``StateFolder/save(_:)`` throw.
    public func save(_ name: String) throws -> StateStore.NamedState {
        guard let folder else { throw ServingError.noStateFolder }
        let state = try state(named: name)
        try folder.save(state)
        return state
    }

    /// Deletes a state, in memory and in the folder; throws ``ServingError`` if there is none.
    public func delete(_ name: String) throws {
        guard contains(name) else { throw ServingError.unknownState(name) }
        try folder?.delete(name)
        try? store.deleteState(named: name)
    }
}
