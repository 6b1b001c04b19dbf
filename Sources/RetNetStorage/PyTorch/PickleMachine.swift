/// A reader of pickles, protocols 0 to 5, that never runs what they call.
///
/// A pickle is a program for a stack machine whose instructions import functions and call them. Here a function stays
/// a name; a call gives a description of the result if the name is one of those in `PickleMachine+Calls.swift`, and is
/// refused otherwise. Everything that grows has a limit. Source: the comments of CPython's Lib/pickletools.py.
struct PickleMachine {
    /// The most that a pickle may make; real checkpoints stay far below.
    struct Limits {
        var byteCount = 256 << 20
        var stackDepth = 1_000_000
        var memoCount = 4_000_000
        var opcodeCount = 32_000_000
        var textByteCount = 16 << 20
        /// Values in containers, with 4 for each container and 1 for each 16 bytes of text.
        var units = 16_000_000
    }

    private static let maximumDigitCount = 4096

    var graph = PickleGraph()
    /// Position of the next byte.
    private(set) var offset: Int
    private let bytes: UnsafeRawBufferPointer
    private let limits: Limits
    private var opcodeOffset = 0
    private var opcodeCount = 0
    private var stack: [PickleValue] = []
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    // Names and storages that are made once: see PickleMachine+Calls.swift.
    var globalIndices: [ExactString: Int] = [:]
    var storageIndices: [ExactString: Int] = [:]
    private var unitCount = 0

    /// Starts at an offset of the bytes, which must outlive the machine.
    init(_ bytes: UnsafeRawBufferPointer, offset: Int = 0, limits: Limits = Limits()) {
        self.bytes = bytes
        self.offset = offset
        self.limits = limits
    }

    /// Runs to the end of the pickle and returns its values; throws ``PyTorchFault``.
    mutating func run() throws -> PickleGraph {
        let start = offset
        while true {
            opcodeOffset = offset
            opcodeCount += 1
            guard opcodeCount <= limits.opcodeCount else { throw limit("instructions", limits.opcodeCount) }
            guard offset - start <= limits.byteCount else { throw limit("bytes", limits.byteCount) }
            let opcode = try readByte()
            if opcode == UInt8(ascii: ".") {
                graph.root = try pop()
                return graph
            }
            try execute(opcode)
            guard stack.count + marks.count <= limits.stackDepth else {
                throw limit("values on its stack", limits.stackDepth)
            }
        }
    }

    private mutating func execute(_ opcode: UInt8) throws {
        switch opcode {
        case 0x80: try checkProtocol(readByte())
        case 0x95: try checkFrame(readCount(8))
        case UInt8(ascii: "("): marks.append(stack.count)
        case UInt8(ascii: "0"): try discard()
        case UInt8(ascii: "1"): _ = try popToMark()
        case UInt8(ascii: "2"): stack.append(try top())
        // Constants.
        case UInt8(ascii: "N"): stack.append(.null)
        case 0x88: stack.append(.bool(true))
        case 0x89: stack.append(.bool(false))
        case UInt8(ascii: "J"): stack.append(.int(Int(Int32(truncatingIfNeeded: try readInteger(4)))))
        case UInt8(ascii: "K"): stack.append(.int(Int(try readByte())))
        case UInt8(ascii: "M"): stack.append(.int(Int(try readInteger(2))))
        case 0x8A: stack.append(try longInteger(byteCount: Int(readByte())))
        case 0x8B: stack.append(try longInteger(byteCount: readCount(4)))
        case UInt8(ascii: "I"): stack.append(try textInteger(readLine()))
        case UInt8(ascii: "L"): stack.append(try textLong(readLine()))
        case UInt8(ascii: "G"): stack.append(.double(Double(bitPattern: try readInteger(8).byteSwapped)))
        case UInt8(ascii: "F"): stack.append(try textDouble(readLine()))
        // Texts and bytes.
        case UInt8(ascii: "X"): stack.append(try text(byteCount: readCount(4)))
        case 0x8C: stack.append(try text(byteCount: Int(readByte())))
        case 0x8D: stack.append(try text(byteCount: readCount(8)))
        case UInt8(ascii: "V"):
            stack.append(try PickleText.rawUnicode(readLine()).map { .string($0) } ?? damaged())
        case UInt8(ascii: "T"): stack.append(try earlierText(Array(read(readCount(4)))))
        case UInt8(ascii: "U"): stack.append(try earlierText(Array(read(Int(readByte())))))
        case UInt8(ascii: "S"): stack.append(try earlierText(PickleText.unquoted(readLine()) ?? damaged()))
        case UInt8(ascii: "B"): try pushBytes(readCount(4))
        case UInt8(ascii: "C"): try pushBytes(Int(readByte()))
        case 0x8E, 0x96: try pushBytes(readCount(8))
        // Containers.
        case UInt8(ascii: "]"): try push(.list)
        case UInt8(ascii: "}"): try push(.dictionary)
        case UInt8(ascii: ")"): try push(.tuple)
        case 0x8F: try push(.set)
        case UInt8(ascii: "l"): try push(.list, popToMark())
        case UInt8(ascii: "t"): try push(.tuple, popToMark())
        case UInt8(ascii: "d"): try push(.dictionary, pairs(popToMark()))
        case 0x91: try push(.set, popToMark())
        case 0x85: try push(.tuple, pop(1))
        case 0x86: try push(.tuple, pop(2))
        case 0x87: try push(.tuple, pop(3))
        case UInt8(ascii: "a"): try extend(pop(1), as: "list")
        case UInt8(ascii: "e"): try extend(popToMark(), as: "list")
        case 0x90: try extend(popToMark(), as: "set")
        case UInt8(ascii: "s"): try extend(pop(2), as: "dictionary")
        case UInt8(ascii: "u"): try extend(pairs(popToMark()), as: "dictionary")
        // The memo.
        case UInt8(ascii: "p"): try memorize(memoIndex(readLine()))
        case UInt8(ascii: "q"): try memorize(Int(readByte()))
        case UInt8(ascii: "r"): try memorize(readCount(4))
        case 0x94: try memorize(memo.count)
        case UInt8(ascii: "g"): try recall(memoIndex(readLine()))
        case UInt8(ascii: "h"): try recall(Int(readByte()))
        case UInt8(ascii: "j"): try recall(readCount(4))
        // Names, calls and objects.
        case UInt8(ascii: "c"): stack.append(try global(line(), line()))
        case 0x93:
            let names = try pop(2)
            guard let module = graph.string(names[0]), let name = graph.string(names[1]) else {
                throw damaged()
            }
            stack.append(try global(module, name))
        case UInt8(ascii: "R"), 0x81:
            let call = try pop(2)
            stack.append(try result(of: call[0], call[1]))
        case 0x92:
            let call = try pop(3)
            guard let keywords = graph.node(call[2]), keywords.items.isEmpty else {
                throw PyTorchFault.call(
                    name: "\(graph.name(call[0]) ?? "an object")' with keywords of '__new__")
            }
            stack.append(try result(of: call[0], call[1]))
        case UInt8(ascii: "o"):
            var items = try popToMark()
            guard !items.isEmpty else { throw damaged() }
            let function = items.removeFirst()
            stack.append(try result(of: function, made(.tuple, items)))
        case UInt8(ascii: "i"):
            let function = try global(line(), line())
            stack.append(try result(of: function, made(.tuple, popToMark())))
        case UInt8(ascii: "b"):
            let state = try pop()
            try build(try top(), state)
        case UInt8(ascii: "Q"): stack.append(try persistent(pop()))
        case UInt8(ascii: "P"): stack.append(try persistent(.string(line())))
        case 0x82, 0x83, 0x84: throw fault("it uses the registry of extensions of the program that wrote it")
        case 0x97, 0x98: throw fault("it refers to buffers outside of the file")
        default: throw fault("the instruction 0x\(String(opcode, radix: 16)) does not exist")
        }
    }

    // MARK: Faults and limits

    func fault(_ reason: String) -> PyTorchFault { .pickle(byteOffset: opcodeOffset, reason: reason) }

    func damaged() -> PyTorchFault { fault("the pickle is damaged") }

    private func damaged<Value>() throws -> Value { throw damaged() as PyTorchFault }

    private func limit(_ what: String, _ maximum: Int) -> PyTorchFault {
        .limit(what: what, maximum: maximum)
    }

    /// Counts what a value takes before it is made.
    mutating func charge(_ units: Int) throws {
        unitCount += units
        guard unitCount <= limits.units else { throw limit("values", limits.units) }
    }

    private func checkProtocol(_ version: UInt8) throws {
        guard version <= 5 else { throw fault("the pickle has the protocol \(version), newer than 5") }
    }

    private func checkFrame(_ byteCount: Int) throws {
        guard byteCount <= bytes.count - offset else { throw fault("a frame reaches beyond the end") }
    }

    // MARK: Bytes

    private mutating func readByte() throws -> UInt8 {
        guard offset < bytes.count else { throw fault("the pickle ends too early") }
        offset += 1
        return bytes[offset - 1]
    }

    private mutating func read(_ byteCount: Int) throws -> UnsafeRawBufferPointer {
        guard byteCount <= bytes.count - offset else { throw fault("the pickle ends too early") }
        offset += byteCount
        return UnsafeRawBufferPointer(rebasing: bytes[(offset - byteCount)..<offset])
    }

    /// Reads a little-endian number of up to 8 bytes.
    private mutating func readInteger(_ byteCount: Int) throws -> UInt64 {
        try read(byteCount).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func readCount(_ byteCount: Int) throws -> Int {
        guard let count = Int(exactly: try readInteger(byteCount)) else {
            throw fault("a length exceeds the pickle")
        }
        return count
    }

    /// Reads up to a line feed, which is consumed but not returned.
    private mutating func readLine() throws -> [UInt8] {
        let start = offset
        while try readByte() != UInt8(ascii: "\n") {
            guard offset - start <= limits.textByteCount else {
                throw limit("bytes in a line", limits.textByteCount)
            }
        }
        return Array(bytes[start..<(offset - 1)])
    }

    private mutating func line() throws -> String {
        guard let text = String(validating: try readLine(), as: UTF8.self) else { throw damaged() }
        return text
    }

    // MARK: Constants

    private mutating func text(byteCount: Int) throws -> PickleValue {
        guard byteCount <= limits.textByteCount else { throw limit("bytes in a text", limits.textByteCount) }
        try charge(byteCount / 16)
        guard let text = String(validating: try read(byteCount), as: UTF8.self) else {
            throw fault("a text is not UTF-8")
        }
        return .string(text)
    }

    /// Returns a `str` of Python 2: a text if it is UTF-8, otherwise bytes.
    private mutating func earlierText(_ bytes: [UInt8]) throws -> PickleValue {
        try charge(bytes.count / 16)
        guard let text = String(validating: bytes, as: UTF8.self) else { return try made(.bytes(bytes)) }
        return .string(text)
    }

    private mutating func pushBytes(_ byteCount: Int) throws {
        stack.append(try made(.bytes(Array(read(byteCount)))))
    }

    private mutating func longInteger(byteCount: Int) throws -> PickleValue {
        let bytes = try read(byteCount)
        guard byteCount > 8 else {
            var value = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            if let last = bytes.last, last >= 0x80, byteCount < 8 { value |= ~0 << UInt64(8 * byteCount) }
            return .int(Int(truncatingIfNeeded: value))
        }
        guard byteCount <= Self.maximumDigitCount else {
            throw limit("bytes in an integer", Self.maximumDigitCount)
        }
        let digits = bytes.reversed().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        return try largeInteger("0x" + digits)
    }

    private mutating func largeInteger(_ digits: String) throws -> PickleValue {
        try charge(digits.utf8.count / 16)
        return try made(.largeInteger(digits))
    }

    private func textInteger(_ line: [UInt8]) throws -> PickleValue {
        let text = String(decoding: line, as: UTF8.self)
        if text == "00" { return .bool(false) }
        if text == "01" { return .bool(true) }
        guard let value = Int(text) else { throw damaged() }
        return .int(value)
    }

    private mutating func textLong(_ line: [UInt8]) throws -> PickleValue {
        let digits = line.last == UInt8(ascii: "L") ? line.dropLast() : line[...]
        guard digits.count <= Self.maximumDigitCount else {
            throw limit("digits in an integer", Self.maximumDigitCount)
        }
        let text = String(decoding: digits, as: UTF8.self)
        if let value = Int(text) { return .int(value) }
        guard
            digits.allSatisfy({
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "-")
            })
        else { throw damaged() }
        return try largeInteger(text)
    }

    private func textDouble(_ line: [UInt8]) throws -> PickleValue {
        guard let value = Double(String(decoding: line, as: UTF8.self)) else { throw damaged() }
        return .double(value)
    }

    // MARK: Stack

    private func top() throws -> PickleValue {
        guard stack.count > marks.last ?? 0, let value = stack.last else { throw damaged() }
        return value
    }

    private mutating func pop() throws -> PickleValue {
        let value = try top()
        stack.removeLast()
        return value
    }

    /// Removes values and returns them in the order in which they were pushed.
    private mutating func pop(_ count: Int) throws -> [PickleValue] {
        guard stack.count - (marks.last ?? 0) >= count else { throw damaged() }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func popToMark() throws -> [PickleValue] {
        guard let mark = marks.popLast() else { throw damaged() }
        defer { stack.removeLast(stack.count - mark) }
        return Array(stack[mark...])
    }

    private mutating func discard() throws {
        if stack.count > marks.last ?? 0 {
            stack.removeLast()
        } else if marks.popLast() == nil {
            throw damaged()
        }
    }

    private func pairs(_ items: [PickleValue]) throws -> [PickleValue] {
        guard items.count % 2 == 0 else { throw damaged() }
        return items
    }

    // MARK: Memo

    private func memoIndex(_ line: [UInt8]) throws -> Int {
        guard let index = Int(String(decoding: line, as: UTF8.self)), index >= 0 else { throw damaged() }
        return index
    }

    private mutating func memorize(_ index: Int) throws {
        memo[index] = try top()
        guard memo.count <= limits.memoCount else { throw limit("values in its memo", limits.memoCount) }
    }

    private mutating func recall(_ index: Int) throws {
        guard let value = memo[index] else { throw fault("the memo has no value \(index)") }
        stack.append(value)
    }

    // MARK: Nodes

    /// Adds a node and returns it as a value.
    mutating func made(_ kind: PickleNode.Kind, _ items: [PickleValue] = [], state: PickleValue = .null)
        throws
        -> PickleValue
    {
        try charge(4 + items.count)
        if case .bytes(let bytes) = kind { try charge(bytes.count / 16) }
        graph.nodes.append(PickleNode(kind: kind, items: items, state: state))
        return .node(graph.nodes.count - 1)
    }

    private mutating func push(_ kind: PickleNode.Kind, _ items: [PickleValue] = []) throws {
        stack.append(try made(kind, items))
    }

    private mutating func extend(_ items: [PickleValue], as expected: String) throws {
        guard case .node(let index) = try top() else { throw damaged() }
        switch graph.nodes[index].kind {
        case .list where expected == "list", .set where expected == "set",
            .dictionary where expected == "dictionary":
            break
        default: throw fault("something other than a \(expected) gets items")
        }
        try charge(items.count)
        graph.nodes[index].items += items
    }
}
