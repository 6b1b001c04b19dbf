import Foundation

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

    /// Each run's time over that of the other's run in the same turn.
    func ratios(to other: Timings) -> Timings {
        var result = Timings()
        result.seconds = zip(seconds, other.seconds).map { $0 / $1 }
        return result
    }
}
