import RetNetStorage

/// A fault of a tokenizer's files with its place in them.
struct TokenizerFault: Error {
    /// The place, such as `normalizer.normalizers[2]`; empty for the whole file.
    var place: String
    var reason: String
    /// True for a part that may be right but is not known here.
    var isUnsupported = false

    /// Returns the error for the file at a path.
    func error(path: String) -> TextError {
        isUnsupported
            ? .unsupportedTokenizerPart(path: path, place: place, reason: reason)
            : .invalidTokenizer(path: path, reason: place.isEmpty ? reason : "\(place) \(reason)")
    }
}

/// A JSON text as a flat list of values, for files with a hundred thousand short texts.
///
/// One pass over the bytes and no object per value: a vocabulary of 50,000 entries with its merges takes a few
/// milliseconds. Names that occur twice are left to those who read the objects.
final class JSONTape: Sendable {
    /// The largest nesting of objects and arrays.
    static let maximumDepth = 64

    enum Kind: UInt8 { case null, no, yes, integer, number, string, array, object }

    /// A value.
    ///
    /// Texts are a range of `texts`, integers and numbers the bits of their value.
    struct Item {
        var kind: Kind
        /// The index behind the value and all values in it.
        var end: Int32
        var bits: UInt64
    }

    let items: [Item]
    let texts: [UInt8]

    /// Reads a text; throws ``TokenizerFault``.
    init(_ bytes: UnsafeRawBufferPointer) throws {
        if let offset = UTF8Validator.firstInvalidOffset(in: bytes) {
            throw TokenizerFault(place: "", reason: "it is not UTF-8 text (at byte \(offset))")
        }
        var parser = Parser(bytes: bytes.bindMemory(to: UInt8.self))
        try parser.parse()
        (items, texts) = (parser.items, parser.texts)
    }

    /// The value of the whole text.
    var root: JSONNode { JSONNode(tape: self, index: 0, place: "") }

    private struct Parser {
        let bytes: UnsafeBufferPointer<UInt8>
        var offset = 0
        var items: [Item] = []
        var texts: [UInt8] = []

        init(bytes: UnsafeBufferPointer<UInt8>) {
            self.bytes = bytes
            items.reserveCapacity(bytes.count / 8)
            texts.reserveCapacity(bytes.count)
        }

        func fault(_ reason: String) -> TokenizerFault {
            TokenizerFault(
                place: "",
                reason: offset < bytes.count
                    ? "it is not JSON: \(reason) (at byte \(offset))"
                    : "it ends inside a value: \(reason) (at byte \(offset))")
        }

        mutating func parse() throws {
            // A byte-order mark is no JSON, but Windows editors write one.
            if bytes.starts(with: TextFileReader.byteOrderMark) { offset = 3 }
            try value(depth: 0)
            skipSpace()
            guard offset == bytes.count else { throw fault("something follows the end of the value") }
        }

        @inline(__always) mutating func skipSpace() {
            while offset < bytes.count {
                let byte = bytes[offset]
                guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
                offset &+= 1
            }
        }

        mutating func value(depth: Int) throws {
            skipSpace()
            guard offset < bytes.count else { throw fault("a value is missing") }
            switch bytes[offset] {
            case UInt8(ascii: "\""): try string()
            case UInt8(ascii: "{"): try container(.object, UInt8(ascii: "}"), depth)
            case UInt8(ascii: "["): try container(.array, UInt8(ascii: "]"), depth)
            case UInt8(ascii: "n"): try word("null", .null)
            case UInt8(ascii: "t"): try word("true", .yes)
            case UInt8(ascii: "f"): try word("false", .no)
            default: try number()
            }
        }

        mutating func add(_ kind: Kind, _ bits: UInt64) throws {
            // Places are 32-bit numbers.
            guard items.count < Int(Int32.max) else { throw fault("it has too many values") }
            items.append(Item(kind: kind, end: Int32(items.count + 1), bits: bits))
        }

        mutating func word(_ text: StaticString, _ kind: Kind) throws {
            let length = text.utf8CodeUnitCount
            guard bytes.count - offset >= length,
                (0..<length).allSatisfy({ bytes[offset + $0] == text.utf8Start[$0] })
            else { throw fault("an unknown word") }
            offset += length
            try add(kind, 0)
        }

        mutating func container(_ kind: Kind, _ closing: UInt8, _ depth: Int) throws {
            // Bounded so that a damaged file cannot exhaust the stack.
            guard depth < JSONTape.maximumDepth else {
                throw fault("objects and arrays are nested more than \(JSONTape.maximumDepth) deep")
            }
            let index = items.count
            var count: UInt64 = 0
            try add(kind, 0)
            offset += 1
            skipSpace()
            if offset < bytes.count, bytes[offset] == closing {
                offset += 1
            } else {
                while true {
                    if kind == .object {
                        skipSpace()
                        guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") else {
                            throw fault("a name in double quotes is missing")
                        }
                        try string()
                        skipSpace()
                        guard offset < bytes.count, bytes[offset] == UInt8(ascii: ":") else {
                            throw fault("':' is missing")
                        }
                        offset += 1
                    }
                    try value(depth: depth + 1)
                    count += 1
                    skipSpace()
                    guard offset < bytes.count, bytes[offset] == UInt8(ascii: ",") || bytes[offset] == closing
                    else { throw fault("',' or the end of an object or array is missing") }
                    offset += 1
                    if bytes[offset - 1] == closing { break }
                }
            }
            items[index].bits = count
            items[index].end = Int32(items.count)
        }

        mutating func number() throws {
            let start = offset
            var isInteger = true
            while offset < bytes.count {
                switch bytes[offset] {
                case 0x30...0x39, UInt8(ascii: "-"): break
                case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"):
                    isInteger = false
                default:
                    return try number(start..<offset, isInteger)
                }
                offset += 1
            }
            try number(start..<offset, isInteger)
        }

        mutating func number(_ range: Range<Int>, _ isInteger: Bool) throws {
            let text = String(decoding: bytes[range], as: UTF8.self)
            if isInteger, let value = Int64(text) {
                return try add(.integer, UInt64(bitPattern: value))
            }
            guard let value = Double(text), value.isFinite, text.first != "." else {
                offset = range.lowerBound
                throw fault("this is no value")
            }
            try add(.number, value.bitPattern)
        }

        mutating func string() throws {
            offset += 1
            let textStart = texts.count
            while true {
                let start = offset
                while offset < bytes.count, bytes[offset] != 0x22, bytes[offset] != 0x5C,
                    bytes[offset] >= 0x20
                {
                    offset &+= 1
                }
                texts.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<offset]))
                guard offset < bytes.count else { throw fault("a text has no closing double quote") }
                if bytes[offset] == 0x22 { break }
                guard bytes[offset] == 0x5C else { throw fault("a text contains a control character") }
                offset += 1
                try escape()
            }
            offset += 1
            guard texts.count < Int(Int32.max) else { throw fault("its texts are too long") }
            try add(.string, UInt64(textStart) << 32 | UInt64(texts.count))
        }

        mutating func escape() throws {
            if let reason = JSONEscape.read(UnsafeRawBufferPointer(bytes), at: &offset, into: &texts) {
                throw fault(reason)
            }
        }
    }
}

/// A value of a JSON text with its place in it.
struct JSONNode {
    let tape: JSONTape
    let index: Int
    let place: String

    private var item: JSONTape.Item { tape.items[index] }
    var kind: JSONTape.Kind { item.kind }
    var isNull: Bool { kind == .null }
    /// The members of an object or the elements of an array; 0 for other values.
    var count: Int { kind == .array || kind == .object ? Int(item.bits) : 0 }

    /// The bytes of a text, as a range of `tape.texts`; `nil` for other values.
    var textRange: Range<Int>? {
        kind == .string ? Int(item.bits >> 32)..<Int(item.bits & 0xFFFF_FFFF) : nil
    }

    func fault(_ reason: String) -> TokenizerFault { TokenizerFault(place: place, reason: reason) }

    func unsupported(_ reason: String) -> TokenizerFault {
        TokenizerFault(place: place, reason: reason, isUnsupported: true)
    }

    /// Returns the text of a value.
    func string() throws -> String {
        guard let range = textRange else { throw fault("is not a text") }
        return String(decoding: tape.texts[range], as: UTF8.self)
    }

    func bool() throws -> Bool {
        guard kind == .yes || kind == .no else { throw fault("is neither true nor false") }
        return kind == .yes
    }

    func integer() throws -> Int {
        guard kind == .integer else { throw fault("is not an integer") }
        return Int(Int64(bitPattern: item.bits))
    }

    func number() throws -> Double {
        switch kind {
        case .integer: return Double(Int64(bitPattern: item.bits))
        case .number: return Double(bitPattern: item.bits)
        default: throw fault("is not a number")
        }
    }

    /// Calls `body` with the indices of each name and its value in an object.
    func forEachMember(_ body: (_ name: Int, _ value: Int) throws -> Void) throws {
        guard kind == .object else { throw fault("is not an object") }
        var next = index + 1
        while next < Int(item.end) {
            try body(next, next + 1)
            next = Int(tape.items[next + 1].end)
        }
    }

    /// Returns the `type` of a part of the pipeline.
    func partType() throws -> String {
        guard let type = try member("type")?.string() else { throw fault("lacks its 'type'") }
        return type
    }

    /// The elements of an array.
    func elements() throws -> [JSONNode] {
        guard kind == .array else { throw fault("is not a list") }
        var (nodes, next): ([JSONNode], Int) = ([], index + 1)
        while next < Int(item.end) {
            nodes.append(JSONNode(tape: tape, index: next, place: "\(place)[\(nodes.count)]"))
            next = Int(tape.items[next].end)
        }
        return nodes
    }

    /// The members of an object by name; throws for a name that occurs twice.
    func members() throws -> [String: JSONNode] {
        var members: [String: JSONNode] = [:]
        try forEachMember { name, value in
            let key = try JSONNode(tape: tape, index: name, place: place).string()
            let node = JSONNode(tape: tape, index: value, place: place.isEmpty ? key : "\(place).\(key)")
            guard members.updateValue(node, forKey: key) == nil else {
                throw fault("has the name '\(key)' twice")
            }
        }
        return members
    }

    /// Returns the value of a member; `nil` if it is missing or null.
    func member(_ name: String) throws -> JSONNode? {
        guard let node = try members()[name], !node.isNull else { return nil }
        return node
    }
}

/// The options of a part of a tokenizer, of which each must be known.
struct PartOptions {
    let node: JSONNode
    private let members: [String: JSONNode]

    /// Reads the options of an object; refuses names other than `type` and those given.
    init(_ node: JSONNode, _ known: String...) throws {
        self.node = node
        members = try node.members()
        if let unknown = members.keys.filter({ $0 != "type" && !known.contains($0) }).min() {
            throw node.unsupported("has the unknown option '\(unknown)'")
        }
    }

    /// Returns an option, or `nil` where it is missing or null.
    func optional(_ name: String) -> JSONNode? { members[name].flatMap { $0.isNull ? nil : $0 } }

    /// Returns an option that must be there.
    func required(_ name: String) throws -> JSONNode {
        guard let node = optional(name) else { throw self.node.fault("lacks '\(name)'") }
        return node
    }

    func bool(_ name: String, _ standard: Bool? = nil) throws -> Bool {
        if let standard, optional(name) == nil { return standard }
        return try required(name).bool()
    }

    func string(_ name: String, _ standard: String? = nil) throws -> String {
        if let standard, optional(name) == nil { return standard }
        return try required(name).string()
    }

    /// Returns a text of one character.
    func scalar(_ name: String) throws -> Unicode.Scalar {
        let node = try required(name)
        let scalars = try node.string().unicodeScalars
        guard let scalar = scalars.first, scalars.count == 1 else { throw node.fault("is not one character") }
        return scalar
    }
}
