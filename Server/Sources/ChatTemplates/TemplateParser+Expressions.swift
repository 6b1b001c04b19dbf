extension TemplateParser {
    // MARK: Expressions

    mutating func expressionOrTuple() throws -> Expression {
        let first = try expression()
        guard token == .symbol(",") else { return first }
        var values = [first]
        while skip(","), token != nil { values.append(try expression()) }
        return .list(values)
    }

    mutating func disjunctionOrTuple() throws -> Expression {
        let first = try disjunction()
        guard token == .symbol(",") else { return first }
        var values = [first]
        while skip(",") { values.append(try disjunction()) }
        return .list(values)
    }

    mutating func expression() throws -> Expression {
        try enter()
        defer { depth -= 1 }
        var value = try disjunction()
        while skip(name: "if") {
            let test = try disjunction()
            value = .conditional(test, then: value, otherwise: skip(name: "else") ? try expression() : nil)
        }
        return value
    }

    private mutating func disjunction() throws -> Expression {
        var left = try conjunction()
        while skip(name: "or") { left = .binary("or", left, try conjunction(), line: line) }
        return left
    }

    private mutating func conjunction() throws -> Expression {
        var left = try negation()
        while skip(name: "and") { left = .binary("and", left, try negation(), line: line) }
        return left
    }

    private mutating func negation() throws -> Expression {
        try enter()
        defer { depth -= 1 }
        return skip(name: "not") ? .unary("not", try negation(), line: line) : try comparison()
    }

    private mutating func comparison() throws -> Expression {
        let first = try sum()
        var rest: [(String, Expression)] = []
        while true {
            if case .symbol(let symbol)? = token, ["==", "!=", "<", ">", "<=", ">="].contains(symbol) {
                advance()
                rest.append((symbol, try sum()))
            } else if skip(name: "in") {
                rest.append(("in", try sum()))
            } else if token == .name("not"), place + 1 < tokens.count, tokens[place + 1].token == .name("in")
            {
                advance()
                advance()
                rest.append(("not in", try sum()))
            } else {
                return rest.isEmpty ? first : .comparison(first, rest, line: line)
            }
        }
    }

    private mutating func operators(
        _ symbols: Set<String>, _ operand: (inout Self) throws -> Expression
    ) throws -> Expression {
        var left = try operand(&self)
        while case .symbol(let symbol)? = token, symbols.contains(symbol) {
            advance()
            left = .binary(symbol, left, try operand(&self), line: line)
        }
        return left
    }

    private mutating func sum() throws -> Expression { try operators(["+", "-"]) { try $0.concatenation() } }
    private mutating func concatenation() throws -> Expression { try operators(["~"]) { try $0.product() } }
    private mutating func product() throws -> Expression {
        try operators(["*", "/", "//", "%"]) { try $0.power() }
    }
    private mutating func power() throws -> Expression {
        try operators(["**"]) { try $0.unary(filters: true) }
    }

    private mutating func unary(filters: Bool) throws -> Expression {
        try enter()
        defer { depth -= 1 }
        var value: Expression
        if case .symbol(let symbol)? = token, symbol == "-" || symbol == "+" {
            advance()
            value = .unary(symbol, try unary(filters: false), line: line)
        } else {
            value = try primary()
        }
        value = try postfix(value)
        return filters ? try filtersAndTests(value) : value
    }

    private mutating func primary() throws -> Expression {
        guard let token else { throw fault("an expression is missing") }
        advance()
        switch token {
        case .int(let value): return .literal(.int(value))
        case .double(let value): return .literal(.double(value))
        case .string(var text):
            while case .string(let more)? = self.token {
                text += more
                advance()
            }
            return .literal(.string(text))
        case .name(let name):
            switch name {
            case "true", "True": return .literal(.bool(true))
            case "false", "False": return .literal(.bool(false))
            case "none", "None": return .literal(.none)
            default: return .name(name, line: line)
            }
        case .symbol("("):
            if skip(")") { return .list([]) }
            let value = try expressionOrTuple()
            try expect(")")
            return value
        case .symbol("["):
            var values: [Expression] = []
            while !skip("]") {
                if !values.isEmpty { try expect(",") }
                if skip("]") { break }
                values.append(try expression())
            }
            return .list(values)
        case .symbol("{"):
            var pairs: [(Expression, Expression)] = []
            while !skip("}") {
                if !pairs.isEmpty { try expect(",") }
                if skip("}") { break }
                let key = try expression()
                try expect(":")
                pairs.append((key, try expression()))
            }
            return .dict(pairs)
        case .symbol(let symbol): throw fault("'\(symbol)' has no meaning here")
        }
    }

    private mutating func postfix(_ start: Expression) throws -> Expression {
        var value = start
        while true {
            if skip(".") {
                if case .int(let index)? = token {
                    advance()
                    value = .item(value, .literal(.int(index)), line: line)
                } else {
                    value = .attribute(value, try name(), line: line)
                }
            } else if skip("[") {
                value = try subscriptOf(value)
            } else if token == .symbol("(") {
                value = .call(value, try arguments(), line: line)
            } else {
                return value
            }
        }
    }

    private mutating func subscriptOf(_ value: Expression) throws -> Expression {
        var bounds: [Expression?] = [nil]
        while !skip("]") {
            if skip(":") {
                bounds.append(nil)
                guard bounds.count <= 3 else { throw fault("a slice has more than three bounds") }
            } else {
                bounds[bounds.count - 1] = try expressionOrTuple()
            }
        }
        if bounds.count == 1 {
            guard let index = bounds[0] else { throw fault("an index is missing") }
            return .item(value, index, line: line)
        }
        return .slice(value, bounds[0], bounds[1], bounds.count > 2 ? bounds[2] : nil, line: line)
    }

    mutating func arguments() throws -> Expression.Arguments {
        try expect("(")
        var result = Expression.Arguments()
        while !skip(")") {
            if !result.positional.isEmpty || !result.named.isEmpty { try expect(",") }
            if skip(")") { break }
            if case .name(let name)? = token, place + 1 < tokens.count,
                tokens[place + 1].token == .symbol("=")
            {
                advance()
                advance()
                result.named.append((name, try expression()))
            } else {
                guard token != .symbol("*"), token != .symbol("**") else {
                    throw fault("arguments from a list are not supported")
                }
                result.positional.append(try expression())
            }
        }
        return result
    }

    private mutating func filtersAndTests(_ start: Expression) throws -> Expression {
        var value = start
        while true {
            if skip("|") {
                let filter = try name()
                value = .filter(value, filter, token == .symbol("(") ? try arguments() : .init(), line: line)
            } else if skip(name: "is") {
                value = try test(value)
            } else if token == .symbol("(") {
                value = .call(value, try arguments(), line: line)
            } else {
                return value
            }
        }
    }

    private mutating func test(_ value: Expression) throws -> Expression {
        let isNegated = skip(name: "not")
        let name = try name()
        var given = Expression.Arguments()
        switch token {
        case .symbol("("): given = try arguments()
        case .name(let word) where !["else", "or", "and", "is", "if", "in", "not"].contains(word):
            _ = word
            given.positional = [try postfix(try primary())]
        case .string, .int, .double,
            .symbol("["), .symbol("{"):
            given.positional = [try postfix(try primary())]
        default: break
        }
        return .test(value, name, given, isNegated: isNegated, line: line)
    }
}
