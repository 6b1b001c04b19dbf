import Foundation
import RetNetStorage
import SystemPackage

/// How far a model has been fetched.
public struct PullProgress: Sendable {
    /// Bytes that are there, those of an earlier attempt included.
    public let byteCount: Int
    /// Bytes of all files to fetch.
    public let totalByteCount: Int
    /// Files that are complete.
    public let fileCount: Int
    /// Files to fetch.
    public let totalFileCount: Int
}

/// A model in the cache after it was fetched.
public struct PulledModel: Sendable {
    /// One file of the model.
    public struct File: Sendable {
        /// Name in the repository.
        public let name: String
        /// Size in bytes.
        public let byteCount: Int
        /// True if it was in the cache before.
        public let wasCached: Bool
    }

    /// Commit that was fetched.
    public let commit: String
    /// Folder with the files under their names.
    public let folder: String
    /// Files, in the order of the repository.
    public let files: [File]
    /// Bytes that came over the network.
    public let fetchedByteCount: Int
}

/// The fetching of a model into the cache: several files at once, resumed, checked.
///
/// Small files come first, so that a folder with weights has everything else. What was fetched before a failure or an
/// interruption stays and is continued by the next attempt, of this package or of the hub's own client.
public struct ModelPull: Sendable {
    /// Model to fetch.
    public let reference: HubReference
    /// Addresses, token and cache.
    public let environment: HubEnvironment
    /// Choice of files.
    public var selection = FileSelection()
    /// What the files are for, where the choice names none.
    public var purpose = HubPurpose.model
    /// Connections at the same time: one per file, and what is left over for the parts of large files.
    public var connectionCount = 4
    /// Bytes of a part of a large file; files of more than two parts may be fetched by several connections.
    public var pieceByteCount = 8 << 20
    /// Told of what the user should know while it goes on: waits and repetitions.
    public var note: @Sendable (String) -> Void = { _ in }
    /// Told how far the work is, from any thread, often.
    public var progress: @Sendable (PullProgress) -> Void = { _ in }

    /// Prepares the fetching of a model.
    public init(_ reference: HubReference, _ environment: HubEnvironment) {
        self.reference = reference
        self.environment = environment
    }

    /// Fetches the model until `interrupt` is raised; throws ``HubError`` and `StorageError`.
    public func run(interrupt: InterruptFlag = InterruptFlag()) throws -> PulledModel {
        guard !environment.isOffline else {
            let cache = HubCache(reference, folder: environment.cacheFolder)
            throw HubError.offline(
                reference.description, cacheFolder: environment.cacheFolder,
                reason: cache.lookUp(for: purpose).reason)
        }
        let stop = StopSignal(user: interrupt)
        let cache = HubCache(reference, folder: environment.cacheFolder)
        let client = HubClient(reference, environment, stop: stop, note: note)
        defer { client.close() }
        let revision = try client.revision()
        let names = selection.selected(from: revision.files, for: purpose)
        guard !names.isEmpty else {
            throw HubError.nothingSelected(repository: reference.repository, files: revision.files)
        }
        let missing = names.filter { !cache.has($0, commit: revision.commit) }
        let work = PullWork(missing, revision.commit, cache, self, stop)
        if !missing.isEmpty {
            try cache.prepare()
            try work.examine()
            try work.checkSpace()
            try work.fetch()
        }
        try? cache.record(revision.commit)
        let folder = cache.snapshot(revision.commit)
        let known = Set(missing)
        return PulledModel(
            commit: revision.commit, folder: folder,
            files: names.map { name in
                let size =
                    (try? FileManager.default.attributesOfItem(
                        atPath: URL(fileURLWithPath: folder + "/" + name).resolvingSymlinksInPath().path))?[
                        .size]
                return PulledModel.File(
                    name: name, byteCount: (size as? NSNumber)?.intValue ?? 0,
                    wasCached: !known.contains(name))
            }, fetchedByteCount: work.fetchedByteCount)
    }

    /// Returns a snapshot that serves a purpose: the cached one, or a new one.
    ///
    /// `starting` is told why something is fetched, before it is.
    public func folder(interrupt: InterruptFlag = InterruptFlag(), starting: (String) -> Void) throws
        -> String
    {
        let found = HubCache(reference, folder: environment.cacheFolder).lookUp(for: purpose)
        if let folder = found.folder { return folder }
        guard !environment.isOffline else {
            throw HubError.offline(
                reference.description, cacheFolder: environment.cacheFolder, reason: found.reason)
        }
        starting(found.reason)
        return try run(interrupt: interrupt).folder
    }
}

/// The work on the files that are missing, shared by the threads that do it.
private final class PullWork: @unchecked Sendable {
    // Sendable: everything that changes is guarded by the lock.
    private let names: [String]
    private let commit: String
    private let cache: HubCache
    private let pull: ModelPull
    private let stop: StopSignal
    private let lock = NSLock()
    private var metadata: [String: HubClient.FileMetadata] = [:]
    private var failure: (any Error)?
    private var byteCount = 0
    private var transferredByteCount = 0
    private var finishedCount = 0
    private var totalByteCount = 0

    init(_ names: [String], _ commit: String, _ cache: HubCache, _ pull: ModelPull, _ stop: StopSignal) {
        self.names = names
        self.commit = commit
        self.cache = cache
        self.pull = pull
        self.stop = stop
    }

    var fetchedByteCount: Int { lock.withLock { max(transferredByteCount, 0) } }

    /// Asks for checksums and sizes: for all files at once where the server lists them, else for each.
    func examine() throws {
        if names.count > 1 {
            let client = HubClient(pull.reference, pull.environment, stop: stop, note: pull.note)
            defer { client.close() }
            let listed = try client.listing(commit: commit) ?? [:]
            for name in names { metadata[name] = listed[name] }
        }
        try inParallel(names.filter { metadata[$0] == nil }) { client, name in
            let found = try client.metadata(of: name, commit: self.commit)
            if let commit = found.commit, commit != self.commit {
                throw HubError.notAHub(
                    url: self.pull.environment.endpoint,
                    reason: "it gives '\(name)' of another commit than asked for")
            }
            self.lock.withLock { self.metadata[name] = found }
        }
        totalByteCount = metadata.values.reduce(0) { $0 &+ ($1.byteCount ?? 0) }
    }

    /// Refuses to begin what the disk cannot hold.
    func checkSpace() throws {
        var needed = 0
        for found in metadata.values where !FileManager.default.fileExists(atPath: cache.blob(found.etag)) {
            let attributes = try? FileManager.default.attributesOfItem(atPath: cache.partial(found.etag))
            let present = (attributes?[.size] as? NSNumber)?.intValue ?? 0
            needed = needed &+ max(0, (found.byteCount ?? 0) - present)
        }
        let attributes = try? FileManager.default.attributesOfFileSystem(forPath: cache.folder)
        guard let free = (attributes?[.systemFreeSize] as? NSNumber)?.intValue, free < needed else { return }
        throw HubError.noSpace(folder: cache.folder, needed: needed, free: free)
    }

    /// Fetches all files, small ones first.
    func fetch() throws {
        let ordered = names.sorted { (metadata[$0]?.byteCount ?? 0, $0) < (metadata[$1]?.byteCount ?? 0, $1) }
        report()
        try inParallel(ordered) { client, name in
            guard let found = self.lock.withLock({ self.metadata[name] }) else { return }
            try self.fetch(name, found, client)
            self.lock.withLock { self.finishedCount += 1 }
            self.report()
        }
    }

    private func fetch(_ name: String, _ found: HubClient.FileMetadata, _ client: HubClient) throws {
        let lock = try cache.lock(found.etag, stop: stop) {
            pull.note("\(name): another process is fetching it; waiting for that")
        }
        defer { try? lock.close() }
        if FileManager.default.fileExists(atPath: cache.blob(found.etag)) {
            add(found.byteCount ?? 0, isTransferred: false)
            return try cache.link(name, commit: commit, etag: found.etag)
        }
        // A damaged beginning of an earlier attempt is noticed only at the end; a second attempt begins anew.
        for isLast in [false, true] {
            let partial = try PartialFile(
                cache.partial(found.etag), of: name, etag: found.etag, byteCount: found.byteCount
            ) {
                self.add($0, isTransferred: true)
            }
            // What was there already has not come over the network.
            self.lock.withLock { transferredByteCount -= partial.byteCount }
            let hadBeginning = partial.byteCount > 0
            try fetch(name, found, client, into: partial)
            guard let fault = partial.fault(etag: found.etag) else {
                try partial.close()
                try cache.complete(found.etag)
                return try cache.link(name, commit: commit, etag: found.etag)
            }
            try partial.restart()
            try partial.close()
            try? FileManager.default.removeItem(atPath: cache.partial(found.etag))
            guard hadBeginning, !isLast else { throw HubError.wrongContents(file: name, reason: fault) }
            pull.note("\(name): \(fault); fetching it again from the beginning")
        }
    }

    /// Fetches by several connections if the file is large and there are more connections than large files.
    private func fetch(
        _ name: String, _ found: HubClient.FileMetadata, _ client: HubClient, into partial: PartialFile
    ) throws {
        func isLarge(_ count: Int) -> Bool { count > 2 * pull.pieceByteCount }
        let largeCount = lock.withLock { metadata.values.count { isLarge($0.byteCount ?? 0) } }
        let count = pull.connectionCount / max(1, largeCount)
        if count > 1, let total = found.byteCount, isLarge(total - partial.byteCount) {
            let pieces = ContentsPieces(
                partial, total: total, size: pull.pieceByteCount, connectionCount: count)
            let clients = (1..<count).map { _ in
                HubClient(pull.reference, pull.environment, stop: stop, note: pull.note)
            }
            do {
                try Parallel.run([client] + clients) {
                    try $0.fetch(name, found, commit: self.commit, pieces: pieces)
                }
                return
            } catch is RangesIgnored {
                // What has arrived stays; the rest comes by one connection.
            }
        }
        try client.fetch(name, found, commit: commit, into: partial)
    }

    private func add(_ count: Int, isTransferred: Bool) {
        lock.withLock {
            byteCount += count
            if isTransferred { transferredByteCount += count }
        }
        report()
    }

    private func report() {
        let progress = lock.withLock {
            PullProgress(
                byteCount: byteCount, totalByteCount: totalByteCount, fileCount: finishedCount,
                totalFileCount: names.count)
        }
        pull.progress(progress)
    }

    /// Works on names in several threads, each with connections of its own; the first failure stops all.
    private func inParallel(_ names: [String], _ work: @escaping @Sendable (HubClient, String) throws -> Void)
        throws
    {
        let queue = NameQueue(names)
        let group = DispatchGroup()
        for _ in 0..<max(1, min(pull.connectionCount, names.count)) {
            group.enter()
            let thread = Thread { [self] in
                let client = HubClient(pull.reference, pull.environment, stop: stop, note: pull.note)
                defer {
                    client.close()
                    group.leave()
                }
                while !stop.isRaised, let name = queue.next() {
                    do {
                        try work(client, name)
                    } catch {
                        lock.withLock { if failure == nil { failure = error } }
                        stop.failure.raise()
                    }
                }
            }
            thread.start()
        }
        group.wait()
        if stop.user.isRaised { throw HubError.interrupted }
        if let failure = lock.withLock({ failure }) { throw failure }
    }
}

/// Names that several threads take one after the other.
private final class NameQueue: @unchecked Sendable {
    // Sendable: guarded by the lock.
    private let lock = NSLock()
    private var names: [String]

    init(_ names: [String]) { self.names = names.reversed() }

    func next() -> String? { lock.withLock { names.popLast() } }
}

/// Work of several clients at once, each on a thread of its own.
private enum Parallel {
    private final class Failure: @unchecked Sendable {
        // Sendable: guarded by the lock.
        private let lock = NSLock()
        private var first: (any Error)?

        func record(_ error: any Error) { lock.withLock { if first == nil { first = error } } }
        var error: (any Error)? { lock.withLock { first } }
    }

    /// Runs the work of all clients, closes all but the first, and throws the first failure.
    static func run(_ clients: [HubClient], _ work: @escaping (HubClient) throws -> Void) throws {
        let failure = Failure()
        let group = DispatchGroup()
        // Each client is used by one thread, and this function waits for all of them.
        nonisolated(unsafe) let work = work
        for client in clients.dropFirst() {
            group.enter()
            nonisolated(unsafe) let client = client
            let thread = Thread {
                do { try work(client) } catch { failure.record(error) }
                client.close()
                group.leave()
            }
            thread.start()
        }
        do { try work(clients[0]) } catch { failure.record(error) }
        group.wait()
        if let error = failure.error { throw error }
    }
}
