import Foundation
import RetNetDistributed

/// What the threads of a test share.
private final class Outcomes<Value: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private var values: [Int: Result<Value, any Error>] = [:]

    func set(_ rank: Int, _ value: Result<Value, any Error>) { lock.withLock { values[rank] = value } }
    var sorted: [Result<Value, any Error>] {
        lock.withLock { values.sorted { $0.key < $1.key }.map(\.value) }
    }
}

/// Runs a body on every rank of a group, each a thread of this process, and returns what each gave.
///
/// With a `store`, ranks meet there, else at a new one. `present` are the ranks that come.
public func onRanks<Value: Sendable>(
    _ count: Int, present: [Int]? = nil, store: RankStore? = nil, timeout: Double = 30,
    _ body: @escaping @Sendable (ProcessGroup) throws -> Value
) throws -> [Result<Value, any Error>] {
    let store = try store ?? RankStore(keepingAt: 0)
    let outcomes = Outcomes<Value>()
    let port = store.port
    let done = DispatchGroup()
    for rank in present ?? Array(0..<count) {
        done.enter()
        let thread = Thread {
            defer { done.leave() }
            var assignment = RankAssignment(.torchrun, rank: rank, count: count, port: port)
            assignment.launcherKeepsStore = true
            outcomes.set(
                rank,
                Result {
                    let group = try ProcessGroup(assignment, timeout: timeout, beatInterval: 0.1)
                    do {
                        let value = try body(group)
                        group.leave()
                        return value
                    } catch {
                        group.abort(because: error)
                        throw error
                    }
                })
        }
        thread.stackSize = 8 << 20
        thread.start()
    }
    done.wait()
    return withExtendedLifetime(store) { outcomes.sorted }
}

/// The error of a result of that kind.
public func failure<Value>(_ result: Result<Value, any Error>) -> DistributedError? {
    guard case .failure(let error) = result else { return nil }
    return error as? DistributedError
}
