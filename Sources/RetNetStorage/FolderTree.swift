import RetNetSystem
import SystemPackage

/// The files in a folder and in all folders below it, found through symbolic links too.
///
/// Nothing is left out without a word: what is not among ``files`` is named in ``skipped``.
public struct FolderTree: Sendable {
    /// An entry that is not among the files.
    public struct Skipped: Hashable, Sendable {
        /// Path below the folder.
        public let path: String
        /// The reason.
        public let reason: Reason
    }

    /// A reason for leaving an entry out.
    public enum Reason: Hashable, Sendable, CaseIterable {
        /// Its name begins with a dot.
        case hidden
        /// Its name is none of those that are looked for.
        case otherName
        /// It is a link to a folder that it is in, so that following it would never end.
        case loop
        /// It is a link to nothing.
        case brokenLink
        /// It is a pipe, a device or a socket.
        case notFile
        /// It is a folder that cannot be listed.
        case unreadable
    }

    /// The files with wanted names: paths below the folder, sorted by their bytes, so that no locale changes the order.
    public private(set) var files: [String] = []
    /// All other entries except folders that were searched, sorted in the same way.
    public private(set) var skipped: [Skipped] = []

    /// Searches a folder; throws `StorageError` if there is none at the path.
    public init(_ folder: String, isWanted: (_ name: String) -> Bool) throws {
        guard let kind = try FileAccess.kind(of: folder) else { throw StorageError.notFound(path: folder) }
        guard kind == .folder else { throw StorageError.notFolder(path: folder) }
        let root = folder.hasSuffix("/") ? folder : folder + "/"
        let names = try FileAccess.names(in: folder)
        search(root, "", names, within: Self.identity(of: folder).map { [$0] } ?? [], isWanted)
        files.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        skipped.sort { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    }

    private mutating func search(
        _ root: String, _ prefix: String, _ names: [String], within: [Stat.Identity],
        _ isWanted: (String) -> Bool
    ) {
        for name in names {
            let path = prefix + name
            func skip(_ reason: Reason) { skipped.append(Skipped(path: path, reason: reason)) }
            guard !name.hasPrefix(".") else {
                skip(.hidden)
                continue
            }
            switch try? FileAccess.kind(of: root + path) {
            case .folder:
                guard let identity = Self.identity(of: root + path),
                    let names = try? FileAccess.names(in: root + path)
                else {
                    skip(.unreadable)
                    continue
                }
                guard !within.contains(identity) else {
                    skip(.loop)
                    continue
                }
                search(root, path + "/", names, within: within + [identity], isWanted)
            case .file: isWanted(name) ? files.append(path) : skip(.otherName)
            case .link, nil: skip(.brokenLink)
            case .other: skip(isWanted(name) ? .notFile : .otherName)
            }
        }
    }

    private static func identity(of path: String) -> Stat.Identity? { (try? Stat(path))?.identity }
}
