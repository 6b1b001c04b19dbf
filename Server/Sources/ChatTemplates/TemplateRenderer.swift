import Foundation

/// A scope of names.
final class TemplateScope {
    private var values: [String: TemplateValue] = [:]
    private let parent: TemplateScope?
    let depth: Int

    init(_ parent: TemplateScope? = nil) {
        self.parent = parent
        depth = (parent?.depth ?? 0) + 1
    }

    func clear() { values = [:] }

    subscript(name: String) -> TemplateValue? {
        get { values[name] ?? parent?[name] }
        set { values[name] = newValue }
    }
}

/// Renders the statements of a template.
final class TemplateRenderer: @unchecked Sendable {
    // Sendable: used by one thread; functions of templates hold it.
    private var output: [String] = [""]
    private var stepCount = 0
    private var byteCount = 0
    private var callDepth = 0
    /// Scopes whose macros hold them; emptied at the end, or they would stay.
    private var macroScopes: [TemplateScope] = []

    /// Bounds of what a template may do: far beyond any real one, and soon over for one without an end.
    private static let stepLimit = 500_000
    private static let byteLimit = 64 << 20
    private static let callLimit = 50

    private enum Flow {
        case next
        case leave(isBreak: Bool)
    }

    /// Returns the text of a template with some names.
    static func render(_ body: [Statement], _ names: TemplateDictionary) throws -> String {
        let renderer = TemplateRenderer()
        defer { for scope in renderer.macroScopes { scope.clear() } }
        let globals = TemplateScope()
        for (name, value) in TemplateFunctions.globals { globals[name] = value }
        let scope = TemplateScope(globals)
        for pair in names.pairs { scope[pair.key] = pair.value }
        _ = try renderer.run(body, TemplateScope(scope))
        return renderer.output[0]
    }

    private func step(_ line: Int? = nil) throws {
        stepCount += 1
        guard stepCount <= Self.stepLimit else { throw TemplateError("it takes too many steps", line: line) }
    }

    private func write(_ text: String) throws {
        byteCount += text.utf8.count
        guard byteCount <= Self.byteLimit else { throw TemplateError("its text is too long") }
        output[output.count - 1] += text
    }

    /// Returns what a body writes.
    private func captured(_ body: () throws -> Void) throws -> String {
        output.append("")
        do {
            try body()
        } catch {
            output.removeLast()
            throw error
        }
        return output.removeLast()
    }

    // MARK: Statements

    private func run(_ body: [Statement], _ scope: TemplateScope) throws -> Flow {
        for statement in body {
            let flow = try run(statement, scope)
            if case .leave = flow { return flow }
        }
        return .next
    }

    private func run(_ statement: Statement, _ scope: TemplateScope) throws -> Flow {
        try step()
        switch statement {
        case .text(let text): try write(text)
        case .output(let expression): try write(try value(expression, scope).text)
        case .set(let targets, let expression): try assign(try value(expression, scope), to: targets, scope)
        case .setBlock(let target, let filters, let body):
            let text = try captured { _ = try run(body, TemplateScope(scope)) }
            try assign(try filtered(.string(text), filters, scope), to: [target], scope)
        case .condition(let cases, let otherwise):
            for (test, body) in cases where try value(test, scope).isTrue { return try run(body, scope) }
            return try run(otherwise, scope)
        case .loop(let loop): try run(loop, scope)
        case .macro(let macro):
            macroScopes.append(scope)
            scope[macro.name] = .function(function(macro, scope))
        case .leave(let isBreak, _): return .leave(isBreak: isBreak)
        case .filtered(let filters, let body):
            let text = try captured { _ = try run(body, TemplateScope(scope)) }
            try write(try filtered(.string(text), filters, scope).text)
        case .block(let body): return try run(body, TemplateScope(scope))
        }
        return .next
    }

    private func assign(_ value: TemplateValue, to targets: [Statement.Target], _ scope: TemplateScope) throws
    {
        var values = [value]
        if targets.count > 1 {
            values = try value.items()
            guard values.count == targets.count else {
                throw TemplateError("\(values.count) values are set to \(targets.count) names")
            }
        }
        for (target, value) in zip(targets, values) {
            switch target {
            case .name(let name): scope[name] = value
            case .attribute(let name, let attribute, let line):
                guard case .namespace(let namespace)? = scope[name] else {
                    throw TemplateError(
                        "'\(name)' is no namespace, so that its attributes cannot be set", line: line)
                }
                namespace.values[attribute] = value
            }
        }
    }

    private func run(_ loop: Statement.Loop, _ scope: TemplateScope) throws {
        var items: [TemplateValue]
        do {
            items = try value(loop.items, scope).items()
        } catch let error as TemplateError {
            throw error.line == nil ? TemplateError(error.message, line: loop.line) : error
        }
        func bind(_ item: TemplateValue, _ inner: TemplateScope) throws {
            guard loop.names.count > 1 else {
                inner[loop.names[0]] = item
                return
            }
            let values = try item.items()
            guard values.count == loop.names.count else {
                throw TemplateError(
                    "\(values.count) values are set to \(loop.names.count) names", line: loop.line)
            }
            for (name, value) in zip(loop.names, values) { inner[name] = value }
        }
        if let condition = loop.condition {
            items = try items.filter { item in
                try step(loop.line)
                let inner = TemplateScope(scope)
                try bind(item, inner)
                return try value(condition, inner).isTrue
            }
        }
        if items.isEmpty { _ = try run(loop.otherwise, TemplateScope(scope)) }
        for (index, item) in items.enumerated() {
            try step(loop.line)
            let inner = TemplateScope(scope)
            inner["loop"] = .dict(TemplateFunctions.loop(items, index))
            try bind(item, inner)
            if case .leave(isBreak: true) = try run(loop.body, inner) { break }
        }
    }

    private func function(_ macro: Statement.Macro, _ scope: TemplateScope) -> TemplateFunction {
        let home = UncheckedScope(scope)
        return TemplateFunction(name: macro.name) { [unowned self] arguments in
            callDepth += 1
            defer { callDepth -= 1 }
            guard callDepth <= Self.callLimit else {
                throw TemplateError("macros call each other without an end")
            }
            let inner = TemplateScope(home.scope)
            guard arguments.positional.count <= macro.parameters.count else {
                throw TemplateError("the macro '\(macro.name)' takes \(macro.parameters.count) arguments")
            }
            for (index, parameter) in macro.parameters.enumerated() {
                let given = arguments.value(index, parameter.name)
                inner[parameter.name] =
                    try given ?? parameter.value.map { try value($0, inner) } ?? .undefined(parameter.name)
            }
            return .string(try captured { _ = try run(macro.body, inner) })
        }
    }

    private struct UncheckedScope: @unchecked Sendable {
        // Sendable: used by the one thread that renders.
        let scope: TemplateScope
        init(_ scope: TemplateScope) { self.scope = scope }
    }

    // MARK: Expressions

    private func filtered(
        _ value: TemplateValue, _ filters: [(String, Expression.Arguments, Int)], _ scope: TemplateScope
    ) throws -> TemplateValue {
        try filters.reduce(value) { value, filter in
            try located(filter.2) {
                try TemplateFunctions.filter(filter.0, value, try arguments(filter.1, scope))
            }
        }
    }

    private func located<R>(_ line: Int, _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as TemplateError where error.line == nil && !error.isRaised {
            throw TemplateError(error.message, line: line)
        }
    }

    private func arguments(_ list: Expression.Arguments, _ scope: TemplateScope) throws -> TemplateArguments {
        var result = TemplateArguments()
        result.positional = try list.positional.map { try value($0, scope) }
        for (name, expression) in list.named { result.named[name] = try value(expression, scope) }
        return result
    }

    private func value(_ expression: Expression, _ scope: TemplateScope) throws -> TemplateValue {
        try step()
        switch expression {
        case .literal(let value): return value
        case .name(let name, _): return scope[name] ?? .undefined(name)
        case .list(let values): return .list(try values.map { try value($0, scope) })
        case .dict(let pairs):
            return .dict(
                TemplateDictionary(
                    try pairs.map { key, item in
                        guard case .string(let text) = try value(key, scope) else {
                            throw TemplateError("keys of dictionaries must be texts")
                        }
                        return (text, try value(item, scope))
                    }))
        case .attribute(let base, let name, let line):
            let base = try value(base, scope)
            return try located(line) { try TemplateFunctions.attribute(name, of: base) }
        case .item(let base, let index, let line):
            let (base, index) = (try value(base, scope), try value(index, scope))
            return try located(line) { try TemplateFunctions.item(index, of: base) }
        case .slice(let base, let start, let end, let stride, let line):
            let base = try value(base, scope)
            let bounds = try [start, end, stride].map { try $0.map { try value($0, scope) } }
            return try located(line) { try TemplateFunctions.slice(base, bounds) }
        case .call(let target, let list, let line):
            let target = try value(target, scope)
            let given = try arguments(list, scope)
            return try located(line) {
                if case .function(let function) = target { return try function.call(given) }
                if case .undefined(let name) = target { throw TemplateError("'\(name)' is not defined") }
                throw TemplateError("a '\(target.typeName)' cannot be called")
            }
        case .filter(let base, let name, let list, let line):
            let base = try value(base, scope)
            let given = try arguments(list, scope)
            return try located(line) { try TemplateFunctions.filter(name, base, given) }
        case .test(let base, let name, let list, let isNegated, let line):
            let base = try value(base, scope)
            let given = try arguments(list, scope)
            return .bool(try located(line) { try TemplateFunctions.test(name, base, given) } != isNegated)
        case .unary(let symbol, let operand, let line):
            let operand = try value(operand, scope)
            return try located(line) { try TemplateFunctions.unary(symbol, operand) }
        case .binary("and", let left, let right, _):
            let left = try value(left, scope)
            return left.isTrue ? try value(right, scope) : left
        case .binary("or", let left, let right, _):
            let left = try value(left, scope)
            return left.isTrue ? left : try value(right, scope)
        case .binary(let symbol, let left, let right, let line):
            let (left, right) = (try value(left, scope), try value(right, scope))
            return try located(line) { try TemplateFunctions.binary(symbol, left, right) }
        case .comparison(let first, let rest, let line):
            var left = try value(first, scope)
            for (symbol, next) in rest {
                let right = try value(next, scope)
                guard try located(line, { try TemplateFunctions.compare(symbol, left, right) }) else {
                    return .bool(false)
                }
                left = right
            }
            return .bool(true)
        case .conditional(let test, let then, let otherwise):
            if try value(test, scope).isTrue { return try value(then, scope) }
            return try otherwise.map { try value($0, scope) } ?? .undefined("")
        }
    }
}

/// A chat template: it makes one text of the messages of a conversation.
///
/// The language is the part of Jinja2 that chat templates use, with `trim_blocks` and `lstrip_blocks`, and the functions that
/// Hugging Face Transformers adds: `raise_exception`, `strftime_now` and its own `tojson`.
public struct ChatTemplate: Sendable {
    private let body: [Statement]

    /// Reads a template; throws ``TemplateError``.
    public init(_ text: String) throws { body = try TemplateParser.statements(of: text) }

    /// Returns the text for some names, such as `messages`, `add_generation_prompt` and `bos_token`.
    ///
    /// Throws ``TemplateError``, also for what the template itself refuses.
    public func render(_ names: TemplateDictionary) throws -> String {
        try TemplateRenderer.render(body, names)
    }
}
