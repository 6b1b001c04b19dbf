import Foundation

/// Runs recursive work on a thread whose stack is large enough, whatever thread asks.
enum LargeStack {
    private static let byteCount = 16 << 20

    // Written by the thread before it signals and read after the wait, never at once.
    private final class Outcome<Value: Sendable>: @unchecked Sendable {
        var result: Result<Value, any Error>?
    }

    static func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
        let outcome = Outcome<Value>()
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            outcome.result = Result(catching: body)
            done.signal()
        }
        thread.stackSize = byteCount
        thread.start()
        done.wait()
        guard let result = outcome.result else { throw CancellationError() }
        return try result.get()
    }
}
