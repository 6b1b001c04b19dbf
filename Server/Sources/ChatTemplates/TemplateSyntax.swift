/// An expression of a template.
indirect enum Expression: Sendable {
    case literal(TemplateValue)
    case name(String, line: Int)
    case list([Expression])
    case dict([(Expression, Expression)])
    case attribute(Expression, String, line: Int)
    case item(Expression, Expression, line: Int)
    case slice(Expression, Expression?, Expression?, Expression?, line: Int)
    case call(Expression, Arguments, line: Int)
    case filter(Expression, String, Arguments, line: Int)
    case test(Expression, String, Arguments, isNegated: Bool, line: Int)
    case unary(String, Expression, line: Int)
    case binary(String, Expression, Expression, line: Int)
    /// `a < b <= c`
    case comparison(Expression, [(String, Expression)], line: Int)
    case conditional(Expression, then: Expression, otherwise: Expression?)

    struct Arguments: Sendable {
        var positional: [Expression] = []
        var named: [(String, Expression)] = []
    }
}

/// A statement of a template.
indirect enum Statement: Sendable {
    case text(String)
    case output(Expression)
    case set([Target], Expression)
    case setBlock(Target, [(String, Expression.Arguments, Int)], [Statement])
    case condition([(Expression, [Statement])], otherwise: [Statement])
    case loop(Loop)
    case macro(Macro)
    case leave(isBreak: Bool, line: Int)
    /// `{% filter … %}`
    case filtered([(String, Expression.Arguments, Int)], [Statement])
    /// `{% generation %}`, which only training looks at.
    case block([Statement])

    enum Target: Sendable {
        case name(String)
        case attribute(String, String, line: Int)
    }

    struct Loop: Sendable {
        let names: [String]
        let items: Expression
        let condition: Expression?
        let body: [Statement]
        let otherwise: [Statement]
        let line: Int
    }

    struct Macro: Sendable {
        let name: String
        let parameters: [(name: String, value: Expression?)]
        let body: [Statement]
    }
}
