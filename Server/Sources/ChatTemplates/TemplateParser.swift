/// A reader of templates.
struct TemplateParser {
    private let parts: [TemplateLexer.Part]
    private var index = 0
    var tokens: [TemplateLexer.Located] = []
    var place = 0
    var depth = 0
    var line = 1

    private static let depthLimit = 100

    static func statements(of template: String) throws -> [Statement] {
        var parser = TemplateParser(parts: try TemplateLexer.parts(of: template))
        let (body, end) = try parser.body(until: [])
        guard end == nil else { throw TemplateError("'\(end ?? "")' has no beginning", line: parser.line) }
        return body
    }

    private init(parts: [TemplateLexer.Part]) { self.parts = parts }

    // MARK: Tokens

    var token: TemplateLexer.Token? { place < tokens.count ? tokens[place].token : nil }

    func fault(_ message: String) -> TemplateError { TemplateError(message, line: line) }

    mutating func advance() {
        if place < tokens.count { line = tokens[place].line }
        place += 1
    }

    mutating func skip(_ symbol: String) -> Bool {
        guard token == .symbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func skip(name: String) -> Bool {
        guard token == .name(name) else { return false }
        advance()
        return true
    }

    mutating func expect(_ symbol: String) throws {
        guard skip(symbol) else { throw fault("'\(symbol)' is missing") }
    }

    mutating func name() throws -> String {
        guard case .name(let name)? = token else { throw fault("a name is missing") }
        advance()
        return name
    }

    mutating func enter() throws {
        depth += 1
        guard depth <= Self.depthLimit else {
            throw fault("parts are nested more than \(Self.depthLimit) deep")
        }
    }

    // MARK: Statements

    /// Reads statements up to one of the words, which is consumed with its tag open.
    private mutating func body(until ends: Set<String>) throws -> (body: [Statement], end: String?) {
        try enter()
        defer { depth -= 1 }
        var body: [Statement] = []
        while index < parts.count {
            let part = parts[index]
            index += 1
            switch part {
            case .text(let text): body.append(.text(text))
            case .output(let list):
                (tokens, place) = (list, 0)
                body.append(.output(try expressionOrTuple()))
                try endOfTag()
            case .tag(let list):
                (tokens, place) = (list, 0)
                line = list.first?.line ?? line
                let word = try name()
                if ends.contains(word) { return (body, word) }
                body.append(try statement(word))
            }
        }
        guard ends.isEmpty else { throw fault("'\(ends.sorted().joined(separator: "' or '"))' is missing") }
        return (body, nil)
    }

    private mutating func block(until end: String) throws -> [Statement] {
        let body = try body(until: [end]).body
        try endOfTag()
        return body
    }

    private func endOfTag() throws {
        guard place >= tokens.count else { throw fault("something follows the end of an expression") }
    }

    private mutating func statement(_ word: String) throws -> Statement {
        switch word {
        case "if": return try condition()
        case "for": return try loop()
        case "set": return try assignment()
        case "macro": return try macro()
        case "break", "continue":
            try endOfTag()
            return .leave(isBreak: word == "break", line: line)
        case "generation":
            try endOfTag()
            return .block(try block(until: "endgeneration"))
        case "filter":
            let filters = try filterChain(first: true)
            try endOfTag()
            return .filtered(filters, try block(until: "endfilter"))
        default: throw fault("the tag '\(word)' is not supported")
        }
    }

    private mutating func condition() throws -> Statement {
        var cases: [(Expression, [Statement])] = []
        var test = try expression()
        try endOfTag()
        while true {
            let (body, end) = try body(until: ["elif", "else", "endif"])
            cases.append((test, body))
            switch end {
            case "elif":
                test = try expression()
                try endOfTag()
            case "else":
                try endOfTag()
                return .condition(cases, otherwise: try block(until: "endif"))
            default:
                try endOfTag()
                return .condition(cases, otherwise: [])
            }
        }
    }

    private mutating func loop() throws -> Statement {
        let first = line
        var names = [try name()]
        while skip(",") { names.append(try name()) }
        guard skip(name: "in") else { throw fault("'in' is missing") }
        // A condition of items is not one of the list.
        let items = try disjunctionOrTuple()
        let test = skip(name: "if") ? try expression() : nil
        if token == .name("recursive") { throw fault("recursive loops are not supported") }
        try endOfTag()
        let (body, end) = try body(until: ["else", "endfor"])
        try endOfTag()
        let otherwise = end == "else" ? try block(until: "endfor") : []
        return .loop(
            .init(names: names, items: items, condition: test, body: body, otherwise: otherwise, line: first))
    }

    private mutating func target() throws -> Statement.Target {
        let first = try name()
        guard skip(".") else { return .name(first) }
        return .attribute(first, try name(), line: line)
    }

    private mutating func assignment() throws -> Statement {
        var targets = [try target()]
        while skip(",") { targets.append(try target()) }
        if skip("=") {
            let value = try expressionOrTuple()
            try endOfTag()
            return .set(targets, value)
        }
        let filters = try filterChain(first: false)
        try endOfTag()
        guard targets.count == 1 else { throw fault("'=' is missing") }
        return .setBlock(targets[0], filters, try block(until: "endset"))
    }

    private mutating func macro() throws -> Statement {
        let own = try name()
        try expect("(")
        var parameters: [(name: String, value: Expression?)] = []
        while !skip(")") {
            if !parameters.isEmpty { try expect(",") }
            let parameter = try name()
            parameters.append((parameter, skip("=") ? try expression() : nil))
        }
        try endOfTag()
        return .macro(.init(name: own, parameters: parameters, body: try block(until: "endmacro")))
    }

    private mutating func filterChain(first: Bool) throws -> [(String, Expression.Arguments, Int)] {
        var filters: [(String, Expression.Arguments, Int)] = []
        if first { filters.append((try name(), token == .symbol("(") ? try arguments() : .init(), line)) }
        while skip("|") {
            filters.append((try name(), token == .symbol("(") ? try arguments() : .init(), line))
        }
        return filters
    }
}
