import Foundation
import RetNetTorch

/// Runs jobs on several threads, in their order and ahead of the one who asks for results.
///
/// The models of the smallest scale are too small for several threads to share one, so each gets a thread of its own. From
/// the first result that is asked for on, a few jobs after it are started as threads become free; those before it
/// are left alone.
final class LookAhead<Value: Sendable>: @unchecked Sendable {
    /// A job; it may report remarks, and ends soon after reporting has thrown.
    typealias Job = @Sendable (_ report: (String) throws -> Void) throws -> Value

    private let jobs: [Job]
    private let threadCount: Int
    // All below is guarded by the condition.
    private let condition = NSCondition()
    private var asked: Int?
    private var threadsRunning = 0
    private var results: [Int: Result<Value, any Error>] = [:]
    private var remarks: [Int: String] = [:]
    private var started: Set<Int> = []
    private var isCancelled = false

    /// Jobs, none of which is started yet.
    init(_ jobs: [Job], threadCount: Int) {
        self.jobs = jobs
        self.threadCount = max(1, threadCount)
    }

    /// The result of a job, waiting for it; `report` gets its remarks on the caller's thread.
    ///
    /// When `report` throws, running jobs are told to end, and the error is thrown after they have.
    func result(_ index: Int, _ report: (String) throws -> Void) throws -> Value {
        condition.lock()
        defer { condition.unlock() }
        asked = index
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

    /// Tells running jobs to end and waits until they have; nothing is started afterwards.
    func stop() {
        condition.lock()
        defer { condition.unlock() }
        stopWhileLocked()
    }

    private func stopWhileLocked() {
        isCancelled = true
        while threadsRunning > 0 { condition.wait() }
    }

    /// Starts as many threads as are missing; the condition must be locked.
    private func startThreads() {
        guard !isCancelled, nextJob() != nil else { return }
        while threadsRunning < threadCount {
            threadsRunning += 1
            let thread = Thread { [self] in work() }
            thread.stackSize = 16 << 20
            thread.start()
        }
    }

    /// The first job that may be started, at most twice as many ahead as there are threads; the condition must be
    /// locked.
    private func nextJob() -> Int? {
        guard let asked, asked < jobs.count else { return nil }
        return (asked..<min(jobs.count, asked + 2 * threadCount)).first { !started.contains($0) }
    }

    private func work() {
        // Not fatal: more threads than wanted only cost time.
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
