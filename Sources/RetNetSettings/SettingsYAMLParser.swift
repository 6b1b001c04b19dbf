import Foundation
import Yams

/// Turns Yams' nodes into trees, with positions: no repeated names, limited depth and size.
struct SettingsYAMLParser {
    /// Repeated aliases can make a short text enormous; no settings file is this large.
    private static let maximumNodeCount = 100_000

    private var path = SettingsPath()
    private var nodeCount = 0
    private(set) var positions: [String: SettingsPosition] = [:]

    /// Reads one document; an empty one is ``SettingsTree/null``.
    static func parse(_ text: String) throws -> (tree: SettingsTree, positions: [String: SettingsPosition]) {
        // The parser recurses a thousand levels deep before it refuses; small thread stacks end earlier.
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
            positions[path.text] = SettingsPosition(line: mark.line, column: mark.column)
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
            // The name is a better place to look at than its value, which may be on the next line.
            if let mark = keyNode.mark {
                positions[path.text] = SettingsPosition(line: mark.line, column: mark.column)
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
