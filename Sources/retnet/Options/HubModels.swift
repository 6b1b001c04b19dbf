import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetHub
import RetNetReporting
import RetNetStorage

/// Models of the hub where a folder is expected.
enum HubModels {
    /// Returns the folder of a path: itself if there is something, or the cached snapshot of `OWNER/NAME[@REVISION]`.
    ///
    /// A model that the cache lacks is fetched. A text of another form is returned as it is.
    static func folder(_ path: String, for purpose: HubPurpose = .model) throws -> String {
        guard let reference = reference(path) else { return path }
        var pull = ModelPull(reference, HubEnvironment())
        pull.purpose = purpose
        let display = PullDisplay(title: reference.repository)
        display.connect(&pull)
        defer { display.finish() }
        return try pull.folder(interrupt: .onSignals()) { _ in
            Console.note(
                "'\(path)' is no folder here: fetching it from \(pull.environment.endpoint) into"
                    + " '\(pull.environment.cacheFolder)'")
        }
    }

    /// Returns the model of the hub that a text means; nil if something has that path, or for texts of another form.
    static func reference(_ path: String) -> HubReference? {
        FileManager.default.fileExists(atPath: path) ? nil : HubReference(path)
    }
}

/// The progress of fetching on standard error, from the first byte on.
final class PullDisplay: @unchecked Sendable {
    // Sendable: guarded by the lock.
    private static let windowSeconds = 5.0
    private let title: String
    private let lock = NSLock()
    private var bar: ProgressBar?
    private var samples: [(time: ContinuousClock.Instant, byteCount: Int)] = []

    init(title: String) { self.title = title }

    /// Lets a pull report here.
    func connect(_ pull: inout ModelPull) {
        pull.note = { [self] in log($0) }
        pull.progress = { [self] in show($0) }
    }

    /// Ends the line.
    func finish() { lock.withLock { bar }?.finish() }

    private func log(_ text: String) {
        if let bar = lock.withLock({ bar }) { bar.log(text) } else { Console.note(text) }
    }

    private func show(_ progress: PullProgress) {
        let now = ContinuousClock.now
        let (bar, rate) = lock.withLock { () -> (ProgressBar, Double) in
            let bar =
                self.bar
                ?? ProgressBar(
                    title: title, total: progress.totalByteCount, startStep: progress.byteCount,
                    plainIntervalSeconds: 10, unit: .bytes)
            self.bar = bar
            // The rate of the last seconds, of which a few samples are enough.
            if samples.last.map({ now - $0.time > .milliseconds(200) || progress.byteCount < $0.byteCount })
                ?? true
            {
                samples.append((now, progress.byteCount))
            }
            samples.removeAll {
                now - $0.time > .seconds(Self.windowSeconds) || $0.byteCount > progress.byteCount
            }
            guard let first = samples.first, now > first.time else { return (bar, 0) }
            return (bar, Double(progress.byteCount - first.byteCount) / ((now - first.time) / .seconds(1)))
        }
        bar.update(
            step: progress.byteCount,
            metrics: [
                ProgressMetric("\(Format.bytes(max(rate, 0)))/s"),
                ProgressMetric("\(progress.fileCount)/\(progress.totalFileCount) files"),
            ])
    }
}
