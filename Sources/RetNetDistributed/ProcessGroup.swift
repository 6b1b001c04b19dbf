import CRetNetDistributed
import CRetNetTorch
import Foundation
import RetNetTorch

/// The ranks of a run, or some of them, joined by LibTorch's c10d: a `TCPStore` and Gloo.
///
/// All ranks call the same operations in the same order. An operation that fails finds out which rank is missing: every
/// rank writes a sign of life and the number of its operations into the store once a second, in a thread of its own.
/// The first rank that knows the reason writes it for all, so that all end with the same error within seconds. Not
/// `Sendable`: one thread uses it.
///
/// A part of a run (``part(_:members:)``) has the same operations over its members, whose numbers in it begin at 0. Errors name
/// ranks of the run, whose signs of life are looked at and which ends as a whole.
public final class ProcessGroup: RankGroup {
    /// How elements of the ranks become one.
    public typealias Reduction = RankReduction

    /// The place of this process in the run.
    public let assignment: RankAssignment
    /// The ranks of the run that belong to the group, in the order of their numbers in it.
    public let members: [Int]
    /// Seconds that an operation waits for other ranks.
    public let timeout: Double
    /// True if this rank has found out the reason of a failure, and should tell the user.
    public private(set) var isReporter = false
    /// Seconds between signs of life.
    let beatInterval: Double

    private let store: RankStore
    private let keys: MeetingKeys
    /// What keys of this group begin with.
    private let prefix: String
    private var group: cd_group?
    private var exchangeCount = 0
    private var hasEnded = false
    /// The group of all ranks; nil for that itself.
    private let whole: ProcessGroup?
    private var run: ProcessGroup { whole ?? self }

    /// The number of this process in the group, from 0.
    public let rank: Int
    /// The number of processes in the group.
    public var count: Int { members.count }

    /// Joins the ranks; returns when all have come.
    ///
    /// Throws ``DistributedError``: ranks that do not come within the time-out are named.
    public init(_ assignment: RankAssignment, timeout: Double = 600, beatInterval: Double = 1) throws {
        try Self.checkVersion()
        self.assignment = assignment
        self.timeout = timeout
        self.beatInterval = beatInterval
        whole = nil
        members = Array(0..<assignment.count)
        rank = assignment.rank
        if assignment.rank == 0, !assignment.launcherKeepsStore {
            store = try RankStore(keepingAt: assignment.port, host: assignment.host)
        } else {
            store = try RankStore(connectingTo: assignment.host, port: assignment.port, timeout: timeout)
        }
        let meeting = try Meeting(store, assignment, timeout: timeout).join()
        keys = MeetingKeys(meeting)
        prefix = keys.prefix
        group = try Self.connect(store, keys.prefix, assignment, timeout: timeout, beatInterval: beatInterval)
    }

    /// Some of the ranks of a run.
    private init(_ whole: ProcessGroup, _ name: String, members: [Int], rank: Int) throws {
        assignment = whole.assignment
        timeout = whole.timeout
        beatInterval = whole.beatInterval
        store = whole.store
        keys = whole.keys
        prefix = whole.prefix + "parts/\(name)/\(members[0])/"
        self.whole = whole
        self.members = members
        self.rank = rank
        let key = String(prefix.dropLast())
        try whole.perform("connecting") {
            cd_group_part(
                &group, $0, store.handle, key, Int32(clamping: rank), Int32(clamping: members.count))
        }
    }

    deinit { if let group { cd_group_free(group, run.hasEnded) } }

    /// Returns a group of some ranks of this run, with connections of their own; all of them call it with the same name.
    ///
    /// A name is used once for a rank. The group of all ranks is this one itself. Throws ``DistributedError``.
    public func part(_ name: String, members: [Int]) throws -> ProcessGroup {
        if members == self.members { return self }
        guard whole == nil, let rank = members.firstIndex(of: self.rank), members == members.sorted(),
            Set(members).count == members.count, members.allSatisfy(self.members.contains)
        else {
            throw DistributedError.failed(
                operation: "connecting", reason: "the ranks \(members) are no part of the run with this rank")
        }
        return try ProcessGroup(self, name, members: members, rank: rank)
    }

    private static func connect(
        _ store: RankStore, _ prefix: String, _ assignment: RankAssignment, timeout: Double,
        beatInterval: Double
    ) throws -> cd_group {
        // The user's choice of a network, as in PyTorch.
        let interface = ProcessInfo.processInfo.environment["GLOO_SOCKET_IFNAME"].flatMap {
            $0.isEmpty ? nil : $0
        }
        var out: cd_group?
        do {
            try check(
                cd_group_new(
                    &out, store.handle, String(prefix.dropLast()), Int32(clamping: assignment.rank),
                    Int32(clamping: assignment.count), interface == nil ? store.localAddress() : "",
                    interface, milliseconds(timeout), milliseconds(beatInterval)))
        } catch let error as TorchError {
            throw DistributedError.failed(
                operation: "connecting",
                reason: firstLine(of: error.message)
                    + " (GLOO_SOCKET_IFNAME names the network to use)")
        }
        guard let out else {
            throw DistributedError.failed(operation: "connecting", reason: "nothing was opened")
        }
        return out
    }

    /// Throws ``DistributedError/otherVersion(built:loaded:)`` unless the loaded LibTorch is the one compiled against.
    ///
    /// The layout of c10d's classes changes between releases, so the whole number must be equal.
    public static func checkVersion(
        built: String = String(cString: cd_version_built()), loaded: String = Runtime.loadedVersion
    ) throws {
        func number(_ version: String) -> Substring { version.prefix { $0 != "+" } }
        guard number(built) == number(loaded) else {
            throw DistributedError.otherVersion(built: built, loaded: loaded)
        }
    }

    // MARK: Operations

    /// Replaces the elements of a tensor by their sum, or another reduction, over all ranks.
    ///
    /// All ranks get the same bits.
    public func allReduce(_ tensor: Tensor, _ reduction: RankReduction = .sum) throws {
        try perform("all-reduce") { cd_all_reduce($0, tensor.handle, reduction.code) }
    }

    /// Returns the numbers of all ranks reduced, in float64.
    public func allReduced(_ values: [Double], _ reduction: RankReduction = .sum) throws -> [Double] {
        guard !values.isEmpty else { return [] }
        let tensor = try Tensor.from(values)
        try allReduce(tensor, reduction)
        return try tensor.doubles()
    }

    /// Reduces input [count × N, ...] over all ranks and writes this rank's part into output [N, ...].
    public func reduceScatter(_ input: Tensor, into output: Tensor, _ reduction: RankReduction = .sum) throws
    {
        try perform("reduce-scatter") { cd_reduce_scatter($0, output.handle, input.handle, reduction.code) }
    }

    /// Writes the inputs [N, ...] of all ranks into output [count × N, ...].
    public func allGather(_ input: Tensor, into output: Tensor) throws {
        try perform("all-gather") { cd_all_gather($0, output.handle, input.handle) }
    }

    /// Replaces the elements of a tensor by those of one rank.
    public func broadcast(_ tensor: Tensor, from root: Int = 0) throws {
        try perform("broadcast") { cd_broadcast($0, tensor.handle, Int32(clamping: root)) }
    }

    /// Sends a tensor to a rank that receives one of the same shape and type; both name the same tag.
    public func send(_ tensor: Tensor, to rank: Int, tag: Int = 0) throws {
        try perform("sending to rank \(rank)") {
            cd_send($0, tensor.handle, Int32(clamping: rank), Int32(clamping: tag))
        }
    }

    /// Replaces the elements of a tensor by those that a rank sends.
    public func receive(_ tensor: Tensor, from rank: Int, tag: Int = 0) throws {
        try perform("receiving from rank \(rank)") {
            cd_receive($0, tensor.handle, Int32(clamping: rank), Int32(clamping: tag))
        }
    }

    /// Waits until all ranks are here.
    public func barrier() throws { try perform("a barrier") { cd_barrier($0) } }

    /// Makes buckets of the gradients of parameters, given in the order in which a forward pass uses them.
    ///
    /// Gradients travel as bfloat16 with `narrows`, and are summed in it.
    public func buckets(_ parameters: [Tensor], byteCount: Int, narrows: Bool = false) throws
        -> GradientBuckets
    {
        guard let group else {
            throw DistributedError.failed(operation: "making buckets", reason: "the group has ended")
        }
        return try GradientBuckets(self, group, parameters, byteCount: byteCount, narrows: narrows)
    }

    /// Runs a native operation, and finds out who is missing where it fails.
    func perform(_ operation: String, _ body: (cd_group) -> ct_status) throws {
        guard let group, !run.hasEnded else {
            throw DistributedError.failed(operation: operation, reason: "the run has ended")
        }
        do {
            try check(body(group))
        } catch let error as TorchError {
            // Arguments that LibTorch refuses are no fault of another rank.
            if [.value, .type, .index].contains(error.kind) { throw error }
            throw run.settle(try run.diagnosis(operation, reason: firstLine(of: error.message)))
        }
    }

    // MARK: Small values

    /// Runs a body on rank 0 while the others wait, however long it takes; returns its result on all ranks.
    ///
    /// Where the body fails, its error is thrown on rank 0, and the run ends.
    public func onRankZero(_ operation: String, _ body: () throws -> Data = { Data() }) throws -> Data {
        exchangeCount += 1
        let key = prefix + "once/\(exchangeCount)"
        guard rank == 0 else { return try awaitValue(key, of: 0, operation) }
        let result = try body()
        try store.set(key, result)
        return result
    }

    /// Returns the values of all ranks, in their order, on all ranks; for some kilobytes.
    public func gathered(_ value: Data, _ operation: String) throws -> [Data] {
        exchangeCount += 1
        let key = prefix + "gather/\(exchangeCount)/"
        try store.set(key + "\(rank)", value)
        return try (0..<count).map { try $0 == rank ? value : awaitValue(key + "\($0)", of: $0, operation) }
    }

    /// Compares what the ranks were started with, by name; throws ``DistributedError/different(rank:what:found:expected:)``.
    public func checkEqual(_ facts: [(name: String, value: String)]) throws {
        let own = facts.map { [$0.name, $0.value] }
        let all = try gathered(JSONEncoder().encode(own), "comparing the ranks")
        let lists = all.map { (try? JSONDecoder().decode([[String]].self, from: $0)) ?? [] }
        for (rank, list) in lists.enumerated() {
            // Other names are another version of the program, which is the first fact.
            for (fact, expected) in zip(list, lists[0]) where fact != expected && fact.count == 2 {
                throw run.settle(
                    .different(
                        rank: members[rank], what: fact[0], found: fact[1], expected: expected.last ?? ""))
            }
            guard list.count == lists[0].count else {
                throw run.settle(
                    .different(
                        rank: members[rank], what: "program", found: "\(list.count) facts",
                        expected: "\(lists[0].count)"))
            }
        }
    }

    /// Waits for a value of a rank as long as that lives.
    private func awaitValue(_ key: String, of other: Int, _ operation: String) throws -> Data {
        var (pause, lastBeat, silence) = (0.001, "", Date())
        while true {
            do {
                if let value = try store.value(key) { return value }
                try run.checkAlive()
                let beat = try text(keys.prefix + "beat/\(members[other])").prefix { $0 != " " }
                if beat != lastBeat {
                    (lastBeat, silence) = (String(beat), Date())
                } else if Date().timeIntervalSince(silence) > min(timeout, 20 * beatInterval) {
                    throw DistributedError.silent(ranks: [members[other]], operation: operation)
                }
            } catch let error as DistributedError {
                throw run.settle(error)
            }
            Thread.sleep(forTimeInterval: pause)
            pause = min(pause * 1.5, 0.1)
        }
    }

    private func text(_ key: String) throws -> String {
        try store.value(key).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    // MARK: The end

    /// Throws the error that ends the run, if there is one.
    private func checkAlive() throws {
        guard let group else { return }
        switch cd_group_condition(group) {
        case CD_ENDED: throw try ending() ?? .failed(operation: "the run", reason: "it was ended")
        case CD_STORE_LOST: throw DistributedError.storeLost(host: store.host, port: store.port)
        default: return
        }
    }

    /// Returns the error that a rank or the launcher has written; nil if there is none.
    private func ending() throws -> DistributedError? {
        guard let data = try store.value(keys.abort) else { return nil }
        return (try? JSONDecoder().decode(DistributedError.self, from: data))
            ?? .failed(operation: "the run", reason: "it was ended")
    }

    /// Returns the reason why an operation failed: which ranks give no sign of life, or have not come to it.
    private func diagnosis(_ operation: String, reason: String) throws -> DistributedError {
        do {
            if let ending = try ending() { return ending }
            let others = (0..<count).filter { $0 != rank }
            func beats() throws -> [[Substring]] {
                try others.map { try text(prefix + "beat/\($0)").split(separator: " ") }
            }
            let before = try beats()
            // Longer than a beat of a machine that is busy.
            let deadline = Date().addingTimeInterval(2.5 * beatInterval)
            while Date() < deadline {
                Thread.sleep(forTimeInterval: 0.05)
                if let ending = try ending() { return ending }
            }
            let after = try beats()
            let silent = others.indices.filter { before[$0].first == after[$0].first }.map { others[$0] }
            if !silent.isEmpty { return .silent(ranks: silent, operation: operation) }
            let own = group.map { cd_group_operation_count($0) } ?? 0
            let behind = others.indices.filter { (after[$0].last.flatMap { Int64($0) } ?? own) < own }
            if !behind.isEmpty {
                return .behind(ranks: behind.map { others[$0] }, operation: operation, seconds: timeout)
            }
            return .failed(operation: operation, reason: reason)
        } catch let error as DistributedError {
            return error
        }
    }

    /// Writes an error for all ranks, unless another one was first; returns the error of all.
    private func settle(_ error: DistributedError) -> DistributedError {
        guard !hasEnded else { return error }
        hasEnded = true
        let data = (try? JSONEncoder().encode(error)) ?? Data()
        guard let isFirst = try? store.claim(keys.abort, data) else {
            isReporter = true
            return error
        }
        isReporter = isFirst
        guard !isFirst else { return error }
        // The other's error may be on its way.
        for _ in 0..<40 {
            if let ending = try? ending() { return ending }
            Thread.sleep(forTimeInterval: 0.05)
        }
        return error
    }

    /// Ends the run on all ranks because of an error of this one.
    ///
    /// Call it with every error that ends this rank before the others; those of the group itself are known already. Does
    /// nothing for a part of a run.
    public func abort(because error: any Error) {
        guard group != nil, whole == nil else { return }
        defer { leave(within: 3) }
        if !(error is DistributedError) || isReporter {
            // For a launcher, which then has nothing to add.
            _ = try? store.set(keys.told(rank), Data())
        }
        guard !(error is DistributedError), !hasEnded else { return }
        let text = (error as? any CustomStringConvertible & LocalizedError)?.description ?? "\(error)"
        _ = settle(.ended(rank: rank, reason: text))
    }

    /// Leaves the run after the last operation; the rank that keeps the store waits for the others.
    ///
    /// Does nothing for a part of a run.
    public func leave() { if whole == nil { leave(within: min(timeout, 30)) } }

    private func leave(within seconds: Double) {
        guard let group else { return }
        _ = try? store.add(1, to: prefix + "left")
        if rank == 0, !assignment.launcherKeepsStore {
            let deadline = Date().addingTimeInterval(seconds)
            while Date() < deadline, let left = try? store.add(0, to: prefix + "left"), left < count {
                Thread.sleep(forTimeInterval: 0.02)
            }
        }
        cd_group_free(group, hasEnded)
        self.group = nil
    }
}

extension RankReduction {
    var code: cd_reduction {
        switch self {
        case .sum: CD_SUM
        case .minimum: CD_MINIMUM
        case .maximum: CD_MAXIMUM
        }
    }
}
