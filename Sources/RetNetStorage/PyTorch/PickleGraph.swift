/// A value of a pickle.
///
/// Containers and everything that is made by a call are nodes of a ``PickleGraph``, since values share them.
enum PickleValue: Sendable {
    case null
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    /// The index of a node.
    case node(Int)
    /// The index of the name of a function or class. It stays a name: nothing is imported.
    case global(Int)
}

/// A container, or an object as what it was made from.
struct PickleNode: Sendable {
    enum Kind: Sendable {
        case list
        case tuple
        case set
        /// Keys and values alternate in the items.
        case dictionary
        case bytes([UInt8])
        /// An integer of more than 64 bits, in digits.
        case largeInteger(String)
        /// An object of a known class, made from the items as arguments; never more than this description of it.
        case object(String)
        case storage(Int)
        case tensor(PickleTensor)
    }

    var kind: Kind
    var items: [PickleValue] = []
    /// What was passed to the object after it was made: its attributes.
    var state: PickleValue = .null
}

/// Numbers in a record of their own, of which tensors are views.
struct PickleStorage: Sendable, Equatable {
    let key: String
    /// Type of the elements; nil for plain bytes.
    let elementType: StoredElementType?
    /// Elements, or bytes without a type.
    let count: Int

    /// Size in bytes; nil if 64 bits cannot hold it.
    var byteCount: Int? { (elementType ?? .uint8).byteCount(shape: [count]) }
}

/// A view of a storage; offset and strides count elements.
struct PickleTensor: Sendable, Equatable {
    let storage: Int
    let elementType: StoredElementType
    let offset: Int
    let shape: [Int]
    let strides: [Int]
}

/// The values of a pickle, as nodes in one array.
///
/// Indices instead of references: values may be shared, nest to any depth or contain themselves, and neither making nor
/// releasing them recurses.
struct PickleGraph: Sendable {
    var nodes: [PickleNode] = []
    var globals: [String] = []
    var storages: [PickleStorage] = []
    var root: PickleValue = .null

    func node(_ value: PickleValue) -> PickleNode? {
        if case .node(let index) = value { nodes[index] } else { nil }
    }

    func tuple(_ value: PickleValue) -> [PickleValue]? {
        guard let node = node(value) else { return nil }
        switch node.kind {
        case .tuple, .list: return node.items
        default: return nil
        }
    }

    func name(_ value: PickleValue) -> String? {
        if case .global(let index) = value { globals[index] } else { nil }
    }

    func string(_ value: PickleValue) -> String? {
        if case .string(let text) = value { text } else { nil }
    }

    func int(_ value: PickleValue) -> Int? {
        if case .int(let number) = value { number } else { nil }
    }

    func bytes(_ value: PickleValue) -> [UInt8]? {
        if case .bytes(let bytes)? = node(value)?.kind { bytes } else { nil }
    }

    func tensor(_ value: PickleValue) -> PickleTensor? {
        if case .tensor(let tensor)? = node(value)?.kind { tensor } else { nil }
    }

    /// Returns keys and values of a dictionary with texts as keys; other keys and their values are left out.
    func members(_ value: PickleValue) -> [(key: String, value: PickleValue)]? {
        guard let node = node(value), case .dictionary = node.kind else { return nil }
        var result: [(key: String, value: PickleValue)] = []
        for index in stride(from: 0, to: node.items.count - 1, by: 2) {
            guard let key = string(node.items[index]) else { continue }
            result.append((key, node.items[index + 1]))
        }
        return result
    }
}

/// Texts of the earlier protocols and names of Python 2.
enum PickleText {
    /// Returns the name that a function or class has in Python 3, with its module.
    static func currentName(module: String, name: String) -> String {
        switch module {
        case "__builtin__": "builtins." + (name == "unicode" ? "str" : name == "long" ? "int" : name)
        case "copy_reg": "copyreg." + name
        default: module + "." + name
        }
    }

    /// Decodes a text in which characters beyond Latin-1 are written as `\uXXXX` or `\UXXXXXXXX`.
    static func rawUnicode(_ line: [UInt8]) -> String? {
        var text = ""
        var rest = line[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let kind = rest.first,
                kind == UInt8(ascii: "u") || kind == UInt8(ascii: "U")
            else {
                text.unicodeScalars.append(UnicodeScalar(byte))
                continue
            }
            let count = kind == UInt8(ascii: "u") ? 4 : 8
            let digits = rest.dropFirst().prefix(count)
            guard digits.count == count,
                let code = UInt32(String(decoding: digits, as: UTF8.self), radix: 16),
                let scalar = UnicodeScalar(code)
            else { return nil }
            text.unicodeScalars.append(scalar)
            rest = rest.dropFirst(count + 1)
        }
        return text
    }

    /// Decodes a byte string in quotes, with the escapes of Python.
    static func unquoted(_ line: [UInt8]) -> [UInt8]? {
        guard line.count >= 2, let quote = line.first, quote == line.last,
            quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"")
        else { return nil }
        var result: [UInt8] = []
        var rest = line.dropFirst().dropLast()
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                continue
            }
            guard let escape = rest.popFirst() else { return nil }
            switch escape {
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): result.append(escape)
            case UInt8(ascii: "x"):
                guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                    return nil
                }
                result.append(value)
                rest = rest.dropFirst(2)
            default: result += [byte, escape]
            }
        }
        return result
    }
}
