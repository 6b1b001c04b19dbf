import Foundation
import RetNetStorage

/// The results of an experiment in a folder, one file a unit, so that a stopped one goes on where it was.
///
/// `experiment.json` says what the results belong to; results of other settings are refused.
public struct RunStore {
    /// The experiment's folder.
    public let folder: String
    private static let settingsName = "experiment.json"

    /// Opens a folder, which is made if needed, for results of the given settings.
    ///
    /// Throws ``ExperimentError/otherSettings(folder:differences:)`` if it holds those of others.
    public init(folder: String, settings: [String: String]) throws {
        self.folder = folder
        let files = FileManager.default
        do {
            try files.createDirectory(atPath: folder + "/runs", withIntermediateDirectories: true)
        } catch {
            throw ExperimentError.unusable(
                "the folder '\(folder)' cannot be made: \(error.localizedDescription)")
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

    /// The result of a unit, if it has been finished.
    public func result(_ id: String) throws -> UnitResult? {
        let path = self.path(id)
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let result = try Self.read(UnitResult.self, path)
        guard result.id == id else {
            throw ExperimentError.unreadableResult(path: path, reason: "it belongs to '\(result.id)'")
        }
        return result
    }

    /// Keeps the result of a unit; the file is whole or not there.
    public func save(_ result: UnitResult) throws {
        guard result.id.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) }),
            result.id.contains(where: { $0 != "." })
        else { throw ExperimentError.unusable("'\(result.id)' cannot be the name of a result's file") }
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
            throw ExperimentError.unreadableResult(path: path, reason: "it is not of the right form")
        }
    }
}
