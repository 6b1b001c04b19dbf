import RetNetStorage

extension SettingsTree {
    /// Sets one setting, for example `optimizer.betas[0]` to `0.9`.
    ///
    /// The value is read as YAML: `3e-4` is a number, `[1, 2]` a list, and an empty value is null. Missing objects
    /// on the path are created; an index may be one past the end of a list, which adds an element.
    /// Throws ``SettingsError`` if the path does not fit the tree or the value is not YAML.
    public mutating func set(_ dottedPath: String, _ yamlText: String) throws {
        try set(dottedPath, to: Self.value(of: dottedPath, yaml: yamlText))
    }

    /// Reads the value of a setting as YAML; throws ``SettingsError``.
    static func value(of dottedPath: String, yaml text: String) throws -> SettingsTree {
        do {
            return try SettingsTree(yaml: text)
        } catch let error as SettingsError {
            let reason = error.problems.first?.allowed ?? "it is not YAML"
            throw SettingsError([
                SettingsProblem(
                    kind: .syntax, path: dottedPath,
                    allowed: "the value is not YAML (\(reason)); put a text with special characters in quotes"
                )
            ])
        }
    }

    /// Sets one setting; see ``set(_:_:)``.
    public mutating func set(_ dottedPath: String, to value: SettingsTree) throws {
        let steps = try SettingsPath.parse(dottedPath)
        try replace(steps[...], done: [], with: value)
    }

    /// Applies an assignment of the form `path=value`.
    public mutating func apply(assignment: String) throws {
        let (path, value) = try Self.split(assignment: assignment)
        try set(path, value)
    }

    /// Returns the setting at a path, or nil if there is none.
    public func value(at dottedPath: String) -> SettingsTree? {
        guard let steps = try? SettingsPath.parse(dottedPath) else { return nil }
        var tree = self
        for step in steps {
            switch step {
            case .key(let key):
                guard let next = tree.object?[key] else { return nil }
                tree = next
            case .index(let index):
                guard let elements = tree.array, elements.indices.contains(index) else { return nil }
                tree = elements[index]
            }
        }
        return tree
    }

    /// Returns this tree with the settings of another: objects are merged, other values are replaced.
    public func merging(_ other: SettingsTree) -> SettingsTree {
        guard case .object(var merged) = self, case .object(let over) = other else { return other }
        for entry in over.entries {
            merged[entry.key] = merged[entry.key]?.merging(entry.value) ?? entry.value
        }
        return .object(merged)
    }

    /// Returns the two sides of `path=value`.
    static func split(assignment: String) throws -> (path: String, value: String) {
        // By scalars: an equals sign before a combining accent is still one.
        let scalars = assignment.unicodeScalars
        guard let equals = scalars.firstIndex(of: "="), equals > scalars.startIndex else {
            throw SettingsError([
                SettingsProblem(
                    kind: .syntax, path: "",
                    allowed:
                        "'\(assignment)' is not of the form path=value, as in optimizer.learning_rate=3e-4")
            ])
        }
        return (String(scalars[..<equals]), String(scalars[scalars.index(after: equals)...]))
    }

    private mutating func replace(
        _ steps: ArraySlice<SettingsPath.Step>, done: [SettingsPath.Step], with value: SettingsTree
    ) throws {
        guard let step = steps.first else {
            self = value
            return
        }
        let rest = steps.dropFirst()
        switch (step, self) {
        case (.key(let key), .object(var object)):
            var child = object[key] ?? .null
            try child.replace(rest, done: done + [step], with: value)
            object[key] = child
            self = .object(object)
        case (.key(let key), .null):
            var child = SettingsTree.null
            try child.replace(rest, done: done + [step], with: value)
            self = .object([key: child])
        case (.index(let index), .array(var elements)) where index <= elements.count:
            var child = index < elements.count ? elements[index] : .null
            try child.replace(rest, done: done + [step], with: value)
            if index < elements.count { elements[index] = child } else { elements.append(child) }
            self = .array(elements)
        case (.index(0), .null):
            var child = SettingsTree.null
            try child.replace(rest, done: done + [step], with: value)
            self = .array([child])
        default:
            let path = SettingsPath.text(done[...])
            let wanted =
                if case .key(let key) = step { "an object to set '\(key)' in it" } else { "a longer list" }
            throw SettingsError([
                SettingsProblem(kind: .wrongValue, path: path, found: summary, allowed: wanted)
            ])
        }
    }
}

/// The path of a setting in a tree, such as `optimizer.betas[0]`.
struct SettingsPath {
    /// One step down the tree.
    enum Step: Equatable {
        case key(String)
        case index(Int)
    }

    private(set) var steps: [Step] = []

    /// Path in its text form.
    var text: String { Self.text(steps[...]) }

    mutating func append(_ step: Step) { steps.append(step) }

    mutating func removeLast() { steps.removeLast() }

    /// Parses a path such as `a.b[0].c`; throws ``SettingsError``.
    static func parse(_ text: String) throws -> [Step] {
        func refuse(_ reason: String) -> SettingsError {
            SettingsError([
                SettingsProblem(
                    kind: .syntax, path: "",
                    allowed: "'\(text)' does not name a setting: \(reason); write it like optimizer.betas[0]")
            ])
        }
        var steps: [Step] = []
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            let brackets = part.split(separator: "[", omittingEmptySubsequences: false)
            guard let name = brackets.first, !name.isEmpty else { throw refuse("a name is empty") }
            steps.append(.key(String(name)))
            for bracket in brackets.dropFirst() {
                guard bracket.hasSuffix("]"), let index = Int(bracket.dropLast()), index >= 0 else {
                    throw refuse("an index must be a number from 0 in square brackets")
                }
                steps.append(.index(index))
            }
        }
        guard steps.count <= SettingsTree.maximumDepth else { throw refuse("it is too deep") }
        return steps
    }

    /// Returns true if a path, in its text form, is another or leads to something within it.
    static func `is`(_ path: String, at other: String) -> Bool {
        guard let rest = path.dropping(exactPrefix: other)?.utf8.first else { return path.isExactly(other) }
        return rest == UInt8(ascii: ".") || rest == UInt8(ascii: "[")
    }

    static func text(_ steps: ArraySlice<Step>) -> String {
        var result = ""
        for step in steps {
            switch step {
            case .key(let key): result += result.isEmpty ? key : ".\(key)"
            case .index(let index): result += "[\(index)]"
            }
        }
        return result
    }
}

/// A value for one setting, as in `optimizer.learning_rate=3e-4`.
public struct SettingsAssignment: Sendable, Equatable {
    /// Dotted path of the setting.
    public var path: String
    /// Value; null resets the setting to its default.
    public var value: SettingsTree

    /// Creates an assignment.
    public init(_ path: String, _ value: SettingsTree) {
        self.path = path
        self.value = value
    }

    /// Parses `path=value` with a value in YAML; throws ``SettingsError``.
    public init(parsing text: String) throws {
        let (path, valueText) = try SettingsTree.split(assignment: text)
        self.init(path, try SettingsTree.value(of: path, yaml: valueText))
    }

    /// Path of the list of which the assignment changes an element; nil if it does not assign an element.
    public var listPath: String? {
        path.firstIndex(of: "[").map { String(path[..<$0]) }
    }
}

extension SettingsDocument {
    /// Applies one assignment; throws ``SettingsError`` if its path does not fit the tree.
    public mutating func apply(_ assignment: SettingsAssignment) throws {
        try set(assignment.path, to: assignment.value)
    }
}
