import RetNetArchitecture
import RetNetKernels
import RetNetStorage
import RetNetSystem

/// The element type of the large parts of states: the matrices of recurrences, and keys and values of attention.
///
/// Arithmetic is in float32 whatever the type; every step rounds what it keeps. Sums of keys, inputs of convolutions and the
/// sums of RWKV are float32 always.
public enum StateElementType: String, Sendable, CaseIterable {
    /// Single precision: nothing is rounded.
    case float32
    /// 8 bits of precision and the range of float32.
    case bfloat16
    /// 11 bits of precision, and numbers up to 65,504.
    case float16

    var kernel: rn_weight_type {
        switch self {
        case .float32: RN_F32
        case .bfloat16: RN_BF16
        case .float16: RN_F16
        }
    }

    var stored: StoredElementType {
        switch self {
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .float16: .float16
        }
    }

    var byteCount: Int { self == .float32 ? 4 : 2 }
}

/// The state of one sequence after the tokens read: everything that later tokens depend on.
///
/// A value: a copy continues on its own, and costs nothing until one of the two reads on.
public struct SequenceState: @unchecked Sendable {
    // Sendable: storage is written only by a value that holds it alone.
    var storage: StateStorage
    /// The position of the next token, and the number of tokens read.
    public internal(set) var place = SequencePosition()

    init(_ layout: StateLayout, source: SourceMemory? = nil) {
        storage = StateStorage(layout, source: source)
    }

    /// Number of tokens read.
    public var tokenCount: Int { place.count }

    /// Bytes of all numbers of the state; the same for any number of tokens unless a layer keeps a cache.
    public var byteCount: Int { storage.byteCount }

    /// Tokens that enter the matrices of recurrences together: one of so many steps writes them, and the others only read.
    public static let blockLength = Int(RN_BLOCK)

    /// Bytes of the state that a step reads and writes, on average.
    public var byteCountPerToken: Int { storage.byteCountPerToken }

    /// Lets the last tokens enter matrices before their block is whole, as state files have them.
    ///
    /// What follows is equal to rounding to what would have followed.
    public mutating func settle() {
        guard !storage.isSettled else { return }
        makeUnique()
        storage.settle()
    }

    /// Makes the storage this value's own.
    mutating func makeUnique() {
        if !isKnownUniquelyReferenced(&storage) { storage = StateStorage(copying: storage) }
    }
}

/// The place of a tensor of fixed size in the storage of one sequence.
struct StatePlace: Hashable {
    /// In bytes.
    let offset: Int
    let type: StateElementType
}

/// The places of the state's tensors in the storage of one sequence.
struct StateLayout {
    /// A tensor of fixed size, without an axis for sequences.
    struct Entry: Hashable {
        let layer: Int
        let name: String
        let elementCount: Int
        let place: StatePlace

        var byteCount: Int { elementCount * place.type.byteCount }
    }
    /// Keys and values of all tokens of one layer, [groups, tokens, size] each.
    struct Cache: Hashable {
        let layer: Int
        let groups: Int
        let size: Int

        var width: Int { groups * size }
    }

    /// The type of matrices and caches.
    let type: StateElementType
    private(set) var entries: [Entry] = []
    private(set) var caches: [Cache] = []
    /// Matrices per head, whose last tokens are beside them.
    private(set) var memories: [MatrixMemory] = []
    /// Bytes of all tensors of fixed size.
    private(set) var byteCount = 0
    /// Equal for equal layouts.
    private(set) var signature = 0
    /// The names of the caches' tensors.
    static let cacheNames = (keys: "key", values: "value")

    init(type: StateElementType) { self.type = type }

    /// Adds the tensors of a layer; mixers then ask for their places.
    mutating func add(_ tensors: [StateTensor], layer: Int) {
        for tensor in tensors {
            if tensor.growingAxis != nil {
                if tensor.name == Self.cacheNames.keys, tensor.shape.count == 3 {
                    caches.append(Cache(layer: layer, groups: tensor.shape[0], size: tensor.shape[2]))
                }
                continue
            }
            // A matrix per head is what makes states large; vectors follow each other without gaps.
            let place = StatePlace(
                offset: tensor.shape.count > 1 ? (byteCount + 63) & ~63 : byteCount,
                type: tensor.shape.count > 2 ? type : .float32)
            let entry = Entry(
                layer: layer, name: tensor.name, elementCount: tensor.shape.reduce(1, *), place: place)
            entries.append(entry)
            byteCount = place.offset + entry.byteCount
        }
        byteCount = (byteCount + 63) & ~63
        sign()
    }

    /// Returns the places of a matrix per head of the layer that was added last, and of its last tokens.
    mutating func memory(_ name: String, _ shape: MatrixShape) throws -> MatrixMemory {
        let state = try place(name)
        var recurrence = shape.recurrence(state.type)
        let memory = MatrixMemory(
            shape: shape, state: state, recent: StatePlace(offset: byteCount, type: .float32))
        memories.append(memory)
        byteCount += Int(rn_recent_bytes(&recurrence))
        sign()
        return memory
    }

    private mutating func sign() {
        var hasher = Hasher()
        hasher.combine(type)
        hasher.combine(entries)
        hasher.combine(caches)
        hasher.combine(memories)
        signature = hasher.finalize()
    }

    /// Returns the place of a tensor of the layer that was added last.
    func place(_ name: String) throws -> StatePlace {
        let layer = entries.last?.layer
        guard let entry = entries.last(where: { $0.layer == layer && $0.name == name }) else {
            throw RuntimeError.unsupported(part: "a mixer with the state '\(name)'")
        }
        return entry.place
    }

    /// Returns the index of the cache of the layer that was added last.
    func cache() throws -> Int {
        guard !caches.isEmpty else { throw RuntimeError.unsupported(part: "attention without a cache") }
        return caches.count - 1
    }
}

/// The numbers of one state.
final class StateStorage {
    let layout: StateLayout
    let memory: UnsafeMutableRawPointer
    /// What a decoder reads of its source; nil for language models.
    let source: SourceMemory?
    private let isMapped: Bool
    private(set) var caches: [KeyValueCache]

    /// Zeros, the start of a sequence.
    init(_ layout: StateLayout, source: SourceMemory? = nil) {
        self.layout = layout
        self.source = source
        (memory, isMapped) = Self.allocate(layout.byteCount)
        if !isMapped { memory.initializeMemory(as: UInt8.self, repeating: 0, count: layout.byteCount) }
        caches = layout.caches.map { KeyValueCache(groups: $0.groups, size: $0.size, type: layout.type) }
    }

    /// A copy that shares nothing but the source, which is constant.
    init(copying other: StateStorage) {
        layout = other.layout
        source = other.source
        (memory, isMapped) = Self.allocate(layout.byteCount)
        memory.copyMemory(from: other.memory, byteCount: layout.byteCount)
        caches = other.caches.map { $0.copy() }
    }

    deinit {
        #if DEBUG
            // Whoever uses memory of a former state finds NaN.
            memory.initializeMemory(as: UInt8.self, repeating: 0xFF, count: layout.byteCount)
        #endif
        if isMapped {
            LargeMemory.release(memory, byteCount: layout.byteCount)
        } else {
            memory.deallocate()
        }
        for cache in caches { cache.deallocate() }
    }

    /// Returns memory, and whether the system gave it, as zeros; small states have memory of the allocator.
    private static func allocate(_ byteCount: Int) -> (UnsafeMutableRawPointer, isMapped: Bool) {
        if byteCount >= 1 << 22, let memory = try? LargeMemory.allocate(byteCount: byteCount) {
            return (memory, true)
        }
        return (.allocate(byteCount: max(64, byteCount), alignment: 64), false)
    }

    var byteCount: Int {
        layout.byteCount + caches.reduce(0) { $0 + $1.byteCount } + (source?.byteCount ?? 0)
    }

    /// True where no tokens wait beside matrices.
    var isSettled: Bool { layout.memories.allSatisfy { rn_is_settled(memory + $0.recent.offset) } }

    /// Lets the tokens that wait enter their matrices.
    func settle() {
        for place in layout.memories {
            var recurrence = place.recurrence
            let scratch = UnsafeMutableRawPointer.allocate(
                byteCount: Int(rn_recur_scratch(nil, &recurrence)), alignment: 64)
            defer { scratch.deallocate() }
            var sequence = rn_sequence(
                state: memory + place.state.offset, recent: memory + place.recent.offset, first: 0, count: 0,
                position: 0)
            rn_settle(nil, &recurrence, &sequence, 1, scratch)
        }
    }

    /// Matrices are read by every step and rewritten by one of a block; of waiting tokens half are there on average.
    var byteCountPerToken: Int {
        let sizes = layout.memories.map { memory in
            let (shape, type) = (memory.shape, memory.state.type)
            var recurrence = memory.recurrence
            return (
                shape.headCount * shape.keySize * shape.valueSize * type.byteCount,
                Int(rn_recent_bytes(&recurrence))
            )
        }
        let (matrices, recent) = sizes.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
        return matrices + 2 * matrices / SequenceState.blockLength + recent / 2
            + 2 * (layout.byteCount - matrices - recent) + (byteCount - layout.byteCount)
    }

    /// Returns a tensor of float32 numbers.
    func floats(at place: StatePlace) -> UnsafeMutablePointer<Float> {
        (memory + place.offset).assumingMemoryBound(to: Float.self)
    }

    /// Adds rows [rows, groups · size] without gaps to a cache.
    func append(
        cache index: Int, keys: UnsafePointer<Float>, values: UnsafePointer<Float>, rows: Int,
        _ pool: OpaquePointer
    ) {
        caches[index].append(keys, values, rows: rows, pool)
    }

    /// Makes room for so many tokens in a cache, and no more.
    func reserve(cache index: Int, _ rows: Int) { caches[index].reserve(rows) }

    /// Makes a cache one of so many tokens, whose contents are undefined.
    func resize(cache index: Int, to count: Int) { caches[index].resize(to: count) }
}

/// Keys and values of the tokens that a sequence has read, [groups, capacity, size] each, with room for more.
struct KeyValueCache {
    let groups: Int
    let size: Int
    let type: StateElementType
    private(set) var count = 0
    private var capacity = 0
    private(set) var keys: UnsafeMutableRawPointer
    private(set) var values: UnsafeMutableRawPointer

    init(groups: Int, size: Int, type: StateElementType) {
        self.groups = groups
        self.size = size
        self.type = type
        keys = .allocate(byteCount: 1, alignment: 64)
        values = .allocate(byteCount: 1, alignment: 64)
    }

    /// The distance in elements from one group to the next.
    var headStride: Int { capacity * size }

    var width: Int { groups * size }

    /// Bytes of the keys, or the values, of one token.
    var rowByteCount: Int { width * type.byteCount }

    /// Bytes of the keys, or the values, of all tokens of one group.
    var groupByteCount: Int { count * size * type.byteCount }

    /// The distance in bytes from one group to the next.
    var groupStride: Int { headStride * type.byteCount }

    /// Bytes of the keys and values of all tokens.
    var byteCount: Int { 2 * count * rowByteCount }

    func deallocate() {
        keys.deallocate()
        values.deallocate()
    }

    /// Adds rows [rows, groups · size]; half as much room again as needed keeps copies few.
    mutating func append(
        _ newKeys: UnsafePointer<Float>, _ newValues: UnsafePointer<Float>, rows: Int, _ pool: OpaquePointer
    ) {
        if count + rows > capacity { grow(to: max(64, (count + rows) * 3 / 2)) }
        let byteCount = type.byteCount
        for group in 0..<groups {
            let start = (group * headStride + count * size) * byteCount
            for row in 0..<rows {
                let (from, to) = (row * width + group * size, start + row * size * byteCount)
                rn_narrow(pool, newKeys + from, type.kernel, keys + to, Int64(size))
                rn_narrow(pool, newValues + from, type.kernel, values + to, Int64(size))
            }
        }
        count += rows
    }

    /// Makes room for so many tokens, and no more.
    mutating func reserve(_ rows: Int) { if rows > capacity { grow(to: rows) } }

    mutating func resize(to count: Int) {
        if count > capacity { grow(to: count) }
        self.count = count
    }

    func copy() -> KeyValueCache {
        var copy = self
        copy.grow(to: max(1, count), releasing: false)
        return copy
    }

    private mutating func grow(to rows: Int, releasing: Bool = true) {
        let (newKeys, newValues) = (
            UnsafeMutableRawPointer.allocate(byteCount: rows * rowByteCount, alignment: 64),
            UnsafeMutableRawPointer.allocate(byteCount: rows * rowByteCount, alignment: 64)
        )
        let newStride = rows * size * type.byteCount
        for group in 0..<groups {
            (newKeys + group * newStride).copyMemory(
                from: keys + group * groupStride, byteCount: groupByteCount)
            (newValues + group * newStride).copyMemory(
                from: values + group * groupStride, byteCount: groupByteCount)
        }
        if releasing { deallocate() }
        (keys, values, capacity) = (newKeys, newValues, rows)
    }
}
