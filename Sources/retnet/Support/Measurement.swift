import Foundation
import RetNetCommandLine
import RetNetStorage

/// Times of repeated runs, in seconds.
struct Timings {
    /// The time of each run, in their order.
    private(set) var seconds: [Double] = []

    /// Times a body.
    mutating func time(_ body: () throws -> Void) rethrows {
        let start = ContinuousClock.now
        try body()
        seconds.append((ContinuousClock.now - start) / .seconds(1))
    }

    /// Adds a time that was taken elsewhere.
    mutating func append(_ time: Double) { seconds.append(time) }

    /// Adds the times of other runs of the same work.
    mutating func add(_ other: Timings) { seconds += other.seconds }

    /// The median time; the mean of the middle two for an even number.
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

    /// Returns the ratio of each time to the other's time in the same round.
    func ratios(to other: Timings) -> Timings {
        var result = Timings()
        result.seconds = zip(seconds, other.seconds).map { $0 / $1 }
        return result
    }
}

/// This program with other arguments in a separate process, for undisturbed memory and speed.
enum MeasuringProcess {
    /// Runs the program and returns the JSON object that it prints; terminates it when the flag is raised.
    static func run(_ arguments: [String], interrupt: InterruptFlag) throws -> [String: Any] {
        guard let program = Bundle.main.executableURL else {
            throw CommandError(
                "cannot measure in a new process: the path of this program is unknown")
        }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "retnet-measuring-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Files instead of pipes, because a full pipe would block the process.
        let (output, errors) = (folder.appendingPathComponent("out"), folder.appendingPathComponent("err"))
        for file in [output, errors] { try Data().write(to: file) }
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        while process.isRunning {
            if interrupt.isRaised { process.terminate() }
            Thread.sleep(forTimeInterval: 0.02)
        }
        process.waitUntilExit()
        guard process.terminationStatus == 0,
            let object = try? JSONSerialization.jsonObject(with: Data(contentsOf: output)) as? [String: Any]
        else {
            let reason = String(decoding: (try? Data(contentsOf: errors)) ?? Data(), as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            throw CommandError("`retnet \(arguments.joined(separator: " "))` failed: \(reason.suffix(400))")
        }
        return object
    }
}
