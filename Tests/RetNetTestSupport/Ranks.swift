import Foundation
import RetNetDistributed
import RetNetInference

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

/// Ranks without connections, each a thread of this process, which gather values like a group.
public final class GatheringThread: MeasuringRanks {
    /// The number of this rank, from 0.
    public let rank: Int
    /// The number of ranks.
    public var count: Int { hall.count }
    private let hall: Hall
    private var number = 0

    private init(_ rank: Int, _ hall: Hall) {
        self.rank = rank
        self.hall = hall
    }

    /// Where the values of one gathering after the other lie.
    private final class Hall: @unchecked Sendable {
        let count: Int
        private let condition = NSCondition()
        private var values: [Int: [Int: Data]] = [:]

        init(_ count: Int) { self.count = count }

        func gather(_ value: Data, of rank: Int, number: Int) throws -> [Data] {
            condition.lock()
            defer { condition.unlock() }
            values[number, default: [:]][rank] = value
            condition.broadcast()
            while values[number]?.count != count {
                guard condition.wait(until: Date(timeIntervalSinceNow: 30)) else {
                    throw DistributedError.failed(operation: "gathering", reason: "a thread did not come")
                }
            }
            return (0..<count).compactMap { values[number]?[$0] }
        }
    }

    /// Returns the values of all ranks, in their order, on all ranks.
    public func gathered(_ value: Data, _ operation: String) throws -> [Data] {
        number += 1
        return try hall.gather(value, of: rank, number: number)
    }

    /// Runs a body on every rank and returns what each gave.
    public static func run<Value: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (GatheringThread) throws -> Value
    ) -> [Result<Value, any Error>] {
        let hall = Hall(count)
        let outcomes = Outcomes<Value>()
        let done = DispatchGroup()
        for rank in 0..<count {
            done.enter()
            let thread = Thread {
                defer { done.leave() }
                outcomes.set(rank, Result { try body(GatheringThread(rank, hall)) })
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
        done.wait()
        return outcomes.sorted
    }
}
