import RetNetTorch

/// Keys and values of the tokens decoded so far, as a value that grows by one token at a time.
///
/// Memory is reserved ahead. A token is written in place only by the value that holds the newest tokens of its
/// storage; another copy of an older value gets storage of its own, so no value ever changes behind its owner's back.
public struct T5KeyValueCache {
    private final class Storage {
        let keys: Tensor
        let values: Tensor
        /// How many tokens have been written.
        var count: Int

        init(keys: Tensor, values: Tensor, count: Int) {
            self.keys = keys
            self.values = values
            self.count = count
        }
    }

    private static let firstCapacity = 16
    private var storage: Storage
    /// How many tokens this value holds.
    public private(set) var count = 0

    /// Nothing yet, for rows with heads of some size.
    init(rowCount: Int, headCount: Int, keySize: Int, elementType: ElementType, device: Device) throws {
        let shape = [rowCount, headCount, Self.firstCapacity, keySize]
        storage = Storage(
            keys: try Tensor.zeros(shape, elementType, on: device),
            values: try Tensor.zeros(shape, elementType, on: device), count: 0)
    }

    /// [B, H, C, A], of which the first ``count`` positions count.
    var keys: Tensor { storage.keys }
    /// [B, H, C, A], of which the first ``count`` positions count.
    var values: Tensor { storage.values }
    /// Bytes of the tokens held.
    public var byteCount: Int {
        let capacity = storage.keys.size(2)
        return capacity > 0 ? 2 * storage.keys.byteCount / capacity * count : 0
    }

    /// The keys and values held, each [B, H, count, A].
    public func tensors() throws -> (keys: Tensor, values: Tensor) {
        (try storage.keys.sliced(2, 0..<count), try storage.values.sliced(2, 0..<count))
    }

    /// Adds the keys and values [B, H, 1, A] of the next token.
    mutating func append(keys: Tensor, values: Tensor) throws {
        if storage.count != count || count == storage.keys.size(2) { try moveToOwnStorage() }
        try storage.keys.sliced(2, count..<count + 1).copy(from: keys)
        try storage.values.sliced(2, count..<count + 1).copy(from: values)
        count += 1
        storage.count = count
    }

    /// The given rows, in that order; rows may repeat or be left out.
    func selecting(rows: Tensor) throws -> T5KeyValueCache {
        var result = self
        result.storage = Storage(
            keys: try storage.keys.indexSelected(0, rows), values: try storage.values.indexSelected(0, rows),
            count: count)
        return result
    }

    private mutating func moveToOwnStorage() throws {
        var shape = storage.keys.shape
        shape[2] = max(Self.firstCapacity, 2 * count)
        func moved(_ old: Tensor) throws -> Tensor {
            let new = try Tensor.zeros(shape, old.elementType, on: old.device)
            if count > 0 { try new.sliced(2, 0..<count).copy(from: old.sliced(2, 0..<count)) }
            return new
        }
        storage = Storage(keys: try moved(storage.keys), values: try moved(storage.values), count: count)
    }
}
