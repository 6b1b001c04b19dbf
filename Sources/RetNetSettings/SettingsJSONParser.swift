/// Reads JSON (RFC 8259) strictly, with positions: no repeated names, no lone surrogates, limited depth.
struct SettingsJSONParser {
    private let bytes: [UInt8]
    private var index = 0
    private var path = SettingsPath()
    private(set) var positions: [String: SettingsPosition] = [:]
    // Where the current line begins and how many came before it, advanced as tokens are read.
    private var line = 1
    // A place on the current line and its column, from which columns are counted on.
    private var mark = (index: 0, column: 1)

    init(_ text: String) {
        bytes = Array(text.utf8)
        // A byte order mark is not part of the text.
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            index = 3
            mark.index = 3
        }
    }

    mutating func parse() throws -> SettingsTree {
        let tree = try value(depth: 0)
        skipSpace()
        guard index == bytes.count else { throw refuse("there is something after the end of the JSON value") }
        return tree
    }

    // MARK: Values

    private mutating func value(depth: Int) throws -> SettingsTree {
        skipSpace()
        guard depth <= SettingsTree.maximumDepth else {
            throw refuse("lists and objects are nested more than \(SettingsTree.maximumDepth) deep")
        }
        positions[path.text] = advanceMark()
        switch peek {
        case nil: throw refuse("the JSON text ends where a value should be")
        case UInt8(ascii: "{")?: return try object(depth: depth)
        case UInt8(ascii: "[")?: return try array(depth: depth)
        case UInt8(ascii: "\"")?: return .string(try string())
        case let byte? where byte == UInt8(ascii: "-") || isDigit(byte): return try number()
        default: return try word()
        }
    }

    private mutating func object(depth: Int) throws -> SettingsTree {
        var object = SettingsObject()
        index += 1
        skipSpace()
        if consume("}") { return .object(object) }
        while true {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw refuse("a name in double quotes is missing") }
            let start = index
            let key = try string()
            guard object[key] == nil else {
                index = start
                throw refuse("the name '\(key)' is given twice in the same object")
            }
            skipSpace()
            guard consume(":") else { throw refuse("a colon is missing after the name '\(key)'") }
            path.append(.key(key))
            object[key] = try value(depth: depth + 1)
            path.removeLast()
            skipSpace()
            if consume("}") { return .object(object) }
            guard consume(",") else { throw refuse("a comma or '}' is missing") }
        }
    }

    private mutating func array(depth: Int) throws -> SettingsTree {
        var elements: [SettingsTree] = []
        index += 1
        skipSpace()
        if consume("]") { return .array(elements) }
        while true {
            path.append(.index(elements.count))
            elements.append(try value(depth: depth + 1))
            path.removeLast()
            skipSpace()
            if consume("]") { return .array(elements) }
            guard consume(",") else { throw refuse("a comma or ']' is missing") }
        }
    }

    private mutating func word() throws -> SettingsTree {
        for (text, tree) in [("null", SettingsTree.null), ("true", .bool(true)), ("false", .bool(false))]
        where bytes[index...].starts(with: Array(text.utf8)) {
            index += text.utf8.count
            return tree
        }
        throw refuse("this is not a JSON value; texts need double quotes, and NaN and Infinity do not exist")
    }

    private mutating func number() throws -> SettingsTree {
        let start = index
        var isInteger = true
        func refuseNumber() -> SettingsError { refuse("this is not a JSON number") }
        _ = consume("-")
        guard let first = peek, isDigit(first) else { throw refuseNumber() }
        let digits = skipDigits()
        guard first != UInt8(ascii: "0") || digits == 1 else { throw refuseNumber() }
        if consume(".") {
            isInteger = false
            guard skipDigits() > 0 else { throw refuseNumber() }
        }
        if consume("e") || consume("E") {
            isInteger = false
            if !consume("+") { _ = consume("-") }
            guard skipDigits() > 0 else { throw refuseNumber() }
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isInteger, let value = Int(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else {
            index = start
            throw refuse("the number \(text.prefix(40)) is outside the range of numbers")
        }
        return .double(value)
    }

    // MARK: Texts

    private mutating func string() throws -> String {
        index += 1
        var content: [UInt8] = []
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return String(decoding: content, as: UTF8.self)
            case UInt8(ascii: "\\"):
                index += 1
                content.append(contentsOf: try escape())
            case 0..<0x20:
                throw refuse("a text contains a control character; write it as an escape such as \\n")
            default:
                content.append(byte)
                index += 1
            }
        }
        throw refuse("a text does not end; its closing double quote is missing")
    }

    private mutating func escape() throws -> [UInt8] {
        guard let byte = peek else { throw refuse("a text does not end") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [8]
        case UInt8(ascii: "f"): return [12]
        case UInt8(ascii: "n"): return [10]
        case UInt8(ascii: "r"): return [13]
        case UInt8(ascii: "t"): return [9]
        case UInt8(ascii: "u"): return Array(String(try unicodeEscape()).utf8)
        default: throw refuse("a backslash must be followed by one of \" \\ / b f n r t u")
        }
    }

    private mutating func unicodeEscape() throws -> Character {
        var code = try hexadecimal()
        if (0xD800..<0xDC00).contains(code), consume("\\"), consume("u") {
            let low = try hexadecimal()
            if (0xDC00..<0xE000).contains(low) {
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            }
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw refuse("a \\u escape is half of a surrogate pair")
        }
        return Character(scalar)
    }

    private mutating func hexadecimal() throws -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80
            else {
                throw refuse("a \\u escape needs four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            index += 1
        }
        return code
    }

    // MARK: Bytes

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private mutating func consume(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    private mutating func skipDigits() -> Int {
        let start = index
        while let byte = peek, isDigit(byte) { index += 1 }
        return index - start
    }

    private mutating func skipSpace() {
        while let byte = peek, [0x20, 0x09, 0x0A, 0x0D].contains(byte) {
            index += 1
            if byte == 0x0A {
                line += 1
                mark = (index, 1)
            }
        }
    }

    /// The place of the next byte, counted on from the last place so that one long line stays cheap.
    private mutating func advanceMark() -> SettingsPosition {
        let end = max(mark.index, min(index, bytes.count))
        // Continuation bytes are not characters.
        mark.column += bytes[mark.index..<end].reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
        mark.index = end
        return SettingsPosition(line: line, column: mark.column)
    }

    private func refuse(_ reason: String) -> SettingsError {
        var copy = self
        return SettingsError([
            SettingsProblem(kind: .syntax, path: path.text, allowed: reason, position: copy.advanceMark())
        ])
    }
}
