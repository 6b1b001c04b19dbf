import RetNetSystem
import SystemPackage

/// The exclusive right to write a folder, held by a lock on a file in it.
///
/// It ends with the object or the process, however that ends. Take it before looking at what the folder holds: what is
/// found then stays true until the end of the lock. The file stays in the folder unless ``abandon()`` removes it.
public final class FolderLock: Sendable {
    /// Folder as given.
    public let folder: String
    private let path: String
    private let descriptor: FileDescriptor
    /// Folders that did not exist before, outer ones first.
    private let madeFolders: [String]
    private let hasMadeFile: Bool

    // A process that gives its lock up removes the file; then the next attempt finds a new one.
    private static let attemptCount = 100

    /// Makes the folder, with those above it, and locks the file of a name in it.
    ///
    /// Throws `StorageError.inUse` if another lock is alive, also one of this process, and other `StorageError`s.
    public init(_ folder: String, fileName: String) throws {
        let path = folder + "/" + fileName
        var madeFolders: [String] = []
        for _ in 0..<Self.attemptCount {
            madeFolders += try Self.makeFolders(folder)
            guard let (descriptor, isNew) = try Self.open(path) else { continue }
            guard descriptor.tryLock() else {
                try? descriptor.close()
                throw StorageError.inUse(path: folder)
            }
            guard Self.isStillThere(descriptor, path) else {
                try? descriptor.close()
                continue
            }
            self.folder = folder
            self.path = path
            self.descriptor = descriptor
            self.madeFolders = madeFolders
            hasMadeFile = isNew
            return
        }
        throw StorageError.inUse(path: folder)
    }

    deinit { try? descriptor.close() }

    /// Undoes what taking the lock made: the file, and the folders that nothing else is in.
    ///
    /// For work that ends before it has written anything. The lock counts no longer.
    public func abandon() {
        // Not a file that another lock has made since.
        if hasMadeFile, Self.isStillThere(descriptor, path) { try? FileSystem.removeFile(path) }
        for folder in madeFolders.reversed() { try? FileSystem.removeFolder(folder) }
    }

    /// Makes a folder and those above it; returns those that did not exist.
    private static func makeFolders(_ path: String) throws -> [String] {
        switch try FileAccess.kind(of: path) {
        case .folder: return []
        case .file, .other, .link: throw StorageError.notFolder(path: path)
        case nil: break
        }
        let target = try TargetPath(path)
        var made = target.folder == "." ? [] : try makeFolders(target.folder)
        do {
            try FileSystem.makeFolder(path)
            made.append(path)
        } catch {
            // Another process may have made it meanwhile.
            guard error == .fileExists else {
                for folder in made.reversed() { try? FileSystem.removeFolder(folder) }
                throw StorageError.failed("create the folder", path, error)
            }
        }
        return made
    }

    /// Opens the file, new or not; returns nil if it or its folder was removed meanwhile.
    private static func open(_ path: String) throws -> (descriptor: FileDescriptor, isNew: Bool)? {
        func open(_ options: FileDescriptor.OpenOptions) throws -> FileDescriptor? {
            do {
                return try FileDescriptor.open(
                    path, .readWrite, options: options.union(.closeOnExec),
                    permissions: FilePermissions(rawValue: 0o644))
            } catch let code as Errno {
                if code == .fileExists || code == .noSuchFileOrDirectory { return nil }
                throw StorageError.failed("open the lock", path, code)
            }
        }
        if let descriptor = try open([.create, .exclusiveCreate]) { return (descriptor, true) }
        return try open([]).map { ($0, false) }
    }

    /// Returns true if the path still means the opened file.
    private static func isStillThere(_ descriptor: FileDescriptor, _ path: String) -> Bool {
        guard let own = try? descriptor.stat(), let found = try? Stat(path) else { return false }
        return own.identity == found.identity
    }
}
