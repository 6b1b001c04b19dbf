/// A path split into folder and name, with the names of its temporaries.
struct TargetPath {
    /// Path without trailing slashes.
    let path: String
    /// Folder of the entry; "." for a path without slashes.
    let folder: String
    /// Name of the entry.
    let name: String

    /// Splits a path; refuses paths that do not end in a name, such as "/" and "..".
    init(_ path: String) throws {
        try FileAccess.check(path)
        // Bytes, not characters: to the system, a slash followed by a combining mark is a slash.
        let separator = UInt8(ascii: "/")
        var trimmed = path.utf8[...]
        while trimmed.count > 1, trimmed.last == separator { trimmed.removeLast() }
        let slash = trimmed.lastIndex(of: separator)
        let name = Substring(slash.map { trimmed[trimmed.index(after: $0)...] } ?? trimmed)
        guard !name.isEmpty, name != ".", name != ".." else {
            throw StorageError.invalidPath(path: path, reason: "it does not end in a name")
        }
        self.path = String(Substring(trimmed))
        self.name = String(name)
        switch slash {
        case nil: folder = "."
        case trimmed.startIndex: folder = "/"
        case .some(let slash): folder = String(Substring(trimmed[..<slash]))
        }
    }

    /// Returns a new path for a version that is being written: `.name.tmp-` and 16 random digits.
    func newTemporaryPath() -> String {
        sibling(temporaryPrefix + Self.randomDigits())
    }

    /// Returns a new path for an old version that is being replaced: `.name.old-` and 16 random digits.
    func newAsidePath() -> String {
        sibling(asidePrefix + Self.randomDigits())
    }

    /// Returns true if a name in the folder is that of a temporary version.
    func isTemporary(_ sibling: String) -> Bool {
        Self.matches(sibling, prefix: temporaryPrefix)
    }

    /// Returns true if a name in the folder is that of an old version.
    func isAside(_ sibling: String) -> Bool {
        Self.matches(sibling, prefix: asidePrefix)
    }

    /// Returns the path of an entry of the same folder.
    func sibling(_ name: String) -> String {
        folder.hasSuffix("/") ? folder + name : folder + "/" + name
    }

    private var temporaryPrefix: String { ".\(name).tmp-" }
    private var asidePrefix: String { ".\(name).old-" }

    private static func matches(_ name: String, prefix: String) -> Bool {
        // Bytes again: the temporaries of a name that is only canonically equivalent belong to another file.
        guard name.utf8.starts(with: prefix.utf8) else { return false }
        let digits = name.utf8.dropFirst(prefix.utf8.count)
        return digits.count == 16
            && digits.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }

    private static func randomDigits() -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
