import Foundation
import RetNetStorage

/// A part of an experiment that is measured as a whole or not at all: one model trained with one seed, for example.
public struct ExperimentUnit {
    /// The receiver of a unit's progress.
    public struct Progress {
        private let handler: (_ remark: String, _ fraction: Double?) throws -> Void

        /// Creates a receiver of remarks only.
        public init(report: @escaping (_ remark: String) throws -> Void) {
            handler = { remark, _ in try report(remark) }
        }

        /// Creates a receiver of remarks and, where it is known, the finished share of the unit.
        public init(reportFraction: @escaping (_ remark: String, _ fraction: Double?) throws -> Void) {
            handler = reportFraction
        }

        /// Shows a short remark next to the progress bar; throws ``ExperimentError/interrupted`` after a signal.
        ///
        /// `fraction` is the finished share of the unit, from 0 to 1.
        public func report(_ remark: String, fraction: Double? = nil) throws {
            try handler(remark, fraction)
        }
    }

    /// The name, which is also a file name, unique within a recipe.
    public let id: String
    /// The contender that is measured.
    public let contender: String
    /// The seed of everything random in the unit.
    public let seed: Int
    /// The share of the recipe's work, in any scale.
    public let weight: Double
    /// True if the unit measures speed, which other work on the machine would disturb.
    public let measuresSpeed: Bool
    /// Does the work and returns the numbers for the report by name.
    public let measure: (Progress) throws -> [String: Double]
    /// Learns that another process measures the unit, so that no work is done ahead for it.
    public let leave: () -> Void

    /// Creates a unit; ids may contain letters, digits, dots, dashes and underscores.
    public init(
        id: String, contender: String, seed: Int = 0, weight: Double = 1, measuresSpeed: Bool = false,
        leave: @escaping () -> Void = {}, measure: @escaping (Progress) throws -> [String: Double]
    ) {
        self.measuresSpeed = measuresSpeed
        self.leave = leave
        self.id = id
        self.contender = contender
        self.seed = seed
        self.weight = weight
        self.measure = measure
    }
}

/// The result of a finished unit; one file of the experiment's folder.
public struct UnitResult: Sendable, Equatable, Codable {
    /// The name of the unit.
    public var id: String
    /// The contender that was measured.
    public var contender: String
    /// The seed of everything random in the unit.
    public var seed: Int
    /// The numbers by name.
    public var values: [String: Double]
    /// The duration in seconds.
    public var seconds: Double

    /// Creates a result from its parts.
    public init(id: String, contender: String, seed: Int, values: [String: Double], seconds: Double) {
        self.id = id
        self.contender = contender
        self.seed = seed
        self.values = values
        self.seconds = seconds
    }
}

extension [UnitResult] {
    /// Returns the values of a name over all units of a contender: one per seed.
    public func sample(_ contender: String, _ name: String) -> Sample {
        Sample(filter { $0.contender == contender }.compactMap { $0.values[name] })
    }

    /// The contenders in the order of their first result.
    public var contenders: [String] {
        reduce(into: []) { if !$0.contains($1.contender) { $0.append($1.contender) } }
    }
}

/// The results of an experiment in a folder, one file per unit, so that an interrupted experiment can be resumed.
///
/// `experiment.json` holds the settings that the results belong to; results of other settings are refused. The folder is
/// locked for as long as a store of it exists; other ranks of the process that has it locked join it.
public struct ResultStore {
    /// The folder of the experiment.
    public let folder: String
    private let lock: FolderLock?
    private static let settingsName = "experiment.json"
    private static let lockName = "experiment.lock"

    /// Opens a folder for results of the given settings; creates it if it does not exist.
    ///
    /// Throws ``ExperimentError/otherSettings(folder:differences:)`` if it holds results of other settings,
    /// ``ExperimentError/inUse(folder:)`` if another store of it exists, and `StorageError`.
    public init(folder: String, settings: [String: String]) throws {
        self.folder = folder
        do {
            lock = try FolderLock(folder, fileName: Self.lockName)
        } catch StorageError.inUse {
            throw ExperimentError.inUse(folder: folder)
        }
        let files = FileManager.default
        do {
            try files.createDirectory(atPath: folder + "/runs", withIntermediateDirectories: true)
        } catch {
            throw ExperimentError.unusable(
                "cannot create the folder '\(folder)': \(error.localizedDescription)")
        }
        let path = folder + "/" + Self.settingsName
        if files.fileExists(atPath: path) {
            let found = try Self.read([String: String].self, path)
            let keys = Set(found.keys).union(settings.keys).filter { found[$0] != settings[$0] }
            guard keys.isEmpty else {
                throw ExperimentError.otherSettings(
                    folder: folder,
                    differences: keys.sorted().map { key in
                        "\(key): \(Self.short(found[key])) there, \(Self.short(settings[key])) here"
                    })
            }
        } else {
            try AtomicFile.write(try Self.encode(settings), to: path)
        }
    }

    /// Joins the store that another rank has opened; throws ``ExperimentError`` where this machine does not see its folder.
    public init(joining folder: String) throws {
        self.folder = folder
        lock = nil
        guard FileManager.default.fileExists(atPath: folder + "/" + Self.settingsName) else {
            throw ExperimentError.unusable(
                "the folder '\(folder)' of rank 0 is not seen here: all ranks need the folder of the results")
        }
    }

    /// Returns the result of a unit; nil if it is not finished.
    public func result(_ id: String) throws -> UnitResult? {
        let path = self.path(id)
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let result = try Self.read(UnitResult.self, path)
        guard result.id == id else {
            throw ExperimentError.unreadableResult(path: path, reason: "it belongs to '\(result.id)'")
        }
        return result
    }

    /// Saves the result of a unit; its file is complete or does not exist.
    public func save(_ result: UnitResult) throws {
        guard result.id.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) }),
            result.id.contains(where: { $0 != "." })
        else { throw ExperimentError.unusable("the unit name '\(result.id)' is not a valid file name") }
        try AtomicFile.write(try Self.encode(result), to: path(result.id))
    }

    private static func short(_ value: String?) -> String {
        guard let value else { return "none" }
        return value.count <= 40 ? value : value.prefix(37) + "..."
    }

    private func path(_ id: String) -> String { "\(folder)/runs/\(id).json" }

    private static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try encoder.encode(value) + Data("\n".utf8)
    }

    private static func read<T: Decodable>(_ type: T.Type, _ path: String) throws -> T {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        do {
            return try decoder.decode(type, from: try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw ExperimentError.unreadableResult(path: path, reason: "it does not have the expected form")
        }
    }
}
