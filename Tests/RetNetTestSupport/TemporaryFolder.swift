import Foundation

/// A folder of one test, removed with the object.
public final class TemporaryFolder {
    /// The folder.
    public let url: URL

    /// Creates an empty folder.
    public init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("retnet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// Returns the place of a file in the folder.
    public func url(_ name: String) -> URL { url.appendingPathComponent(name) }
    /// Returns the path of a file in the folder.
    public func path(_ name: String) -> String { url(name).path }
    /// Returns the content of a file.
    public func text(_ name: String) throws -> String {
        String(decoding: try Data(contentsOf: url(name)), as: UTF8.self)
    }
    /// Returns true if there is a file or folder of that name.
    public func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

    /// Writes a file and returns its path.
    @discardableResult
    public func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: url(name))
        return path(name)
    }

    /// Returns the names of everything directly inside it or one of its folders, hidden ones too.
    public func names(_ folder: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path(folder)).sorted()
    }
}

/// Runs a body with a folder, or with the place of one that does not exist yet, and removes it afterwards.
public func withFolder<R>(created: Bool = true, _ body: (URL) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
        "retnet-\(UUID().uuidString)")
    if created { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
}

/// Runs a body with the path of an empty folder, and removes it afterwards.
public func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
    try withFolder { try body($0.path) }
}
