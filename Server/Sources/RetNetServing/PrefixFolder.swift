import Foundation
import RetNetSampling
import RetNetStorage

/// The states behind beginnings of prompts in a folder, between the end of a server and the start of the next.
///
/// They save time only: what cannot be read is removed.
public struct PrefixFolder: Sendable {
    /// The folder.
    public let path: String
    private let model: ServingModel

    private static let suffix = ".state"

    /// A folder within that of the states with names, whose lock holds for both.
    public init(_ folder: StateFolder) {
        path = folder.path + "/prefixes"
        model = folder.model
    }

    /// Writes the states of a store until the time is over, those that were used last first; others are removed.
    ///
    /// Returns the number of states in the folder. Throws `StorageError` and the error of a folder that cannot be made.
    @discardableResult
    public func save(_ store: StateStore, until end: ContinuousClock.Instant) throws -> Int {
        let states = store.beginnings
        guard !states.isEmpty || FileManager.default.fileExists(atPath: path) else { return 0 }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        var kept: Set<String> = []
        for (place, snapshot) in states.enumerated().reversed() where ContinuousClock.now < end {
            guard let history = snapshot.history else { continue }
            // The order of their last use is that of the names, after the next start too.
            let digits = String(place + 1_000_000)
            let name = digits + "-" + String(PrefixHashes(history).whole, radix: 16) + Self.suffix
            try StateFile.write(snapshot, [:], to: path + "/" + name, model)
            kept.insert(name)
        }
        for name in names where !kept.contains(name) {
            try FileManager.default.removeItem(atPath: path + "/" + name)
        }
        return kept.count
    }

    /// Reads all states into a store; returns how many there are and how many could not be used.
    public func load(into store: StateStore) -> (count: Int, failureCount: Int) {
        var (count, failureCount) = (0, 0)
        for name in names.sorted() {
            let file = path + "/" + name
            do {
                let (snapshot, texts) = try StateFile.read(file, model)
                guard StateFile.hasNumbers(texts, of: model) else {
                    throw StateFileError.malformed(
                        path: file, reason: "it was computed with other element types")
                }
                if store.keep(snapshot) { count += 1 }
            } catch {
                failureCount += 1
                try? FileManager.default.removeItem(atPath: file)
            }
        }
        return (count, failureCount)
    }

    /// The names of all files of states, unfinished ones included.
    private var names: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.filter { $0.contains(Self.suffix) }
    }
}
