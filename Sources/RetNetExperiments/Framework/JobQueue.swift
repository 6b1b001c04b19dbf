import Foundation
import RetNetTorch

/// Runs jobs on several threads in their order, a few of them ahead of the results that are requested.
///
/// The models of the smallest scale are too small to use several threads, so each one has a single thread. Jobs start with
/// the first requested one and continue as threads become free; jobs before it are not started.
final class JobQueue<Value: Sendable>: @unchecked Sendable {
    /// A job; it reports remarks and ends soon after reporting has thrown.
    typealias Job = @Sendable (_ report: (String) throws -> Void) throws -> Value

    private let jobs: [Job]
    private let threadCount: Int
    // The condition guards all properties below.
    private let condition = NSCondition()
    private var requested: Int?
    private var threadsRunning = 0
    private var results: [Int: Result<Value, any Error>] = [:]
    private var remarks: [Int: String] = [:]
    private var started: Set<Int> = []
    private var isCancelled = false

    /// Creates a queue of jobs without starting any.
    init(_ jobs: [Job], threadCount: Int) {
        self.jobs = jobs
        self.threadCount = max(1, threadCount)
    }

    /// Waits for a job and returns its result; `report` receives its remarks on the caller's thread.
    ///
    /// If `report` throws, all jobs are ended before the error is thrown.
    func result(_ index: Int, _ report: (String) throws -> Void) throws -> Value {
        condition.lock()
        defer { condition.unlock() }
        requested = index
        startThreads()
        while results[index] == nil {
            _ = condition.wait(until: Date(timeIntervalSinceNow: 0.2))
            let remark = remarks[index] ?? ""
            condition.unlock()
            let outcome = Result { try report(remark) }
            condition.lock()
            if case .failure(let error) = outcome {
                stopWhileLocked()
                throw error
            }
        }
        guard let result = results.removeValue(forKey: index) else { throw CancellationError() }
        return try result.get()
    }

    /// Leaves out a job whose result nobody will request.
    func leave(_ index: Int) {
        condition.lock()
        defer { condition.unlock() }
        started.insert(index)
    }

    /// Ends running jobs and waits for them; no job starts afterwards.
    func stop() {
        condition.lock()
        defer { condition.unlock() }
        stopWhileLocked()
    }

    private func stopWhileLocked() {
        isCancelled = true
        while threadsRunning > 0 { condition.wait() }
    }

    /// Starts missing threads; the condition must be locked.
    private func startThreads() {
        guard !isCancelled, nextJob() != nil else { return }
        while threadsRunning < threadCount {
            threadsRunning += 1
            let thread = Thread { [self] in work() }
            thread.stackSize = 16 << 20
            thread.start()
        }
    }

    /// Returns the next job to start, at most twice the number of threads ahead of the requested one.
    ///
    /// The condition must be locked.
    private func nextJob() -> Int? {
        guard let requested, requested < jobs.count else { return nil }
        return (requested..<min(jobs.count, requested + 2 * threadCount)).first { !started.contains($0) }
    }

    private func work() {
        // A failure is harmless: additional threads only cost time.
        try? Runtime.setThreadCount(1)
        condition.lock()
        while !isCancelled, let index = nextJob() {
            started.insert(index)
            condition.unlock()
            let job = jobs[index]
            let result = Result { try job { try note($0, index) } }
            condition.lock()
            results[index] = result
            condition.broadcast()
        }
        threadsRunning -= 1
        condition.broadcast()
        condition.unlock()
    }

    private func note(_ remark: String, _ index: Int) throws {
        condition.lock()
        defer { condition.unlock() }
        remarks[index] = remark
        if isCancelled { throw CancellationError() }
    }
}
