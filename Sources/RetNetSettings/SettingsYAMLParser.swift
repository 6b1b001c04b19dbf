import Foundation
import RetNetStorage
import Yams

/// A converter of Yams' nodes to trees with positions; refuses repeated names and limits depth and size.
struct SettingsYAMLParser {
    /// Largest number of nodes: repeated aliases can expand a short text to an enormous tree.
    private static let maximumNodeCount = 100_000

    private var path = SettingsPath()
    private var nodeCount = 0
    private(set) var positions: [ExactString: SettingsPosition] = [:]

    /// Reads one document; an empty document is ``SettingsTree/null``.
    static func parse(_ text: String) throws -> (
        tree: SettingsTree, positions: [ExactString: SettingsPosition]
    ) {
        // The parser recurses up to a thousand levels, too deep for the stacks of some threads.
        try LargeStack.run {
            let root: Node?
            do {
                root = try Parser(yaml: text, resolver: .basic, encoding: .utf8).singleRoot()
            } catch let error as YamlError {
                throw SettingsError([problem(of: error)])
            }
            guard let root else { return (.null, [:]) }
            var parser = SettingsYAMLParser()
            return (try parser.tree(of: root, depth: 0), parser.positions)
        }
    }

    private mutating func tree(of node: Node, depth: Int) throws -> SettingsTree {
        nodeCount += 1
        guard nodeCount <= Self.maximumNodeCount else { throw refuse("the aliases make it too large", node) }
        guard depth <= SettingsTree.maximumDepth else {
            throw refuse("lists and objects are nested more than \(SettingsTree.maximumDepth) deep", node)
        }
        if let mark = node.mark {
            positions[ExactString(path.text)] = SettingsPosition(line: mark.line, column: mark.column)
        }
        switch node {
        case .scalar(let scalar): return try value(of: scalar, node)
        case .sequence(let sequence):
            var elements: [SettingsTree] = []
            for (index, element) in sequence.enumerated() {
                path.append(.index(index))
                elements.append(try tree(of: element, depth: depth + 1))
                path.removeLast()
            }
            return .array(elements)
        case .mapping(let mapping): return .object(try object(of: mapping, depth: depth))
        case .alias: throw refuse("an alias is not resolved", node)
        }
    }

    private mutating func object(of mapping: Node.Mapping, depth: Int) throws -> SettingsObject {
        var object = SettingsObject()
        for (keyNode, valueNode) in mapping {
            guard case .scalar(let key) = keyNode else { throw refuse("a name must be a text", keyNode) }
            guard key.string != "<<" else { throw refuse("merge keys (<<) are not supported", keyNode) }
            guard object[key.string] == nil else {
                throw refuse("the name '\(key.string)' is given twice in the same object", keyNode)
            }
            path.append(.key(key.string))
            object[key.string] = try tree(of: valueNode, depth: depth + 1)
            // The position of the name, because the value may be on the next line.
            if let mark = keyNode.mark {
                positions[ExactString(path.text)] = SettingsPosition(line: mark.line, column: mark.column)
            }
            path.removeLast()
        }
        return object
    }

    private func value(of scalar: Node.Scalar, _ node: Node) throws -> SettingsTree {
        switch (scalar.tag.description, scalar.style) {
        case ("tag:yaml.org,2002:str", _), ("", .singleQuoted), ("", .doubleQuoted), ("", .literal),
            ("", .folded):
            return .string(scalar.string)
        case ("", _):
            guard let value = YAMLScalar.resolve(scalar.string) else {
                throw refuse("the number \(scalar.string.prefix(40)) is outside the range of numbers", node)
            }
            return value
        default: throw refuse("the tag '\(scalar.tag)' is not supported", node)
        }
    }

    private func refuse(_ reason: String, _ node: Node) -> SettingsError {
        let position = node.mark.map { SettingsPosition(line: $0.line, column: $0.column) }
        return SettingsError([
            SettingsProblem(kind: .syntax, path: path.text, allowed: reason, position: position)
        ])
    }

    private static func problem(of error: YamlError) -> SettingsProblem {
        func syntax(_ text: String, _ mark: Mark?) -> SettingsProblem {
            SettingsProblem(
                kind: .syntax, path: "", allowed: "not YAML: \(text)",
                position: mark.map { SettingsPosition(line: $0.line, column: $0.column) })
        }
        switch error {
        case .scanner(let context, let text, let mark, _), .parser(let context, let text, let mark, _),
            .composer(let context, let text, let mark, _):
            return syntax([context?.text, text].compactMap { $0 }.joined(separator: ", "), mark)
        case .duplicatedKeysInMapping(let names, let context):
            let list = names.map { "'\($0)'" }.joined(separator: ", ")
            return SettingsProblem(
                kind: .syntax, path: "", allowed: "the name \(list) is given twice in the same object",
                position: SettingsPosition(line: context.mark.line, column: context.mark.column))
        case .reader(let text, let offset, _, _):
            return syntax(text + (offset.map { " at character \($0)" } ?? ""), nil)
        default: return syntax("\(error)", nil)
        }
    }
}

/// The values of unquoted YAML texts by the core schema of YAML 1.2.
///
/// Only true and false are Boolean values (not yes, no, on and off), and 3e-4 is a number.
enum YAMLScalar {
    /// Returns the value of an unquoted text; nil for a number outside the range of numbers.
    static func resolve(_ text: String) -> SettingsTree? {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .double(.infinity)
        case "-.inf", "-.Inf", "-.INF": return .double(-.infinity)
        case ".nan", ".NaN", ".NAN": return .double(.nan)
        default: break
        }
        let bytes = Array(text.utf8)
        if text.hasPrefix("0x"), bytes.count > 2, bytes.dropFirst(2).allSatisfy(isHexadecimal) {
            return Int(text.dropFirst(2), radix: 16).map { .int($0) }
        }
        if text.hasPrefix("0o"), bytes.count > 2, bytes.dropFirst(2).allSatisfy(isOctal) {
            return Int(text.dropFirst(2), radix: 8).map { .int($0) }
        }
        guard let form = numberForm(bytes) else { return .string(text) }
        // `Double.init` does not accept ".5" and "5."; a zero on either side does not change the value.
        if form == .integer, let value = Int(text) { return .int(value) }
        guard let value = Double(completed(text)), value.isFinite else { return nil }
        return .double(value)
    }

    private enum NumberForm {
        case integer
        case decimal
    }

    /// Returns the form of a number, or nil for other texts.
    ///
    ///     [-+]? ( . digits | digits ( . digits? )? ) ( [eE] [-+]? digits )?
    private static func numberForm(_ bytes: [UInt8]) -> NumberForm? {
        var rest = bytes[...]
        func takeDigits() -> Int {
            let digits = rest.prefix(while: isDecimal).count
            rest = rest.dropFirst(digits)
            return digits
        }
        func take(_ characters: String) -> Bool {
            guard let first = rest.first, characters.utf8.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        _ = take("+-")
        let whole = takeDigits()
        let hasPoint = take(".")
        let fraction = hasPoint ? takeDigits() : 0
        guard whole + fraction > 0 else { return nil }
        var hasExponent = false
        if take("eE") {
            hasExponent = true
            _ = take("+-")
            guard takeDigits() > 0 else { return nil }
        }
        guard rest.isEmpty else { return nil }
        return hasPoint || hasExponent ? .decimal : .integer
    }

    /// Returns the number with a digit on both sides of the point.
    private static func completed(_ number: String) -> String {
        guard let point = number.firstIndex(of: ".") else { return number }
        let whole = number[..<point]
        let fraction = number[number.index(after: point)...]
        let needsWhole = !(whole.last?.isNumber ?? false)
        let needsFraction = !(fraction.first?.isNumber ?? false)
        return whole + (needsWhole ? "0." : ".") + (needsFraction ? "0" : "") + fraction
    }

    private static func isDecimal(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isOctal(_ byte: UInt8) -> Bool { (0x30...0x37).contains(byte) }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        isDecimal(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }
}

/// Runs recursive functions on a thread with a stack that is large enough.
enum LargeStack {
    private static let byteCount = 16 << 20

    // Sendable: written before the signal and read after the wait.
    private final class Outcome<Value: Sendable>: @unchecked Sendable {
        var result: Result<Value, any Error>?
    }

    static func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
        let outcome = Outcome<Value>()
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            outcome.result = Result(catching: body)
            done.signal()
        }
        thread.stackSize = byteCount
        thread.start()
        done.wait()
        guard let result = outcome.result else { throw CancellationError() }
        return try result.get()
    }
}
