import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

// swift-system covers opening, reading, writing, `stat` and `errno`. This file adds the system calls that it
// lacks, so that it is the only one of the package that imports the C library of the platform.

/// Repeats a system call while signals interrupt it; throws the `errno` of a failure.
private func check(_ call: () -> CInt) throws(Errno) {
    while call() == -1 {
        let code = Errno(rawValue: errno)
        guard code == .interrupted else { throw code }
    }
}

extension FileDescriptor {
    /// Waits until the contents of the file are on the storage device (`fsync`).
    package func synchronize() throws(Errno) { try check { fsync(rawValue) } }

    /// Takes an exclusive lock that ends with the descriptor (`flock`); returns false if another one holds it.
    ///
    /// On file systems without locks the lock counts as taken.
    package func tryLock() -> Bool {
        do {
            try check { flock(rawValue, LOCK_EX | LOCK_NB) }
            return true
        } catch {
            return error != .wouldBlock
        }
    }

    /// Changes the permission bits of the file (`fchmod`).
    package func setPermissions(_ permissions: FilePermissions) throws(Errno) {
        try check { fchmod(rawValue, permissions.rawValue) }
    }

    /// True if the descriptor is connected to a terminal.
    package var isTerminal: Bool { isatty(rawValue) == 1 }

    /// Width of the terminal in columns; `nil` if the descriptor is not connected to a terminal.
    package var columnCount: Int? {
        var size = winsize()
        guard ioctl(rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }

    /// Maps the first bytes of the file into memory (`mmap`); release them with ``unmap(_:)``.
    ///
    /// They are read-only, or, if `copiesOnWrite`, writable without an effect on the file.
    package func map(byteCount: Int, copiesOnWrite: Bool = false) throws(Errno) -> UnsafeRawBufferPointer {
        let access = copiesOnWrite ? PROT_READ | PROT_WRITE : PROT_READ
        #if os(Linux)
            // Pages that are never written need no room in memory.
            let flags = copiesOnWrite ? MAP_PRIVATE | MAP_NORESERVE : MAP_PRIVATE
        #else
            let flags = MAP_PRIVATE
        #endif
        let address = mmap(nil, byteCount, access, flags, rawValue, 0)
        guard let address, address != MAP_FAILED else { throw Errno(rawValue: errno) }
        return UnsafeRawBufferPointer(start: address, count: byteCount)
    }

    /// Releases memory returned by ``map(byteCount:)``.
    package static func unmap(_ bytes: UnsafeRawBufferPointer) {
        guard let address = bytes.baseAddress else { return }
        _ = munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
    }
}

/// Memory of megabytes whose pages are zero, and there only once they are touched (`mmap`).
package enum LargeMemory {
    /// Returns memory; release it with ``release(_:byteCount:)``.
    ///
    /// Where the system has large pages on request, it is asked for them: a page of 4 KB each would cost as much time as a
    /// first pass over the memory.
    package static func allocate(byteCount: Int) throws(Errno) -> UnsafeMutableRawPointer {
        #if os(Linux)
            let flags = MAP_PRIVATE | MAP_ANONYMOUS
        #else
            let flags = MAP_PRIVATE | MAP_ANON
        #endif
        let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let address, address != MAP_FAILED else { throw Errno(rawValue: errno) }
        #if os(Linux)
            _ = madvise(address, byteCount, MADV_HUGEPAGE)
        #endif
        return address
    }

    /// Releases memory of ``allocate(byteCount:)``.
    package static func release(_ memory: UnsafeMutableRawPointer, byteCount: Int) {
        _ = munmap(memory, byteCount)
    }
}

/// The calls on entries of folders.
package enum FileSystem {
    /// Creates a folder (`mkdir`).
    package static func makeFolder(_ path: String) throws(Errno) { try check { mkdir(path, 0o777) } }

    /// Renames an entry and replaces what has the new name (`rename`).
    package static func move(_ source: String, to target: String) throws(Errno) {
        try check { rename(source, target) }
    }

    /// Gives an entry its final name, unless something has that name already (`link` and `unlink`).
    ///
    /// Throws `Errno.fileExists` then. Where the file system has no hard links, the name is examined first instead.
    package static func moveToFreeName(_ source: String, _ target: String) throws(Errno) {
        do {
            try check { link(source, target) }
            try check { unlink(source) }
        } catch {
            guard error == .notPermitted || error == .notSupported || error == .noFunction
            else { throw error }
            guard access(target, F_OK) != 0 else { throw .fileExists }
            try move(source, to: target)
        }
    }

    /// Removes a file or a link (`unlink`).
    package static func removeFile(_ path: String) throws(Errno) { try check { unlink(path) } }

    /// Removes an empty folder (`rmdir`).
    package static func removeFolder(_ path: String) throws(Errno) { try check { rmdir(path) } }

    /// Returns the absolute path of an entry, with all symbolic links resolved (`realpath`).
    package static func resolvedPath(of path: String) throws(Errno) -> String {
        guard let resolved = realpath(path, nil) else { throw Errno(rawValue: errno) }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Returns the names in a folder without "." and "..", in no particular order (`readdir`).
    package static func names(in folder: String) throws(Errno) -> [String] {
        guard let stream = opendir(folder) else { throw Errno(rawValue: errno) }
        defer { _ = closedir(stream) }
        let nameOffset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else { break }
            // Not through a copy: the system allocates only as many bytes as the name has.
            let name = UnsafeRawPointer(entry).advanced(by: nameOffset).assumingMemoryBound(to: CChar.self)
            names.append(String(cString: name))
        }
        guard errno == 0 else { throw Errno(rawValue: errno) }
        return names.filter { $0 != "." && $0 != ".." }
    }
}

extension Stat {
    /// Device and inode: what two names of the same file or folder have in common.
    package struct Identity: Hashable, Sendable {
        private let device: UInt64
        private let inode: UInt64

        fileprivate init(_ status: Stat) {
            device = UInt64(truncatingIfNeeded: status.rawValue.st_dev)
            inode = UInt64(truncatingIfNeeded: status.rawValue.st_ino)
        }
    }

    /// Identity of the file or folder.
    package var identity: Identity { Identity(self) }

    /// Time of the last modification in nanoseconds since 1970; 0 if it is out of range.
    package var modificationTime: Int {
        #if canImport(Darwin)
            let time = rawValue.st_mtimespec
        #else
            let time = rawValue.st_mtim
        #endif
        let (nanoseconds, overflows) = Int(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        return overflows ? 0 : nanoseconds &+ Int(time.tv_nsec)
    }
}

/// The process and the machine on which it runs.
package enum CurrentProcess {
    /// Process identifier.
    package static var identifier: Int { Int(getpid()) }

    /// Name of the machine; `nil` if the system does not provide it.
    package static var hostName: String? {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return nil }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    #if canImport(Darwin)
        /// Peak memory of the process in bytes (`getrusage`); 0 on failure.
        package static var maximumResidentByteCount: Int {
            var usage = rusage()
            return getrusage(RUSAGE_SELF, &usage) == 0 ? Int(usage.ru_maxrss) : 0
        }
    #endif

    /// Sets an environment variable (`setenv`); returns false on failure.
    package static func setEnvironment(_ name: String, _ value: String) -> Bool {
        setenv(name, value, 1) == 0
    }

    /// Replaces the process by a program (`execv`); returns only on failure.
    package static func execute(_ program: String, arguments: [String]) {
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        pointers.append(nil)
        execv(program, pointers)
        for case let pointer? in pointers { free(pointer) }
    }
}

/// A program that this process started, in a process group of its own: signals of the terminal do not reach it.
package struct ChildProcess: Sendable {
    /// How a process ended.
    package enum Ending: Sendable, Equatable {
        case exit(Int)
        case signal(Int)
    }

    /// Process identifier.
    package let identifier: Int

    /// Starts a program (`posix_spawn`).
    ///
    /// With `output`, both outputs go there and the input is empty; otherwise they are those of this process.
    package init(
        _ program: String, arguments: [String], environment: [String: String], output: FileDescriptor? = nil
    ) throws(Errno) {
        #if canImport(Darwin)
            var attributes: posix_spawnattr_t? = nil
            var actions: posix_spawn_file_actions_t? = nil
        #else
            var attributes = posix_spawnattr_t()
            var actions = posix_spawn_file_actions_t()
        #endif
        posix_spawnattr_init(&attributes)
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        if let output {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            posix_spawn_file_actions_adddup2(&actions, output.rawValue, 1)
            posix_spawn_file_actions_adddup2(&actions, output.rawValue, 2)
        }
        var texts = ([program] + arguments).map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0.key + "=" + $0.value) } + [nil]
        var found: pid_t = 0
        let code = posix_spawn(&found, program, &actions, &attributes, &texts, &variables)
        for case let text? in texts + variables { free(text) }
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
        guard code == 0 else { throw Errno(rawValue: code) }
        identifier = Int(found)
    }

    /// Returns how the process has ended, or nil while it runs (`waitpid`).
    ///
    /// Call it until it has ended, but not after.
    package func ending() throws(Errno) -> Ending? {
        var status: CInt = 0
        var found: pid_t = 0
        try check {
            found = waitpid(pid_t(identifier), &status, WNOHANG)
            return found < 0 ? -1 : 0
        }
        guard found != 0 else { return nil }
        let signal = Int(status & 0x7f)
        return signal == 0 ? .exit(Int(status >> 8 & 0xff)) : .signal(signal)
    }

    /// Sends a signal (`kill`).
    package func send(_ signal: TerminationSignal) { _ = kill(pid_t(identifier), signal.number) }
}

/// A signal that ends a process.
package enum TerminationSignal: Sendable {
    case terminate, kill

    fileprivate var number: CInt { self == .kill ? SIGKILL : SIGTERM }

    /// Returns the name of a signal's number, as in `SIGKILL`; nil for rare ones.
    package static func name(_ number: Int) -> String? {
        let names: KeyValuePairs<CInt, String> = [
            SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
            SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGSEGV: "SIGSEGV",
            SIGPIPE: "SIGPIPE", SIGTERM: "SIGTERM", SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ",
        ]
        return names.first { Int($0.key) == number }?.value
    }
}

/// The signals that ask a process to end: SIGINT (Ctrl-C) and SIGTERM.
package enum TerminationSignals {
    /// Calls a handler on the next signal.
    ///
    /// The handler runs in the context of the signal and may only access global memory.
    package static func handle(_ handler: @convention(c) (CInt) -> Void) {
        for number in [SIGINT, SIGTERM] { _ = signal(number, handler) }
    }

    /// Restores the default effect, which ends the process.
    ///
    /// May be called by a handler.
    package static func restoreDefaults() {
        // No loop over an array, because a handler must not allocate.
        _ = signal(SIGINT, SIG_DFL)
        _ = signal(SIGTERM, SIG_DFL)
    }

    /// Unblocks the signals in this thread and in those that it starts.
    package static func unblock() {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }
}
