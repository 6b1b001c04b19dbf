import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Settings of the thread pool that LibTorch computes with.
enum OpenMPSettings {
    /// Turns of waiting for other threads before a thread goes to sleep.
    ///
    /// The library's default is many milliseconds: as soon as another program wants one of the cores, threads
    /// that wait keep those that work from running, and everything becomes ten to seventy times slower. With
    /// this, training beside another program loses what the other program takes; on idle cores it is no slower.
    private static let spinCount = "20000"

    /// Starts the program again with the setting above, unless the user has made one.
    ///
    /// The library reads its settings when it is loaded, which is before the first line of this program. Returns
    /// where nothing is to be done or the system does not allow it.
    static func apply() {
        #if os(Linux)
            guard getenv("GOMP_SPINCOUNT") == nil, getenv("OMP_WAIT_POLICY") == nil,
                setenv("GOMP_SPINCOUNT", spinCount, 1) == 0
            else { return }
            var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) }
            arguments.append(nil)
            // The resolved path, so that the process keeps its name.
            let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            execv(program ?? "/proc/self/exe", arguments)
            for case let argument? in arguments { free(argument) }
        #endif
    }
}

/// A command that computes with LibTorch, and not only asks it a question.
protocol ComputingCommand {}
