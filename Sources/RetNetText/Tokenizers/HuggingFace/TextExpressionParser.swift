/// A set of scalars: single ones, ranges, general categories and properties, or all others.
struct ScalarSet: Sendable, Hashable {
    /// One part of a set.
    struct Part: Sendable, Hashable {
        var ranges: [ClosedRange<UInt32>] = []
        var categories: UInt32 = 0
        var hasWhitespace = false
        var hasWord = false
        /// True if the categories are those of Unicode 8.
        var isOld = false
        var isNegated = false

        func contains(_ value: UInt32) -> Bool {
            for range in ranges where range.contains(value) { return !isNegated }
            if categories | (hasWhitespace ? 1 : 0) | (hasWord ? 1 : 0) == 0 { return isNegated }
            if isOld { return ScalarTable.wasIn(categories, value) != isNegated }
            let facts = ScalarTable.facts(value)
            let isIn =
                categories >> UInt32(facts & ScalarTable.categoryBits) & 1 != 0
                || hasWhitespace && facts & ScalarTable.whitespaceBit != 0
                || hasWord && facts & ScalarTable.wordBit != 0
            return isIn != isNegated
        }
    }

    private var parts: [Part]
    private var isNegated: Bool
    /// The ASCII members.
    private var (low, high): (UInt64, UInt64) = (0, 0)

    init(_ parts: [Part], isNegated: Bool = false) {
        self.parts = parts
        self.isNegated = isNegated
        for value in UInt32(0)..<128 where slowlyContains(value) {
            if value < 64 { low |= 1 << UInt64(value) } else { high |= 1 << UInt64(value - 64) }
        }
    }

    init(_ scalar: Unicode.Scalar) { self.init([Part(ranges: [scalar.value...scalar.value])]) }

    static let whitespace = ScalarSet([Part(hasWhitespace: true)])
    static let word = ScalarSet([Part(hasWord: true)])
    static let number = ScalarSet([Part(categories: ScalarTable.mask("N"))])
    /// ASCII punctuation and the categories of punctuation.
    static let punctuation = ScalarSet([
        Part(
            ranges: [0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E], categories: ScalarTable.mask("P"),
            isOld: true)
    ])

    @inline(__always) func contains(_ value: UInt32) -> Bool {
        if value < 64 { return low >> UInt64(value) & 1 != 0 }
        if value < 128 { return high >> UInt64(value &- 64) & 1 != 0 }
        return slowlyContains(value)
    }

    private func slowlyContains(_ value: UInt32) -> Bool {
        for part in parts where part.contains(value) { return !isNegated }
        return isNegated
    }
}

/// A parser of the expressions that tokenizers' files use.
struct TextExpressionParser {
    private let scalars: [Unicode.Scalar]
    private var index = 0
    private var ignoresCase = false
    private var depth = 0

    init(_ source: String) { scalars = Array(source.unicodeScalars) }

    private func refusal(_ reason: String) -> TextExpression.Refusal {
        TextExpression.Refusal(reason: reason)
    }

    private var next: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

    private mutating func skip(_ text: String) -> Bool {
        let text = Array(text.unicodeScalars)
        guard scalars[index...].starts(with: text) else { return false }
        index += text.count
        return true
    }

    mutating func parse() throws -> TextExpression.Node {
        let node = try alternatives()
        guard index == scalars.count else { throw refusal("has a ')' too many") }
        return node
    }

    private mutating func alternatives() throws -> TextExpression.Node {
        // Bounded so that a file cannot exhaust the stack.
        guard depth < 32 else { throw refusal("has groups nested more than 32 deep") }
        depth += 1
        defer { depth -= 1 }
        var nodes = [try sequence()]
        while skip("|") { nodes.append(try sequence()) }
        return nodes.count == 1 ? nodes[0] : .alternatives(nodes)
    }

    private mutating func sequence() throws -> TextExpression.Node {
        var nodes: [TextExpression.Node] = []
        while let scalar = next, scalar != "|", scalar != ")" { nodes.append(try repeated(atom())) }
        return nodes.count == 1 ? nodes[0] : .sequence(nodes)
    }

    private mutating func repeated(_ atom: TextExpression.Node) throws -> TextExpression.Node {
        var node = atom
        while let scalar = next {
            var (least, most) = (0, Int.max)
            switch scalar {
            case "*": index += 1
            case "+":
                index += 1
                least = 1
            case "?":
                index += 1
                most = 1
            case "{":
                guard let bounds = bounds() else { return node }
                (least, most) = bounds
                guard least <= most else { throw refusal("has a repetition with its bounds exchanged") }
            default: return node
            }
            switch atom {
            case .look, .at: throw refusal("repeats a condition")
            default: break
            }
            var mode = TextExpression.Node.Mode.greedy
            if skip("?") { mode = .lazy } else if scalar != "{", skip("+") { mode = .possessive }
            node = .repeated(node, least: least, most: most, mode)
        }
        return node
    }

    /// Reads `{2}`, `{2,}`, `{,3}` or `{2,3}`; anything else is text.
    private mutating func bounds() -> (Int, Int)? {
        guard let end = scalars[index...].firstIndex(of: "}") else { return nil }
        let text = String(String.UnicodeScalarView(scalars[(index + 1)..<end]))
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= 2,
            parts.allSatisfy({ $0.isEmpty || Int($0) != nil && $0.allSatisfy(\.isNumber) }),
            parts.contains(where: { !$0.isEmpty })
        else { return nil }
        index = end + 1
        let least = Int(parts[0]) ?? 0
        return (least, parts.count == 1 ? least : Int(parts[1]) ?? .max)
    }

    private mutating func atom() throws -> TextExpression.Node {
        let scalar = scalars[index]
        switch scalar {
        case "(": return try group()
        case "[": return .set(try characterClass())
        case "^":
            index += 1
            return .at(.lineBeginning)
        case "$":
            index += 1
            return .at(.lineEnd)
        case ".":
            index += 1
            return .set(ScalarSet([.init(ranges: [0x0A...0x0A])], isNegated: true))
        case "*", "+", "?": throw refusal("has a repetition of nothing")
        case "\\":
            for (name, place) in [("A", TextExpression.Place.beginning), ("Z", .lastLineEnd), ("z", .end)] {
                if skip("\\" + name) { return .at(place) }
            }
            let part = try escape()
            return .set(ScalarSet([try cased(part)]))
        default:
            index += 1
            return .set(ScalarSet([try cased(.init(ranges: [scalar.value...scalar.value]))]))
        }
    }

    private mutating func group() throws -> TextExpression.Node {
        let outer = ignoresCase
        defer { ignoresCase = outer }
        let node: TextExpression.Node
        if skip("(?:") {
            node = try alternatives()
        } else if skip("(?i:") {
            ignoresCase = true
            node = try alternatives()
        } else if skip("(?!") {
            node = .look(try alternatives(), isNegative: true)
        } else if skip("(?=") {
            node = .look(try alternatives(), isNegative: false)
        } else if skip("(?>") {
            node = .atomic(try alternatives())
        } else if scalars[index...].starts(with: Array("(?".unicodeScalars)) {
            throw refusal("has a group '\(String(String.UnicodeScalarView(scalars[index...].prefix(4))))…'")
        } else {
            index += 1
            node = try alternatives()
        }
        guard skip(")") else { throw refusal("lacks a ')'") }
        return node
    }

    private mutating func characterClass() throws -> ScalarSet {
        index += 1
        let isNegated = skip("^")
        return ScalarSet(try members(), isNegated: isNegated)
    }

    /// Reads a class inside of a class.
    private mutating func innerClass() throws -> [ScalarSet.Part] {
        // Bounded so that a file cannot exhaust the stack.
        guard depth < 32 else { throw refusal("has groups nested more than 32 deep") }
        depth += 1
        defer { depth -= 1 }
        index += 1
        if next == "^" { throw refusal("has a class of all others inside of a class") }
        if next == ":" { throw refusal("has a class by a name in colons") }
        return try members()
    }

    /// Reads the members of a class up to its end.
    private mutating func members() throws -> [ScalarSet.Part] {
        var parts: [ScalarSet.Part] = []
        var isFirst = true
        while true {
            guard let scalar = next else { throw refusal("lacks a ']'") }
            if scalar == "]", !isFirst {
                index += 1
                return parts
            }
            isFirst = false
            if scalar == "[" {
                // The members of an inner class are members of the outer one.
                let inner = try innerClass()
                parts += inner
                continue
            }
            if skip("&&") { throw refusal("has an intersection of classes") }
            var part: ScalarSet.Part
            if scalar == "\\" {
                part = try escape()
            } else {
                index += 1
                part = .init(ranges: [scalar.value...scalar.value])
            }
            if next == "-", index + 1 < scalars.count, scalars[index + 1] != "]", let low = part.ranges.first,
                part.categories == 0, !part.hasWhitespace, !part.isNegated
            {
                index += 1
                let end: ScalarSet.Part
                if next == "\\" {
                    end = try escape()
                } else {
                    end = .init(ranges: [scalars[index].value...scalars[index].value])
                    index += 1
                }
                guard let high = end.ranges.first, end.categories == 0, low.lowerBound <= high.upperBound
                else {
                    throw refusal("has a range with its ends exchanged")
                }
                part = .init(ranges: [low.lowerBound...high.upperBound])
            }
            parts.append(try cased(part))
        }
    }

    /// Returns a part with the other case of its letters, where case is ignored.
    private func cased(_ part: ScalarSet.Part) throws -> ScalarSet.Part {
        guard ignoresCase else { return part }
        var result = part
        for range in part.ranges {
            guard range.upperBound < 128 else { throw refusal("ignores the case of letters beyond ASCII") }
            for value in range {
                let letter = value | 0x20
                guard (0x61...0x7A).contains(letter) else { continue }
                result.ranges += [letter...letter, (letter - 32)...(letter - 32)]
                // The long s and the Kelvin sign are cases of s and k.
                if letter == 0x73 { result.ranges.append(0x17F...0x17F) }
                if letter == 0x6B { result.ranges.append(0x212A...0x212A) }
            }
        }
        return result
    }

    private mutating func escape() throws -> ScalarSet.Part {
        index += 1
        guard let scalar = next else { throw refusal("ends in a backslash") }
        index += 1
        func single(_ value: UInt32) -> ScalarSet.Part { .init(ranges: [value...value]) }
        switch scalar {
        case "n": return single(0x0A)
        case "r": return single(0x0D)
        case "t": return single(0x09)
        case "f": return single(0x0C)
        case "v": return single(0x0B)
        case "s": return .init(hasWhitespace: true)
        case "S": return .init(hasWhitespace: true, isNegated: true)
        case "d": return .init(categories: ScalarTable.mask("Nd"))
        case "D": return .init(categories: ScalarTable.mask("Nd"), isNegated: true)
        case "w": return .init(hasWord: true)
        case "W": return .init(hasWord: true, isNegated: true)
        case "p", "P": return try property(isNegated: scalar == "P")
        case "u", "x":
            let isBraced = scalar == "x" && skip("{")
            let end =
                isBraced
                ? scalars[index...].firstIndex(of: "}") ?? scalars.count
                : min(index + (scalar == "u" ? 4 : 2), scalars.count)
            let digits = String(String.UnicodeScalarView(scalars[index..<end]))
            guard let value = UInt32(digits, radix: 16), Unicode.Scalar(value) != nil else {
                throw refusal("has an escape without a character's number")
            }
            index = min(isBraced ? end + 1 : end, scalars.count)
            return single(value)
        default:
            guard
                scalar.value >= 0x80
                    || !scalar.properties.isAlphabetic && !scalar.properties.numericType.isDigit
            else { throw refusal("has the escape '\\\(scalar)'") }
            return single(scalar.value)
        }
    }

    private mutating func property(isNegated: Bool) throws -> ScalarSet.Part {
        var name: String
        if skip("{") {
            guard let end = scalars[index...].firstIndex(of: "}") else { throw refusal("lacks a '}'") }
            name = String(String.UnicodeScalarView(scalars[index..<end]))
            index = end + 1
        } else {
            guard let scalar = next else { throw refusal("lacks the name of a category") }
            name = String(scalar)
            index += 1
        }
        var isNegated = isNegated
        if name.hasPrefix("^") {
            name.removeFirst()
            isNegated.toggle()
        }
        if name == "Han" || name == "IsHan" {
            throw refusal("names the script 'Han'; scripts are not known")
        }
        let mask = (1...2).contains(name.count) ? ScalarTable.mask(name) : 0
        guard mask != 0 else { throw refusal("names the class '\(name)', which is no general category") }
        return .init(categories: mask, isNegated: isNegated)
    }
}

extension Optional where Wrapped == Unicode.NumericType {
    fileprivate var isDigit: Bool { self != nil }
}
