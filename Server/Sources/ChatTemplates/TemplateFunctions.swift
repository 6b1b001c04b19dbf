import Foundation

/// The operators, items, functions and methods of templates.
enum TemplateFunctions {
    private static let lengthLimit = 1 << 24
    /// The bounds of ranges, as in Jinja2's sandbox.
    private static let rangeLimit = 100_000

    // MARK: Functions

    static let globals: [(String, TemplateValue)] = [
        ("range", function("range", range)),
        (
            "namespace",
            function("namespace") { arguments in
                let namespace = TemplateNamespace()
                namespace.values = try dictionary(arguments)
                return .namespace(namespace)
            }
        ),
        ("dict", function("dict") { .dict(try dictionary($0)) }),
        (
            "raise_exception",
            function("raise_exception") { arguments in
                throw TemplateError(
                    arguments.value(0, "message")?.text ?? "the template refuses", isRaised: true)
            }
        ),
        (
            "strftime_now",
            function("strftime_now") { arguments in
                .string(try time(arguments.value(0, "format")?.text ?? "%c", Date()))
            }
        ),
    ]

    private static func function(
        _ name: String, _ call: @escaping @Sendable (TemplateArguments) throws -> TemplateValue
    ) -> TemplateValue {
        .function(TemplateFunction(name: name, call: call))
    }

    private static func dictionary(_ arguments: TemplateArguments) throws -> TemplateDictionary {
        var result = TemplateDictionary()
        if let first = arguments.positional.first {
            guard case .dict(let values) = first else {
                throw TemplateError("a dictionary is made of one, or of names")
            }
            result = values
        }
        for pair in arguments.named.pairs { result[pair.key] = pair.value }
        return result
    }

    private static func range(_ arguments: TemplateArguments) throws -> TemplateValue {
        let bounds = try arguments.positional.map { value in
            guard let number = value.integer else { throw TemplateError("'range' takes whole numbers") }
            return number
        }
        guard (1...3).contains(bounds.count) else {
            throw TemplateError("'range' takes one to three numbers")
        }
        let (start, end) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
        let step = bounds.count == 3 ? bounds[2] : 1
        guard step != 0, (-rangeLimit...rangeLimit).contains(start),
            (-rangeLimit...rangeLimit).contains(end)
        else { throw TemplateError("the range has no step or is too long") }
        return .list(stride(from: start, to: end, by: step).map { .int($0) })
    }

    /// The names and letters of `strftime` that templates use, in English.
    static func time(_ format: String, _ date: Date) throws -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = .current
        let patterns: [Character: String] = [
            "Y": "yyyy", "y": "yy", "m": "MM", "d": "dd", "B": "MMMM", "b": "MMM", "h": "MMM", "A": "EEEE",
            "a": "EEE",
            "H": "HH", "I": "hh", "M": "mm", "S": "ss", "p": "a", "j": "DDD", "Z": "zzz", "z": "xxxx",
        ]
        var (result, characters) = ("", Array(format)[...])
        while let character = characters.popFirst() {
            guard character == "%" else {
                result.append(character)
                continue
            }
            var letter = characters.popFirst() ?? "%"
            let isShort = letter == "-"
            if isShort { letter = characters.popFirst() ?? "%" }
            if letter == "%" {
                result += "%"
                continue
            }
            guard let pattern = patterns[letter] else {
                throw TemplateError("'strftime_now' does not know '%\(letter)'")
            }
            formatter.dateFormat = pattern
            let text = formatter.string(from: date)
            result += isShort && text.count > 1 && text.hasPrefix("0") ? String(text.dropFirst()) : text
        }
        return result
    }

    /// The variable `loop`.
    static func loop(_ items: [TemplateValue], _ index: Int) -> TemplateDictionary {
        TemplateDictionary([
            ("index", .int(index + 1)), ("index0", .int(index)), ("revindex", .int(items.count - index)),
            ("revindex0", .int(items.count - index - 1)), ("first", .bool(index == 0)),
            ("last", .bool(index == items.count - 1)), ("length", .int(items.count)),
            ("previtem", index > 0 ? items[index - 1] : .undefined("previtem")),
            ("nextitem", index + 1 < items.count ? items[index + 1] : .undefined("nextitem")),
            (
                "cycle",
                function("cycle") { arguments in
                    guard !arguments.positional.isEmpty else { throw TemplateError("'cycle' needs values") }
                    return arguments.positional[index % arguments.positional.count]
                }
            ),
        ])
    }

    // MARK: Attributes and items

    static func attribute(_ name: String, of base: TemplateValue) throws -> TemplateValue {
        switch base {
        case .undefined(let own): throw TemplateError("'\(own)' is undefined, so that it has no '\(name)'")
        case .namespace(let namespace): return namespace.values[name] ?? .undefined(name)
        default:
            if let method = TemplateMethods.method(name, of: base) { return .function(method) }
            if case .dict(let values) = base { return values[name] ?? .undefined(name) }
            return .undefined(name)
        }
    }

    static func item(_ index: TemplateValue, of base: TemplateValue) throws -> TemplateValue {
        switch (base, index) {
        case (.undefined(let name), _): throw TemplateError("'\(name)' is undefined, so that it has no items")
        case (.dict(let values), .string(let key)):
            return try values[key] ?? attribute(key, of: base)
        case (.list(let values), _):
            guard let place = index.integer else { return .undefined(index.text) }
            let index = place < 0 ? place &+ values.count : place
            return values.indices.contains(index) ? values[index] : .undefined("\(place)")
        case (.string(let text), _):
            guard let place = index.integer else { return try attribute(index.text, of: base) }
            let scalars = Array(text.unicodeScalars)
            let index = place < 0 ? place &+ scalars.count : place
            return scalars.indices.contains(index) ? .string(String(scalars[index])) : .undefined("\(place)")
        case (_, .string(let name)): return try attribute(name, of: base)
        default: return .undefined(index.text)
        }
    }

    static func slice(_ base: TemplateValue, _ bounds: [TemplateValue?]) throws -> TemplateValue {
        let numbers = try bounds.map { bound -> Int? in
            guard let bound, bound.typeName != "None" else { return nil }
            guard let number = bound.integer else {
                throw TemplateError("the bounds of a slice must be whole numbers")
            }
            return number
        }
        let step = numbers[2] ?? 1
        guard step != 0, step > Int.min else { throw TemplateError("the step of a slice is 0") }
        func places(_ count: Int) -> [Int] {
            func place(_ number: Int) -> Int { number < 0 ? (number < -count ? -1 : number + count) : number }
            if step > 0 {
                let start = min(max(numbers[0].map(place) ?? 0, 0), count)
                let end = min(max(numbers[1].map { $0 < -count ? 0 : place($0) } ?? count, 0), count)
                return Array(stride(from: start, to: end, by: step))
            }
            let start = min(numbers[0].map(place) ?? count - 1, count - 1)
            let end = max(numbers[1].map(place) ?? -1, -1)
            return Array(stride(from: start, to: end, by: step))
        }
        switch base {
        case .list(let values): return .list(places(values.count).map { values[$0] })
        case .string(let text):
            let scalars = Array(text.unicodeScalars)
            return .string(PythonText.string(places(scalars.count).map { scalars[$0] }))
        default: throw TemplateError("a '\(base.typeName)' has no slices")
        }
    }

    // MARK: Operators

    static func unary(_ symbol: String, _ value: TemplateValue) throws -> TemplateValue {
        if symbol == "not" { return .bool(!value.isTrue) }
        if let number = value.integer {
            let (result, overflows) =
                symbol == "-" ? (0).subtractingReportingOverflow(number) : (number, false)
            guard !overflows else { throw TemplateError("a number is too large") }
            return .int(result)
        }
        guard let number = value.number else {
            throw TemplateError("'\(symbol)' needs a number, not a '\(value.typeName)'")
        }
        return .double(symbol == "-" ? -number : number)
    }

    static func compare(_ symbol: String, _ left: TemplateValue, _ right: TemplateValue) throws -> Bool {
        switch symbol {
        case "==": left.isEqual(right)
        case "!=": !left.isEqual(right)
        case "<": try left.isLess(right)
        case ">": try right.isLess(left)
        case "<=": try left.isLess(right) || left.isEqual(right)
        case ">=": try right.isLess(left) || left.isEqual(right)
        case "in": try right.contains(left)
        default: try !right.contains(left)
        }
    }

    static func binary(_ symbol: String, _ left: TemplateValue, _ right: TemplateValue) throws
        -> TemplateValue
    {
        if symbol == "~" { return .string(left.text + right.text) }
        switch (symbol, left, right) {
        case ("+", .string(let a), .string(let b)): return .string(a + b)
        case ("+", .list(let a), .list(let b)): return .list(a + b)
        case ("*", .string(let text), _), ("*", _, .string(let text)):
            guard let count = left.integer ?? right.integer else { break }
            guard text.utf8.count.multipliedReportingOverflow(by: max(0, count)).partialValue <= lengthLimit,
                max(0, count) <= lengthLimit
            else { throw TemplateError("a text is too long") }
            return .string(String(repeating: text, count: max(0, count)))
        default: break
        }
        if let a = left.integer, let b = right.integer, symbol != "/" { return try integers(symbol, a, b) }
        guard let a = left.number, let b = right.number else {
            let names = [left, right].map {
                if case .undefined(let name) = $0 { "undefined '\(name)'" } else { "'\($0.typeName)'" }
            }
            throw TemplateError("'\(symbol)' does not take \(names[0]) and \(names[1])")
        }
        if b == 0, ["/", "//", "%"].contains(symbol) { throw TemplateError("a division by 0") }
        switch symbol {
        case "+": return .double(a + b)
        case "-": return .double(a - b)
        case "*": return .double(a * b)
        case "/": return .double(a / b)
        case "//": return .double((a / b).rounded(.down))
        case "%": return .double(a - b * (a / b).rounded(.down))
        default: return .double(pow(a, b))
        }
    }

    private static func integers(_ symbol: String, _ a: Int, _ b: Int) throws -> TemplateValue {
        if b == 0, symbol == "//" || symbol == "%" { throw TemplateError("a division by 0") }
        var (value, overflows) = (0, false)
        switch symbol {
        case "+": (value, overflows) = a.addingReportingOverflow(b)
        case "-": (value, overflows) = a.subtractingReportingOverflow(b)
        case "*": (value, overflows) = a.multipliedReportingOverflow(by: b)
        case "//", "%":
            // Python rounds down, and a remainder has the sign of the divisor.
            let (quotient, isTooLarge) = a.dividedReportingOverflow(by: b)
            let remainder = isTooLarge ? 0 : a % b
            let isLower = remainder != 0 && (remainder < 0) != (b < 0)
            (value, overflows) = (
                symbol == "//" ? quotient - (isLower ? 1 : 0) : remainder + (isLower ? b : 0), isTooLarge
            )
        default:
            if b < 0 { return .double(pow(Double(a), Double(b))) }
            value = 1
            for _ in 0..<min(b, 64) where !overflows {
                (value, overflows) = value.multipliedReportingOverflow(by: a)
            }
            if b > 64, !(-1...1).contains(a) { overflows = true }
            if b > 64, a == -1, b % 2 != 0 { value = -1 }
        }
        guard !overflows else { throw TemplateError("a number is too large") }
        return .int(value)
    }
}
