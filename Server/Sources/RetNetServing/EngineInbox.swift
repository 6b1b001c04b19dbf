import Foundation

/// A request on its way through an engine.
final class EngineJob: @unchecked Sendable {
    // Sendable: what changes is used by the thread of one replica only, but the mark of a cancellation, which the inbox guards.
    let request: ServingRequest
    let arrival = ContinuousClock.now
    fileprivate(set) var isCancelled = false
    /// Number of choices that have not ended.
    var openChoices: Int
    var hasFirstToken = false
    var isOver = false
    private let continuation: AsyncThrowingStream<ServingEvent, any Error>.Continuation

    init(_ request: ServingRequest, _ continuation: AsyncThrowingStream<ServingEvent, any Error>.Continuation)
    {
        self.request = request
        self.continuation = continuation
        openChoices = request.choiceCount
    }

    /// Hands out an event; returns false if too many wait.
    func send(_ event: ServingEvent) -> Bool {
        if case .dropped = continuation.yield(event) { return false }
        return true
    }

    func finish(throwing error: (any Error)? = nil) {
        if let error { continuation.finish(throwing: error) } else { continuation.finish() }
    }

    func isLate(_ now: ContinuousClock.Instant) -> Bool { request.deadline.map { now >= $0 } ?? false }
}

/// The queue between the threads of clients and those of an engine.
final class EngineInbox: @unchecked Sendable {
    // Sendable: everything is read and written under the condition's lock.
    private let condition = NSCondition()
    private var waiting: [EngineJob] = []
    private var replicas: [Replica]
    private var isDraining = false
    private var isStopped = false
    let queueLimit: Int

    private struct Replica {
        var running: [EngineJob] = []
        var hasRoom = true
        var reading = 0
        var generating = 0
        var stateByteCount = 0
        var lastStep = ContinuousClock.now
    }

    init(queueLimit: Int, replicaCount: Int) {
        self.queueLimit = queueLimit
        replicas = Array(repeating: Replica(), count: replicaCount)
    }

    private func locked<R>(_ body: () throws -> R) rethrows -> R {
        condition.lock()
        defer { condition.unlock() }
        return try body()
    }

    // MARK: Threads of clients

    func push(_ job: EngineJob) throws {
        try locked {
            guard !isStopped else { throw ServingError.stopped }
            guard !isDraining else { throw ServingError.draining }
            // A request that an idle engine takes at once does not count as waiting.
            guard waiting.count < max(1, queueLimit) else { throw ServingError.queueFull(limit: queueLimit) }
            if waiting.isEmpty {
                for index in replicas.indices where replicas[index].running.isEmpty {
                    replicas[index].lastStep = .now
                }
            }
            waiting.append(job)
            condition.broadcast()
        }
    }

    func cancel(_ job: EngineJob) {
        locked {
            job.isCancelled = true
            condition.broadcast()
        }
    }

    func drain() { locked { isDraining = true } }

    func stop() {
        locked {
            isDraining = true
            isStopped = true
            condition.broadcast()
        }
    }

    var status: ServingEngine.Status {
        locked {
            var status = ServingEngine.Status()
            status.waiting = waiting.count
            status.isDraining = isDraining
            let now = ContinuousClock.now
            var ages: [Double] = []
            for replica in replicas {
                // Jobs that were taken but not counted yet are being read.
                let isCounted = replica.reading + replica.generating > 0
                status.reading += isCounted ? replica.reading : replica.running.count
                status.generating += replica.generating
                status.stateByteCount += replica.stateByteCount
                let age = (now - replica.lastStep) / .seconds(1)
                ages.append(age)
                if !replica.running.isEmpty {
                    status.secondsWithoutStep = max(status.secondsWithoutStep, age)
                }
            }
            // Requests that nobody takes.
            if !waiting.isEmpty {
                status.secondsWithoutStep = max(status.secondsWithoutStep, ages.min() ?? 0)
            }
            return status
        }
    }

    // MARK: Threads of replicas

    /// What happened since the last step.
    struct Delivery {
        var jobs: [EngineJob] = []
        var dropped: [(job: EngineJob, error: ServingError?)] = []
        var isStopped = false
    }

    /// Returns requests that may start and those that are over; waits for something to do if `mayWait`.
    func take(replica: Int, room: Int, mayWait: Bool) -> Delivery {
        locked {
            replicas[replica].hasRoom = room > 0
            while mayWait, waiting.isEmpty, !isStopped { condition.wait() }
            var delivery = Delivery(isStopped: isStopped)
            if isStopped {
                delivery.dropped = (waiting + replicas[replica].running).map { ($0, .stopped) }
                (waiting, replicas[replica].running) = ([], [])
                return delivery
            }
            let now = ContinuousClock.now
            replicas[replica].lastStep = now
            for job in waiting + replicas[replica].running where job.isCancelled || job.isLate(now) {
                delivery.dropped.append((job, job.isCancelled ? nil : .timedOut))
            }
            if !delivery.dropped.isEmpty {
                waiting.removeAll { $0.isCancelled || $0.isLate(now) }
                replicas[replica].running.removeAll { $0.isCancelled || $0.isLate(now) }
            }
            while !waiting.isEmpty, delivery.jobs.count < room, isLeastBusy(replica) {
                let job = waiting.removeFirst()
                delivery.jobs.append(job)
                replicas[replica].running.append(job)
            }
            return delivery
        }
    }

    /// True if no other replica with room has fewer requests: it takes the next one at its next step.
    private func isLeastBusy(_ replica: Int) -> Bool {
        let count = replicas[replica].running.count
        return !replicas.indices.contains {
            $0 != replica && replicas[$0].hasRoom && replicas[$0].running.count < count
        }
    }

    func finished(_ job: EngineJob, replica: Int) {
        locked { replicas[replica].running.removeAll { $0 === job } }
    }

    func report(replica: Int, reading: Int, generating: Int, stateByteCount: Int) {
        locked {
            replicas[replica].reading = reading
            replicas[replica].generating = generating
            replicas[replica].stateByteCount = stateByteCount
        }
    }
}
