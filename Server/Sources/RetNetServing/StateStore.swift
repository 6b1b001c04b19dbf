import Foundation
import RetNetRuntime

/// States in memory, bounded in bytes: those that requests leave behind for prompts that begin alike, and those with names.
///
/// A prompt finds the state of its longest beginning; tokens are compared one by one, so that no other conversation's state
/// can be taken. When the memory is full, the state that was not used for the longest time goes; those with names stay until
/// they are deleted. All methods may be called from any thread.
public final class StateStore: @unchecked Sendable {
    // Sendable: everything below is read and written under the lock.
    private let lock = NSLock()
    private var entries: [Int: Entry] = [:]
    private var names: [String: Int] = [:]
    private var byHash: [UInt64: [Int]] = [:]
    /// Number of states by their number of tokens, and those numbers in ascending order.
    private var countByLength: [Int: Int] = [:]
    private var lengths: [Int] = []
    /// Number of states that begin with the blocks of a hash.
    private var blocks: [UInt64: Int] = [:]
    private var nextNumber = 0
    private var clock = 0
    private var usedByteCount = 0
    private var namedByteCount = 0
    private var evictionCount = 0

    /// The largest number of bytes of all states.
    public let byteLimit: Int

    private struct Entry {
        var snapshot: StateSnapshot
        var key: Key?
        var lastUse: Int
        var name: NamedState?
        /// True for one of many states on the way through a long prompt: they go before the ends of prompts and texts.
        var isOnTheWay: Bool
        var byteCount: Int
    }

    /// The hashes by which a state is found: that of all tokens, and those of the beginnings of whole blocks.
    private struct Key {
        let whole: UInt64
        let blocks: [UInt64]
        let count: Int

        init(_ tokens: [Int32]) {
            let hashes = PrefixHashes(tokens)
            (whole, blocks, count) = (hashes.whole, hashes.blocks, hashes.count)
        }
    }

    /// A store with a limit in bytes; 0 keeps nothing.
    public init(byteLimit: Int) { self.byteLimit = max(0, byteLimit) }

    // MARK: Beginnings of prompts

    /// A state behind the beginning of a prompt.
    struct Match {
        let snapshot: StateSnapshot
        let count: Int
    }

    /// Returns the state of the longest beginning of a prompt, if there is one.
    ///
    /// A state behind the whole prompt counts only if the logits behind it are known.
    func longestBeginning(of tokens: [Int32], _ hashes: PrefixHashes) -> Match? {
        lock.withLock {
            for length in lengths.reversed() where length <= tokens.count && length > 0 {
                for number in byHash[hashes[length]] ?? [] {
                    guard let entry = entries[number], let history = entry.snapshot.history,
                        history.count == length, length < tokens.count || entry.snapshot.logits != nil,
                        tokens.starts(with: history)
                    else { continue }
                    touch(number)
                    return Match(snapshot: entry.snapshot, count: length)
                }
            }
            return nil
        }
    }

    /// Returns the number of tokens, in whole blocks, with which another sequence began too.
    func sharedBlockLength(_ hashes: PrefixHashes) -> Int {
        lock.withLock {
            var length = 0
            for hash in hashes.blocks {
                guard blocks[hash] != nil else { break }
                length += PrefixHashes.blockLength
            }
            return length
        }
    }

    /// Keeps a state for prompts that begin with its tokens; returns false if it does not fit.
    ///
    /// One `isOnTheWay` through a long prompt goes before others when the memory is full.
    @discardableResult
    func keep(_ snapshot: StateSnapshot, isOnTheWay: Bool = false) -> Bool {
        guard let history = snapshot.history, !history.isEmpty else { return false }
        let key = Key(history)
        return lock.withLock {
            for number in byHash[key.whole] ?? [] {
                guard let entry = entries[number], entry.snapshot.history == history else { continue }
                if entry.snapshot.logits == nil, snapshot.logits != nil, entry.name == nil {
                    remove(number)
                    break
                }
                touch(number)
                if !isOnTheWay { entries[number]?.isOnTheWay = false }
                return true
            }
            guard makeRoom(Self.byteCount(snapshot, key)) else { return false }
            insert(snapshot, key, name: nil, isOnTheWay: isOnTheWay)
            return true
        }
    }

    /// All states without names, the one that was not used for the longest time first.
    var beginnings: [StateSnapshot] {
        lock.withLock {
            entries.values.filter { $0.name == nil }.sorted { $0.lastUse < $1.lastUse }.map(\.snapshot)
        }
    }

    // MARK: Names

    /// A state that is kept under a name.
    public struct NamedState: Sendable {
        /// The name.
        public let name: String
        /// The name of the state that it was forked from, if it was.
        public let parent: String?
        /// The time at which it got its name.
        public let created: Date
        /// The state.
        public internal(set) var snapshot: StateSnapshot
    }

    /// Returns true for names that states may have: they are parts of paths, too.
    public static func isName(_ name: String) -> Bool {
        let allowed = name.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                UInt8(ascii: "."):
                true
            default: false
            }
        }
        return allowed && (1...128).contains(name.utf8.count) && !name.hasPrefix(".")
    }

    /// Returns the state of a name; throws ``ServingError/unknownState(_:)``.
    public func state(named name: String) throws -> NamedState {
        try lock.withLock {
            guard let number = names[name], let state = entries[number]?.name else {
                throw ServingError.unknownState(name)
            }
            touch(number)
            return state
        }
    }

    /// Returns all states with names, in the order of the names.
    public var namedStates: [NamedState] {
        lock.withLock { names.keys.sorted().compactMap { names[$0].flatMap { entries[$0]?.name } } }
    }

    /// Keeps a state under a name, in the place of one that has it if `replaces` says so.
    ///
    /// Throws ``ServingError/invalidStateName(_:)``, ``ServingError/stateExists(_:)`` and ``ServingError/noRoom(byteCount:limit:)``; then nothing has changed.
    @discardableResult
    public func setState(
        _ snapshot: StateSnapshot, named name: String, parent: String? = nil, created: Date = Date(),
        replaces: Bool = false
    ) throws -> NamedState {
        guard Self.isName(name) else { throw ServingError.invalidStateName(name) }
        let key = snapshot.history.map { Key($0) }
        let byteCount = Self.byteCount(snapshot, key)
        return try lock.withLock {
            let old = names[name]
            guard old == nil || replaces else { throw ServingError.stateExists(name) }
            let freed = old.flatMap { entries[$0]?.byteCount } ?? 0
            guard namedByteCount - freed + byteCount <= byteLimit else {
                throw ServingError.noRoom(byteCount: byteCount, limit: byteLimit)
            }
            if let old { remove(old) }
            guard makeRoom(byteCount) else {
                throw ServingError.noRoom(byteCount: byteCount, limit: byteLimit)
            }
            let state = NamedState(name: name, parent: parent, created: created, snapshot: snapshot)
            insert(snapshot, key, name: state)
            return state
        }
    }

    /// Deletes the state of a name; throws ``ServingError/unknownState(_:)``.
    public func deleteState(named name: String) throws {
        try lock.withLock {
            guard let number = names[name] else { throw ServingError.unknownState(name) }
            remove(number)
        }
    }

    // MARK: Figures

    /// Sizes of a store.
    public struct Statistics: Sendable, Equatable {
        /// Number of states, those with names included.
        public var count = 0
        /// Number of states with names.
        public var namedCount = 0
        /// Bytes of all states.
        public var byteCount = 0
        /// Number of states that had to go since the store was made.
        public var evictionCount = 0
    }

    /// The sizes now.
    public var statistics: Statistics {
        lock.withLock {
            Statistics(
                count: entries.count, namedCount: names.count, byteCount: usedByteCount,
                evictionCount: evictionCount)
        }
    }

    // MARK: Under the lock

    private func touch(_ number: Int) {
        clock += 1
        entries[number]?.lastUse = clock
    }

    private func makeRoom(_ byteCount: Int) -> Bool {
        guard byteCount <= byteLimit - namedByteCount else { return false }
        while usedByteCount + byteCount > byteLimit {
            let oldest = entries.lazy.filter { $0.value.name == nil }.min {
                $0.value.isOnTheWay == $1.value.isOnTheWay
                    ? $0.value.lastUse < $1.value.lastUse : $0.value.isOnTheWay
            }
            guard let oldest else { return false }
            remove(oldest.key)
            evictionCount += 1
        }
        return true
    }

    /// Bytes of a state and of what it is found by.
    private static func byteCount(_ snapshot: StateSnapshot, _ key: Key?) -> Int {
        snapshot.byteCount + 8 * (key?.blocks.count ?? 0)
    }

    private func insert(
        _ snapshot: StateSnapshot, _ key: Key?, name: NamedState?, isOnTheWay: Bool = false
    ) {
        clock += 1
        nextNumber += 1
        let number = nextNumber
        let byteCount = Self.byteCount(snapshot, key)
        entries[number] = Entry(
            snapshot: snapshot, key: key, lastUse: clock, name: name, isOnTheWay: isOnTheWay,
            byteCount: byteCount)
        usedByteCount += byteCount
        if let name {
            names[name.name] = number
            namedByteCount += byteCount
        }
        guard let key else { return }
        byHash[key.whole, default: []].append(number)
        for hash in key.blocks { blocks[hash, default: 0] += 1 }
        if countByLength[key.count] == nil { lengths.insert(key.count, at: place(of: key.count)) }
        countByLength[key.count, default: 0] += 1
    }

    private func remove(_ number: Int) {
        guard let entry = entries.removeValue(forKey: number) else { return }
        usedByteCount -= entry.byteCount
        if let name = entry.name {
            names[name.name] = nil
            namedByteCount -= entry.byteCount
        }
        guard let key = entry.key else { return }
        byHash[key.whole]?.removeAll { $0 == number }
        if byHash[key.whole]?.isEmpty == true { byHash[key.whole] = nil }
        for hash in key.blocks {
            let rest = (blocks[hash] ?? 1) - 1
            blocks[hash] = rest > 0 ? rest : nil
        }
        let rest = (countByLength[key.count] ?? 1) - 1
        countByLength[key.count] = rest > 0 ? rest : nil
        if rest <= 0 { lengths.remove(at: place(of: key.count)) }
    }

    /// The index of the first length that is not smaller.
    private func place(of length: Int) -> Int {
        var (low, high) = (0, lengths.count)
        while low < high {
            let middle = (low + high) / 2
            if lengths[middle] < length { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
