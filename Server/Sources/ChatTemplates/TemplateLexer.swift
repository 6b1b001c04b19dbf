/// The parts of a template: text, and tags cut into tokens.
struct TemplateLexer {
    enum Token: Equatable {
        case name(String)
        case string(String)
        case int(Int)
        case double(Double)
        case symbol(String)
    }

    enum Part {
        case text(String)
        /// `{{ … }}`
        case output([Located])
        /// `{% … %}`
        case tag([Located])
    }

    struct Located {
        let token: Token
        let line: Int
    }

    private let bytes: [UInt8]
    private var offset = 0
    private var line = 1

    /// Cuts a template as Jinja2 does with `trim_blocks` and `lstrip_blocks`, which chat templates are written for.
    static func parts(of template: String) throws -> [Part] {
        var normalized = Array(PythonText.replace("\r\n", with: "\n", in: template).utf8)
        // One newline at the end is not part of a template.
        if normalized.last == 0x0A { normalized.removeLast() }
        var lexer = TemplateLexer(bytes: normalized)
        return try lexer.parts()
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func has(_ text: StaticString, at place: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        return bytes.count - place >= count
            && (0..<count).allSatisfy { bytes[place + $0] == text.utf8Start[$0] }
    }

    private mutating func parts() throws -> [Part] {
        var parts: [Part] = []
        var trimsStart = false
        var trimsNewline = false
        while offset < bytes.count {
            var start = offset
            while offset < bytes.count, !has("{{", at: offset), !has("{%", at: offset), !has("{#", at: offset)
            {
                if bytes[offset] == 0x0A { line += 1 }
                offset += 1
            }
            var end = offset
            if trimsStart {
                while start < end, Self.isSpace(bytes[start]) { start += 1 }
            } else if trimsNewline, start < end, bytes[start] == 0x0A {
                start += 1
            }
            let isEnd = offset >= bytes.count
            let isOutput = !isEnd && bytes[offset + 1] == UInt8(ascii: "{")
            if !isEnd {
                let mark = offset + 2 < bytes.count ? bytes[offset + 2] : 0
                if mark == UInt8(ascii: "-") {
                    while end > start, Self.isSpace(bytes[end - 1]) { end -= 1 }
                } else if !isOutput, mark != UInt8(ascii: "+") {
                    // Blanks before a tag that begins its line go.
                    var place = end
                    while place > start, bytes[place - 1] == 0x20 || bytes[place - 1] == 0x09 { place -= 1 }
                    let beginsLine = place > start ? bytes[place - 1] == 0x0A : isLineStart(place)
                    if beginsLine { end = place }
                }
            }
            if end > start { parts.append(.text(String(decoding: bytes[start..<end], as: UTF8.self))) }
            guard !isEnd else { break }
            (trimsStart, trimsNewline) = (false, false)
            if bytes[offset + 1] == UInt8(ascii: "#") {
                let mark = try skipComment()
                (trimsStart, trimsNewline) = (mark == UInt8(ascii: "-"), mark != UInt8(ascii: "+"))
                continue
            }
            offset += 2
            if offset < bytes.count, bytes[offset] == UInt8(ascii: "-") || bytes[offset] == UInt8(ascii: "+")
            {
                offset += 1
            }
            let (tokens, mark) = try tokens(closing: isOutput ? "}}" : "%}")
            parts.append(isOutput ? .output(tokens) : .tag(tokens))
            (trimsStart, trimsNewline) = (mark == UInt8(ascii: "-"), !isOutput && mark != UInt8(ascii: "+"))
        }
        return parts
    }

    /// True if a place is the start of a line of the template, not just of a text behind a tag.
    private func isLineStart(_ place: Int) -> Bool { place == 0 || bytes[place - 1] == 0x0A }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    private mutating func skipComment() throws -> UInt8 {
        let start = line
        offset += 2
        while offset < bytes.count, !has("#}", at: offset) {
            if bytes[offset] == 0x0A { line += 1 }
            offset += 1
        }
        guard offset < bytes.count else { throw TemplateError("a comment has no end", line: start) }
        let mark = bytes[offset - 1]
        offset += 2
        return mark
    }

    // MARK: Tokens

    private static let symbols = [
        "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "(", ")", "[", "]", "{",
        "}", ",",
        ":", ".", "|", "=",
    ].map { Array($0.utf8) }

    /// Reads tokens up to the end of a tag; returns them with the mark before the end, if there is one.
    private mutating func tokens(closing: StaticString) throws -> (tokens: [Located], mark: UInt8) {
        let first = line
        var tokens: [Located] = []
        var depth = 0
        while offset < bytes.count {
            let byte = bytes[offset]
            if byte == 0x0A { line += 1 }
            if Self.isSpace(byte) {
                offset += 1
                continue
            }
            if depth == 0 {
                if has(closing, at: offset) {
                    offset += 2
                    return (tokens, 0)
                }
                if byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+"), has(closing, at: offset + 1) {
                    offset += 3
                    return (tokens, byte)
                }
            }
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                tokens.append(Located(token: .string(try string()), line: line))
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                tokens.append(Located(token: try number(), line: line))
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "_"), 0x80...:
                let start = offset
                while offset < bytes.count, Self.isNamePart(bytes[offset]) { offset += 1 }
                tokens.append(
                    Located(token: .name(String(decoding: bytes[start..<offset], as: UTF8.self)), line: line))
            default:
                guard let symbol = Self.symbols.first(where: { bytes[offset...].starts(with: $0) }) else {
                    throw TemplateError(
                        "'\(Character(Unicode.Scalar(byte)))' has no meaning here", line: line)
                }
                if "([{".utf8.contains(byte) { depth += 1 }
                if ")]}".utf8.contains(byte) { depth -= 1 }
                tokens.append(Located(token: .symbol(String(decoding: symbol, as: UTF8.self)), line: line))
                offset += symbol.count
            }
        }
        throw TemplateError("a tag has no end", line: first)
    }

    private static func isNamePart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
            true
        default: false
        }
    }

    private mutating func number() throws -> Token {
        let start = offset
        var isInteger = true
        func isDigit(_ place: Int) -> Bool {
            place < bytes.count && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[place])
        }
        while isDigit(offset) || (offset < bytes.count && bytes[offset] == UInt8(ascii: "_")) { offset += 1 }
        if offset < bytes.count, bytes[offset] == UInt8(ascii: "."), isDigit(offset + 1) {
            isInteger = false
            offset += 1
            while isDigit(offset) { offset += 1 }
        }
        if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
            var place = offset + 1
            if place < bytes.count, bytes[place] == UInt8(ascii: "-") || bytes[place] == UInt8(ascii: "+") {
                place += 1
            }
            if isDigit(place) {
                isInteger = false
                offset = place
                while isDigit(offset) { offset += 1 }
            }
        }
        let text = String(decoding: bytes[start..<offset].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
        if isInteger, let value = Int(text) { return .int(value) }
        guard !isInteger, let value = Double(text) else {
            throw TemplateError("the number '\(text.prefix(40))' is too large", line: line)
        }
        return .double(value)
    }

    private mutating func string() throws -> String {
        let (quote, first) = (bytes[offset], line)
        offset += 1
        var text: [UInt8] = []
        while offset < bytes.count, bytes[offset] != quote {
            if bytes[offset] == 0x0A { line += 1 }
            guard bytes[offset] == UInt8(ascii: "\\"), offset + 1 < bytes.count else {
                text.append(bytes[offset])
                offset += 1
                continue
            }
            let escape = bytes[offset + 1]
            offset += 2
            switch escape {
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): text.append(escape)
            case 0x0A: line += 1
            case UInt8(ascii: "x"): text += try code(2)
            case UInt8(ascii: "u"): text += try code(4)
            case UInt8(ascii: "U"): text += try code(8)
            default: text += [UInt8(ascii: "\\"), escape]
            }
        }
        guard offset < bytes.count else { throw TemplateError("a text has no end", line: first) }
        offset += 1
        return String(decoding: text, as: UTF8.self)
    }

    private mutating func code(_ count: Int) throws -> [UInt8] {
        let digits = bytes[offset...].prefix(count)
        guard digits.count == count, let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16),
            let scalar = Unicode.Scalar(value)
        else {
            throw TemplateError("an escape is not \(count) hexadecimal digits of a character", line: line)
        }
        offset += count
        return Array(String(Character(scalar)).utf8)
    }
}
