import Foundation

/// A file written by PyTorch's `torch.save`: its named tensors, read on demand, and the plain values beside them.
///
/// The forms since PyTorch 1.6 (a zip archive) and before it (pickles followed by the numbers) are read, as `.pt`,
/// `.pth`, `.bin` and `.ckpt`. The file is mapped into memory and its pickle is never run: see `PickleMachine`.
///
/// The tensors are those of one dictionary: the file itself, or what it holds under `model`, `state_dict`, `module` or
/// `model_state_dict`, also one inside of the other.
public final class PyTorchFile: @unchecked Sendable {
    // Sendable: what changes is guarded by the lock.
    /// Keys under which programs keep the weights beside their other values.
    public static let stateDictionaryKeys = ["model", "state_dict", "module", "model_state_dict"]

    /// Path as given.
    public let path: String
    /// Tensors in the order of the dictionary.
    public let tensors: [PyTorchTensor]
    /// Keys that lead to the dictionary of the tensors; empty if the file is that dictionary.
    public let stateDictionaryPath: [String]
    /// Everything in the file but the tensors and their dictionary.
    public let values: PlainValue
    private let file: MappedFile
    private let records: [PyTorchContainer.Record]
    private let indices: [ExactString: Int]
    private let ownIndices: Set<Int>
    private let lock = NSLock()
    private var checkedRecords: Set<Int> = []

    /// Opens the file at `path`; throws `StorageError`.
    ///
    /// `stateDictionary` names the key of the tensors where there are several dictionaries of them. With `copiesOnWrite`,
    /// the bytes of tensors that are in place may be written without an effect on the file.
    public init(path: String, stateDictionary: String? = nil, copiesOnWrite: Bool = false) throws {
        let file = try MappedFile(path: path, copiesOnWrite: copiesOnWrite)
        do {
            let container = try file.withUnsafeBytes { try PyTorchContainer($0, path: path) }
            let finder = StateDictionaryFinder(container.graph)
            let found = try finder.find(key: stateDictionary)
            var indices: [ExactString: Int] = [:]
            for (index, entry) in found.tensors.enumerated() {
                guard indices.updateValue(index, forKey: ExactString(entry.name)) == nil else {
                    throw PyTorchFault.tensor(name: entry.name, reason: "occurs twice; write the file again")
                }
                try Self.check(entry, container)
            }
            var maker = PlainValueMaker(container.graph) { $0 == found.node }
            self.path = path
            self.file = file
            self.indices = indices
            ownIndices = Self.ownIndices(found.tensors, container.records)
            tensors = found.tensors
            stateDictionaryPath = found.path
            records = container.records
            values =
                try found.path.isEmpty
                ? .dictionary(finder.rest(of: found)) : maker.plain(container.graph.root)
        } catch let fault as PyTorchFault {
            throw StorageError.invalidPyTorch(path: path, fault: fault)
        }
    }

    /// Returns true if a file begins like one of PyTorch; throws `StorageError` if it cannot be read.
    public static func recognizes(_ path: String) throws -> Bool {
        try MappedFile(path: path).withUnsafeBytes { bytes in
            ZipArchive.recognizes(bytes) || (bytes.count > 2 && bytes[0] == 0x80 && bytes[1] <= 5)
        }
    }

    /// Returns the tensor with a name, or nil.
    public func tensor(named name: String) -> PyTorchTensor? {
        indices[ExactString(name)].map { tensors[$0] }
    }

    /// True if the bytes of tensors that are in place may be written without an effect on the file.
    public var copiesOnWrite: Bool { file.copiesOnWrite }

    /// Returns true if a tensor lies in the file uncompressed, in the order of its shape, and shares no byte with another.
    ///
    /// The bytes that ``withUnsafeBytes(of:_:)`` gives of it are those of the file and valid while the file is.
    public func isInPlace(_ name: String) -> Bool {
        indices[ExactString(name)].map(ownIndices.contains) ?? false
    }

    /// Calls `body` with the elements of a tensor: little-endian, in the order of the shape, possibly unaligned.
    ///
    /// The bytes are those of the file where the tensor lies there in this order, otherwise a copy. Throws
    /// `StorageError.unknownTensor`, `StorageError.invalidPyTorch` for damaged numbers, or the error of `body`.
    public func withUnsafeBytes<R>(of name: String, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R
    {
        guard let tensor = tensor(named: name) else {
            throw StorageError.unknownTensor(name: name, path: path)
        }
        let index = tensor.view.storage
        let isChecked = lock.withLock { checkedRecords.contains(index) }
        return try file.withUnsafeBytes { bytes in
            try records[index].withContents(bytes, path: path, isChecked: isChecked) { storage in
                if !isChecked { lock.withLock { _ = checkedRecords.insert(index) } }
                return try tensor.withElements(of: storage, body)
            }
        }
    }

    /// Returns the tensors of which every byte lies in the file in their order and belongs to them alone.
    private static func ownIndices(_ tensors: [PyTorchTensor], _ records: [PyTorchContainer.Record]) -> Set<
        Int
    > {
        let extents = tensors.indices.filter { tensors[$0].byteCount > 0 }
            .map { (index: $0, storage: tensors[$0].view.storage, bytes: tensors[$0].byteRange) }
            .sorted { ($0.storage, $0.bytes.lowerBound) < ($1.storage, $1.bytes.lowerBound) }
        var result: Set<Int> = []
        var place = 0
        while place < extents.count {
            let first = extents[place]
            // All that follow and overlap with what came before them.
            var (end, next) = (first.bytes.upperBound, place + 1)
            while next < extents.count, extents[next].storage == first.storage,
                extents[next].bytes.lowerBound < end
            {
                end = max(end, extents[next].bytes.upperBound)
                next += 1
            }
            if next == place + 1, tensors[first.index].isContiguous, !records[first.storage].isDeflated {
                result.insert(first.index)
            }
            place = next
        }
        return result
    }

    /// Checks that the numbers of a tensor are in the file and that reading them takes no absurd amount of memory.
    private static func check(_ tensor: PyTorchTensor, _ container: PyTorchContainer) throws {
        let storage = container.graph.storages[tensor.view.storage]
        let record = container.records[tensor.view.storage]
        guard let expected = storage.byteCount, record.byteCount == expected else {
            throw PyTorchFault.tensor(
                name: tensor.name,
                reason:
                    "needs \(storage.byteCount ?? 0) bytes, but its record '\(storage.key)' has \(record.byteCount); "
                    + "fetch the file again")
        }
        // A view may repeat elements, so a small file can describe any size.
        guard tensor.byteCount <= max(expected, 1 << 30) else {
            throw PyTorchFault.tensor(
                name: tensor.name,
                reason:
                    "repeats \(expected) bytes to \(tensor.byteCount); save it without repetitions (contiguous())"
            )
        }
    }
}

/// A named tensor of a file of PyTorch.
public struct PyTorchTensor: Equatable, Sendable {
    /// Name, unique within the file.
    public let name: String
    /// Dimensions, outermost first; empty for a scalar.
    public var shape: [Int] { view.shape }
    /// Type of the elements.
    public var elementType: StoredElementType { view.elementType }
    /// Size in bytes.
    public let byteCount: Int
    /// True if the elements lie in the file in the order of the shape.
    public let isContiguous: Bool
    let view: PickleTensor

    /// Describes a view, whose size is known to be countable.
    init(name: String, _ view: PickleTensor) {
        self.name = name
        self.view = view
        byteCount = view.elementType.byteCount(shape: view.shape) ?? 0
        isContiguous = Self.isContiguous(view)
    }

    /// Returns true if both are the same elements of the file, as tied weights are.
    public func isSame(as other: PyTorchTensor) -> Bool { view == other.view }

    /// The bytes of its storage from the first element to the last; it has at least one element.
    var byteRange: Range<Int> {
        // Cannot overflow: the place of the last element was checked to lie in the storage.
        let last = zip(view.shape, view.strides).reduce(view.offset) { $0 + ($1.0 - 1) * $1.1 }
        let width = elementType.bitCount / 8
        return view.offset * width..<(last + 1) * width
    }

    private static func isContiguous(_ view: PickleTensor) -> Bool {
        guard !view.shape.contains(0) else { return true }
        var expected = 1
        for (dimension, stride) in zip(view.shape, view.strides).reversed() where dimension > 1 {
            guard stride == expected else { return false }
            // Cannot overflow: the number of elements was counted when the tensor was described.
            expected *= dimension
        }
        return true
    }

    /// Calls `body` with the elements in the order of the shape.
    func withElements<R>(of storage: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> R)
        throws -> R
    {
        let width = elementType.bitCount / 8
        guard byteCount > 0 else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        if isContiguous {
            let start = view.offset * width
            return try body(UnsafeRawBufferPointer(rebasing: storage[start..<(start + byteCount)]))
        }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
        defer { copy.deallocate() }
        switch width {
        case 1: gather(storage, into: copy, UInt8.self)
        case 2: gather(storage, into: copy, UInt16.self)
        case 4: gather(storage, into: copy, UInt32.self)
        default: gather(storage, into: copy, UInt64.self)
        }
        return try body(UnsafeRawBufferPointer(copy))
    }

    /// Copies the elements one by one; all of them were checked to lie in the storage.
    private func gather<Element: BitwiseCopyable>(
        _ storage: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, _: Element.Type
    ) {
        let (shape, strides) = (view.shape, view.strides)
        let width = MemoryLayout<Element>.size
        let inner = shape.count - 1
        var index = [Int](repeating: 0, count: shape.count)
        var place = view.offset
        var written = 0
        while written < target.count {
            var source = place * width
            for _ in 0..<shape[inner] {
                target.storeBytes(
                    of: storage.loadUnaligned(fromByteOffset: source, as: Element.self),
                    toByteOffset: written,
                    as: Element.self)
                source += strides[inner] * width
                written += width
            }
            var dimension = inner - 1
            while dimension >= 0 {
                index[dimension] += 1
                place += strides[dimension]
                if index[dimension] < shape[dimension] { break }
                place -= index[dimension] * strides[dimension]
                index[dimension] = 0
                dimension -= 1
            }
        }
    }
}

/// A search for the dictionary that holds the weights.
private struct StateDictionaryFinder {
    struct Found {
        let path: [String]
        let node: Int
        let tensors: [PyTorchTensor]
    }

    // A dictionary under a known key may hold another one; files do not nest them deeper.
    private static let maximumDepth = 4
    private let graph: PickleGraph

    init(_ graph: PickleGraph) { self.graph = graph }

    /// Returns the only dictionary of tensors that could be the weights; throws ``PyTorchFault``.
    func find(key: String?) throws -> Found {
        let keys = graph.members(graph.root)?.map(\.key) ?? []
        if let key {
            let member = graph.members(graph.root)?.last { $0.key.isExactly(key) }
            guard let member, let found = try candidate(member.value, [key]) else {
                throw PyTorchFault.noStateDictionary(key: key, keys: keys)
            }
            return found
        }
        guard let found = try candidate(graph.root, []) else { throw PyTorchFault.noTensors(keys: keys) }
        return found
    }

    /// Returns a value if it is a dictionary of tensors, or the one under a known key in it.
    private func candidate(_ value: PickleValue, _ path: [String]) throws -> Found? {
        guard path.count < Self.maximumDepth, case .node(let index) = value,
            let members = graph.members(value)
        else { return nil }
        let tensors = members.compactMap { member in
            graph.tensor(member.value).map { PyTorchTensor(name: member.key, $0) }
        }
        var found: [Found] = tensors.isEmpty ? [] : [Found(path: path, node: index, tensors: tensors)]
        for key in PyTorchFile.stateDictionaryKeys {
            guard let member = members.last(where: { $0.key == key }),
                let inner = try candidate(member.value, path + [key]),
                !found.contains(where: { $0.node == inner.node })
            else { continue }
            found.append(inner)
        }
        guard found.count <= 1 else {
            throw PyTorchFault.severalStateDictionaries(
                keys: found.map { $0.path.isEmpty ? "the top of the file" : $0.path.joined(separator: ".") })
        }
        return found.first
    }

    /// Returns what a dictionary of tensors holds beside them.
    func rest(of found: Found) throws -> [PlainValue.Member] {
        var maker = PlainValueMaker(graph) { index in
            if case .tensor = graph.nodes[index].kind { true } else { false }
        }
        guard case .dictionary(let members) = try maker.plain(.node(found.node)) else { return [] }
        return members
    }
}
