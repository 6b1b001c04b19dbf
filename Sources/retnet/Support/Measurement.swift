import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Times of repeated runs, in seconds.
struct Timings {
    /// One entry a run, in the order in which they were made.
    private(set) var seconds: [Double] = []

    /// Runs the body and keeps how long it took.
    mutating func time(_ body: () throws -> Void) rethrows {
        let start = ContinuousClock.now
        try body()
        seconds.append((ContinuousClock.now - start) / .seconds(1))
    }

    /// Adds the times of other runs of the same work.
    mutating func add(_ other: Timings) { seconds += other.seconds }

    /// The middle time; the mean of the two in the middle of an even number.
    var median: Double {
        let sorted = seconds.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
    /// The shortest time.
    var minimum: Double { seconds.min() ?? .nan }
    /// The longest time.
    var maximum: Double { seconds.max() ?? .nan }
}

/// The memory of this process.
enum ProcessMemory {
    /// The most bytes of physical memory that the process has held so far.
    static var peakByteCount: Int {
        var usage = rusage()
        // RUSAGE_SELF, which every system library gives another type.
        guard getrusage(0, &usage) == 0 else { return 0 }
        #if canImport(Darwin)
            return Int(usage.ru_maxrss)
        #else
            return Int(usage.ru_maxrss) * 1024
        #endif
    }
}
