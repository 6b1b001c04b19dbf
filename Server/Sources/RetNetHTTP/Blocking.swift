import Foundation

/// Work that waits for files or takes long, away from the few threads that serve connections.
enum Blocking {
    /// Not more at once than there are cores, so that a flood of large requests leaves time for the engine.
    private static let queue: OperationQueue = {
        let queue = OperationQueue()
        queue.name = "requests"
        queue.maxConcurrentOperationCount = max(2, ProcessInfo.processInfo.activeProcessorCount)
        return queue
    }()

    static func run<R: Sendable>(_ work: @escaping @Sendable () throws -> R) async throws -> R {
        try await withCheckedThrowingContinuation { continuation in
            queue.addOperation { continuation.resume(with: Result { try work() }) }
        }
    }
}
