import Foundation
import RetNetStorage

/// Reads the inputs of commands whole; `-` is standard input.
enum TextInput {
    /// The bytes of a file or of standard input.
    static func data(_ path: String) throws -> Data {
        if path == "-" { return try FileHandle.standardInput.readToEnd() ?? Data() }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw StorageError.notFound(path: path)
        }
        guard !isFolder.boolValue else { throw CommandError("'\(path)' is a folder: give a file") }
        do {
            return try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw CommandError("'\(path)' cannot be read: \(error.localizedDescription)")
        }
    }

    /// The text of a file or of standard input, which must be UTF-8.
    static func text(_ path: String) throws -> String {
        let data = try data(path)
        guard let text = String(validatingUTF8Data: data) else {
            throw CommandError("\(path == "-" ? "standard input" : "'\(path)'") is not UTF-8 text")
        }
        return text
    }
}

extension String {
    /// The text of UTF-8 bytes, or nil where they are not valid.
    init?(validatingUTF8Data data: Data) {
        self.init(data: data, encoding: .utf8)
    }
}
