/// A value beside the tensors of a file of PyTorch: options, step counts, names.
///
/// What is neither a number nor a text nor a container of such is left as the name of its class.
public indirect enum PlainValue: Equatable, Sendable {
    /// Python's `None`.
    case null
    /// A truth value.
    case bool(Bool)
    /// An integer of 64 bits.
    case int(Int)
    /// Any other number.
    case double(Double)
    /// A text.
    case string(String)
    /// A list, tuple or set.
    case list([PlainValue])
    /// A dictionary, or the attributes of an argument bag; keys that are no texts are written as texts.
    case dictionary([Member])
    /// Something else: the name of its class or function.
    case other(String)

    /// One entry of a dictionary.
    public struct Member: Equatable, Sendable {
        /// Key, unique within the dictionary.
        public let key: String
        /// Value.
        public let value: PlainValue

        /// Creates an entry.
        public init(_ key: String, _ value: PlainValue) {
            self.key = key
            self.value = value
        }
    }

    /// Returns the value of a key of a dictionary; nil for other values and without the key.
    public subscript(key: String) -> PlainValue? {
        guard case .dictionary(let members) = self else { return nil }
        return members.first { $0.key.isExactly(key) }?.value
    }
}

/// A conversion of the values of a pickle to plain ones, of limited size and depth.
///
/// Values of a pickle may share parts or contain themselves, so a small one can be a tree without end.
struct PlainValueMaker {
    static let maximumCount = 1_000_000
    static let maximumDepth = 60

    private let graph: PickleGraph
    private let isLeftOut: (Int) -> Bool
    private var count = 0

    /// Converts values of a graph without the nodes that `isLeftOut` is true for.
    init(_ graph: PickleGraph, leavingOut isLeftOut: @escaping (Int) -> Bool) {
        self.graph = graph
        self.isLeftOut = isLeftOut
    }

    /// Returns a value as a plain one; throws `PyTorchFault.limit`.
    mutating func plain(_ value: PickleValue, depth: Int = 0) throws -> PlainValue {
        count += 1
        guard count <= Self.maximumCount else {
            throw PyTorchFault.limit(what: "values beside the tensors", maximum: Self.maximumCount)
        }
        guard depth <= Self.maximumDepth else {
            throw PyTorchFault.limit(what: "levels of containers", maximum: Self.maximumDepth)
        }
        switch value {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .int(let value): return .int(value)
        case .double(let value): return .double(value)
        case .string(let text): return .string(text)
        case .global(let index): return .other(graph.globals[index])
        case .node(let index): return try plain(graph.nodes[index], depth: depth + 1)
        }
    }

    private mutating func plain(_ node: PickleNode, depth: Int) throws -> PlainValue {
        switch node.kind {
        case .list, .tuple, .set:
            return .list(try node.items.filter { !isOmitted($0) }.map { try plain($0, depth: depth) })
        case .dictionary: return .dictionary(try members(node.items, depth: depth))
        case .bytes(let bytes): return .other("\(bytes.count) bytes")
        case .largeInteger(let digits): return .string(digits)
        case .storage: return .other("storage")
        case .tensor(let tensor): return .other("tensor \(tensor.shape)")
        case .object(let name): return try object(name, node, depth: depth)
        }
    }

    private func isOmitted(_ value: PickleValue) -> Bool {
        if case .node(let index) = value { isLeftOut(index) } else { false }
    }

    /// Returns the entries of keys and values in turn; of equal keys the last one counts, as in Python.
    private mutating func members(_ items: [PickleValue], depth: Int) throws -> [PlainValue.Member] {
        var result: [PlainValue.Member] = []
        var indices: [ExactString: Int] = [:]
        for index in stride(from: 0, to: items.count - 1, by: 2) where !isOmitted(items[index + 1]) {
            let key = text(try plain(items[index], depth: depth))
            let member = PlainValue.Member(key, try plain(items[index + 1], depth: depth))
            if let known = indices[ExactString(key)] {
                result[known] = member
            } else {
                indices[ExactString(key)] = result.count
                result.append(member)
            }
        }
        return result
    }

    private func text(_ key: PlainValue) -> String {
        switch key {
        case .string(let text), .other(let text): text
        case .int(let number): "\(number)"
        case .double(let number): "\(number)"
        case .bool(let value): value ? "True" : "False"
        case .null: "None"
        case .list(let elements): "(" + elements.map(text).joined(separator: ", ") + ")"
        case .dictionary: "{}"
        }
    }

    // MARK: Objects

    private mutating func object(_ name: String, _ node: PickleNode, depth: Int) throws -> PlainValue {
        switch name {
        case "argparse.Namespace", "types.SimpleNamespace":
            guard graph.node(node.state) != nil else { return .dictionary([]) }
            return try plain(node.state, depth: depth)
        case "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar":
            return NumPyScalar.plain(node, graph) ?? .other("numpy.generic")
        case "builtins.complex": return .other("complex")
        default:
            guard name.hasPrefix("omegaconf.") else { return .other(name) }
            return try configuration(name, node, depth: depth)
        }
    }

    /// Returns the contents of a container or value of OmegaConf, which lie in one of its attributes.
    private mutating func configuration(_ name: String, _ node: PickleNode, depth: Int) throws -> PlainValue {
        let attributes = graph.members(node.state) ?? []
        guard let content = attributes.last(where: { $0.key == "_content" || $0.key == "_val" }) else {
            return .other(name)
        }
        return try plain(content.value, depth: depth)
    }
}

/// Numbers of NumPy, which training programs leave among their step counts and losses.
enum NumPyScalar {
    /// Returns a number from its element type and bytes; nil for types that are no plain numbers.
    static func plain(_ node: PickleNode, _ graph: PickleGraph) -> PlainValue? {
        guard node.items.count == 2, let type = graph.node(node.items[0]),
            case .object("numpy.dtype") = type.kind,
            let name = type.items.first.flatMap(graph.string), let bytes = graph.bytes(node.items[1])
        else { return nil }
        let order = graph.tuple(type.state).flatMap { $0.count > 1 ? graph.string($0[1]) : nil }
        let ordered = order == ">" ? bytes.reversed() : bytes
        guard bytes.count <= 8, name.utf8.count == 2, let digit = name.utf8.last,
            Int(digit) - 48 == bytes.count
        else { return nil }
        let bits = ordered.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        switch name {
        case "f8": return .double(Double(bitPattern: bits))
        case "f4": return .double(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))))
        case "b1": return .bool(bits != 0)
        case "i8": return .int(Int(truncatingIfNeeded: bits))
        case "i4": return .int(Int(Int32(truncatingIfNeeded: bits)))
        case "i2": return .int(Int(Int16(truncatingIfNeeded: bits)))
        case "i1": return .int(Int(Int8(truncatingIfNeeded: bits)))
        case "u1", "u2", "u4", "u8": return Int(exactly: bits).map { .int($0) }
        default: return nil
        }
    }
}
