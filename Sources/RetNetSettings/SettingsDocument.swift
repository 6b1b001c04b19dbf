import Foundation
import RetNetStorage

/// A tree of settings with the name of its source and the positions of the settings there.
public struct SettingsDocument: Sendable {
    /// Settings of the document.
    public private(set) var tree: SettingsTree
    /// Name of the file or other source, for error messages.
    public let sourceName: String?
    /// Position of each setting in the source, by path.
    public private(set) var positions: [ExactString: SettingsPosition]

    /// Largest size of a file in bytes.
    public static let maximumByteCount = 64 << 20

    /// Creates a document from a tree, without positions.
    public init(_ tree: SettingsTree, sourceName: String? = nil) {
        self.tree = tree
        self.sourceName = sourceName
        positions = [:]
    }

    /// Reads YAML 1.2 (core schema); throws ``SettingsError`` with the position of the problem.
    public init(yaml text: String, sourceName: String? = nil) throws {
        self.sourceName = sourceName
        (tree, positions) = try Self.naming(sourceName) { try SettingsYAMLParser.parse(text) }
    }

    /// Reads JSON (RFC 8259); throws ``SettingsError`` with the position of the problem.
    public init(json text: String, sourceName: String? = nil) throws {
        self.sourceName = sourceName
        (tree, positions) = try Self.naming(sourceName) { try SettingsJSONReader.parse(text) }
    }

    /// Reads JSON as Python writes it, with `Infinity`, `-Infinity` and `NaN`; throws ``SettingsError`` as JSON does.
    public init(pythonJSON text: String, sourceName: String? = nil) throws {
        self.sourceName = sourceName
        (tree, positions) = try Self.naming(sourceName) { try SettingsJSONReader.parse(text, isPython: true) }
    }

    /// Reads a file or pipe: JSON if its name ends in `.json`, YAML otherwise.
    ///
    /// Throws ``SettingsError`` if the file cannot be read, is not UTF-8 or is not of its format.
    public init(contentsOf url: URL) throws {
        let name = url.path
        func refuse(_ reason: String) -> SettingsError {
            SettingsError([SettingsProblem(kind: .syntax, path: "", allowed: reason)], sourceName: name)
        }
        let file: MappedFile
        do {
            file = try MappedFile(reading: name)
        } catch {
            throw refuse("the file cannot be read: \(error)")
        }
        guard file.byteCount <= Self.maximumByteCount else {
            throw refuse(
                "the file has \(file.byteCount) bytes; at most \(Self.maximumByteCount) are allowed")
        }
        guard let text = file.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
            throw refuse("the file is not UTF-8")
        }
        if url.pathExtension.lowercased() == "json" {
            try self.init(json: text, sourceName: name)
        } else {
            try self.init(yaml: text, sourceName: name)
        }
    }

    /// Sets one setting; see ``SettingsTree/set(_:_:)``.
    public mutating func set(_ dottedPath: String, _ yamlText: String) throws {
        try tree.set(dottedPath, yamlText)
        forgetPositions(under: dottedPath)
    }

    /// Sets one setting; see ``SettingsTree/set(_:to:)``.
    public mutating func set(_ dottedPath: String, to value: SettingsTree) throws {
        try tree.set(dottedPath, to: value)
        forgetPositions(under: dottedPath)
    }

    /// Applies an assignment of the form `path=value`.
    public mutating func apply(assignment: String) throws {
        let (path, value) = try SettingsTree.split(assignment: assignment)
        try set(path, value)
    }

    /// Merges another tree into this one; see ``SettingsTree/merging(_:)``.
    public mutating func merge(_ other: SettingsTree) {
        tree = tree.merging(other)
        forgetPositions(of: other, path: [])
    }

    /// Reader of the whole tree.
    public var reader: SettingsReader { SettingsReader(self) }

    /// Removes the positions of settings that no longer come from the file.
    private mutating func forgetPositions(under path: String) {
        positions = positions.filter { key, _ in
            !SettingsPath.is(key.text, at: path)
        }
    }

    private mutating func forgetPositions(of tree: SettingsTree, path: [SettingsPath.Step]) {
        guard let object = tree.object, !object.isEmpty else {
            forgetPositions(under: SettingsPath.text(path[...]))
            return
        }
        for entry in object.entries { forgetPositions(of: entry.value, path: path + [.key(entry.key)]) }
    }

    private static func naming<Result>(_ sourceName: String?, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as SettingsError {
            throw SettingsError(error.problems, sourceName: sourceName)
        }
    }
}

/// A position in a text.
public struct SettingsPosition: Sendable, Hashable {
    /// Line, from 1.
    public var line: Int
    /// Column in Unicode scalars, from 1.
    public var column: Int

    /// Creates a position.
    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}
