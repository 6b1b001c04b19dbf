import RetNetArchitecture

/// The state of one sequence after the tokens read: everything that later tokens depend on.
///
/// A value: a copy continues on its own, and costs nothing until one of the two reads on.
public struct SequenceState: @unchecked Sendable {
    // Sendable: storage is written only by a value that holds it alone.
    var storage: StateStorage
    /// The position of the next token, and the number of tokens read.
    public internal(set) var place = SequencePosition()

    init(_ layout: StateLayout) { storage = StateStorage(layout) }

    /// Number of tokens read.
    public var tokenCount: Int { place.count }

    /// Bytes of all numbers of the state; the same for any number of tokens unless a layer keeps a cache.
    public var byteCount: Int { storage.byteCount }

    /// Makes the storage this value's own.
    mutating func makeUnique() {
        if !isKnownUniquelyReferenced(&storage) { storage = StateStorage(copying: storage) }
    }
}

/// The places of the state's tensors in the storage of one sequence.
struct StateLayout {
    /// A tensor of fixed size, without an axis for sequences.
    struct Entry {
        let layer: Int
        let name: String
        let shape: [Int]
        let offset: Int
    }
    /// Keys and values of all tokens of one layer, [tokens, groups · size] each.
    struct Cache {
        let layer: Int
        let groups: Int
        let size: Int

        var width: Int { groups * size }
    }

    private(set) var entries: [Entry] = []
    private(set) var caches: [Cache] = []
    /// Floats of all tensors of fixed size.
    private(set) var floatCount = 0
    /// The layer whose tensors are declared now.
    var layer = 0

    /// Declares a tensor; returns its place in floats from the start.
    mutating func tensor(_ name: String, _ shape: [Int]) -> Int {
        let offset = floatCount
        entries.append(Entry(layer: layer, name: name, shape: shape, offset: offset))
        floatCount += (shape.reduce(1, *) + 15) & ~15
        return offset
    }

    /// Declares tensors of one size that follow each other; returns the place of the first.
    mutating func tensors(_ names: [String], size: Int) -> Int {
        let offset = floatCount
        for (index, name) in names.enumerated() {
            entries.append(Entry(layer: layer, name: name, shape: [size], offset: offset + index * size))
        }
        floatCount += (names.count * size + 15) & ~15
        return offset
    }

    /// Declares a cache; returns its index.
    mutating func cache(groups: Int, size: Int) -> Int {
        caches.append(Cache(layer: layer, groups: groups, size: size))
        return caches.count - 1
    }
}

/// The numbers of one state.
final class StateStorage {
    let layout: StateLayout
    let floats: UnsafeMutablePointer<Float>
    private(set) var caches: [KeyValueCache]

    /// Zeros, the start of a sequence.
    init(_ layout: StateLayout) {
        self.layout = layout
        floats = Self.floats(layout.floatCount)
        floats.initialize(repeating: 0, count: layout.floatCount)
        caches = layout.caches.map { KeyValueCache(groups: $0.groups, size: $0.size) }
    }

    /// A copy that shares nothing.
    init(copying other: StateStorage) {
        layout = other.layout
        floats = Self.floats(layout.floatCount)
        floats.initialize(from: other.floats, count: layout.floatCount)
        caches = other.caches.map { $0.copy() }
    }

    deinit {
        UnsafeMutableRawPointer(floats).deallocate()
        for cache in caches { cache.deallocate() }
    }

    var byteCount: Int { 4 * (layout.floatCount + caches.reduce(0) { $0 + 2 * $1.count * $1.width }) }

    /// Adds rows [rows, groups · size] without gaps to a cache.
    func append(
        cache index: Int, keys: UnsafePointer<Float>, values: UnsafePointer<Float>, rows: Int
    ) {
        caches[index].append(keys, values, rows: rows)
    }

    private static func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
        UnsafeMutableRawPointer.allocate(byteCount: max(64, 4 * count), alignment: 64)
            .bindMemory(to: Float.self, capacity: count)
    }
}

/// Keys and values of the tokens that a sequence has read, [groups, capacity, size] each, with room for more.
struct KeyValueCache {
    let groups: Int
    let size: Int
    private(set) var count = 0
    private var capacity = 0
    private(set) var keys: UnsafeMutablePointer<Float>
    private(set) var values: UnsafeMutablePointer<Float>

    init(groups: Int, size: Int) {
        self.groups = groups
        self.size = size
        keys = .allocate(capacity: 1)
        values = .allocate(capacity: 1)
    }

    /// The distance in elements from one group to the next.
    var headStride: Int { capacity * size }

    var width: Int { groups * size }

    func deallocate() {
        keys.deallocate()
        values.deallocate()
    }

    /// Adds rows [rows, groups · size]; half as much room again as needed keeps copies few.
    mutating func append(_ newKeys: UnsafePointer<Float>, _ newValues: UnsafePointer<Float>, rows: Int) {
        if count + rows > capacity { grow(to: max(64, (count + rows) * 3 / 2)) }
        for group in 0..<groups {
            let start = group * headStride + count * size
            for row in 0..<rows {
                let from = row * width + group * size
                (keys + start + row * size).update(from: newKeys + from, count: size)
                (values + start + row * size).update(from: newValues + from, count: size)
            }
        }
        count += rows
    }

    func copy() -> KeyValueCache {
        var copy = self
        copy.grow(to: max(1, count), releasing: false)
        return copy
    }

    private mutating func grow(to rows: Int, releasing: Bool = true) {
        let (newKeys, newValues) = (
            UnsafeMutablePointer<Float>.allocate(capacity: rows * width),
            UnsafeMutablePointer<Float>.allocate(capacity: rows * width)
        )
        for group in 0..<groups {
            (newKeys + group * rows * size).update(from: keys + group * headStride, count: count * size)
            (newValues + group * rows * size).update(from: values + group * headStride, count: count * size)
        }
        if releasing { deallocate() }
        (keys, values, capacity) = (newKeys, newValues, rows)
    }
}
