/// Reads settings with their types and collects every problem instead of stopping at the first.
///
/// Reading methods never throw: where something is wrong they note the problem and return the default or some
/// allowed value, so that reading goes on. When everything has been read, ``finish()`` on the first reader
/// reports names that nobody asked for and throws if there was any problem.
///
///     let reader = document.reader
///     let layers = reader.int("layers", in: 1...10_000)
///     let rate = reader.double("learning_rate", in: SettingsRange.positive, default: 3e-4)
///     try reader.finish()
public final class SettingsReader {
    /// What all readers of one tree share.
    final class Log {
        var problems: [SettingsProblem] = []
        let positions: [String: SettingsPosition]

        init(positions: [String: SettingsPosition]) { self.positions = positions }
    }

    /// The place of this object in the tree; empty for the root.
    public let path: String
    /// Whether there is nothing here to read: the object is missing or not an object, which has been reported.
    public let isAbsent: Bool

    let log: Log
    private let object: SettingsObject
    private let sourceName: String?
    private var knownKeys: [String] = []
    private var children: [SettingsReader] = []

    /// A reader of the root of a document; nothing at all reads like an object without settings.
    public convenience init(_ document: SettingsDocument) {
        self.init(
            document.tree, path: "", sourceName: document.sourceName, log: Log(positions: document.positions))
    }

    /// A reader of a tree without positions.
    public convenience init(_ tree: SettingsTree, sourceName: String? = nil) {
        self.init(SettingsDocument(tree, sourceName: sourceName))
    }

    /// Nil stands for a missing object, from which every reading method quietly returns some allowed value.
    private init(_ tree: SettingsTree?, path: String, sourceName: String?, log: Log) {
        self.path = path
        self.log = log
        self.sourceName = sourceName
        switch tree {
        case .object(let object):
            self.object = object
            isAbsent = false
        case .null where path.isEmpty:
            object = SettingsObject()
            isAbsent = false
        default:
            object = SettingsObject()
            isAbsent = true
            if let tree {
                report(
                    SettingsProblem(kind: .wrongValue, path: path, found: tree.summary, allowed: "an object"))
            }
        }
    }

    /// The problems found so far, here and in all other readers of the tree.
    public var problems: [SettingsProblem] { log.problems }

    /// Whether a problem was found here or in an object within.
    public var hasProblems: Bool {
        if isAbsent || path.isEmpty { return isAbsent || !log.problems.isEmpty }
        return log.problems.contains {
            $0.path == path || $0.path.hasPrefix(path + ".") || $0.path.hasPrefix(path + "[")
        }
    }

    /// Whether a setting is given and not null; asking makes the name known.
    public func has(_ key: String) -> Bool { value(key) != nil }

    /// The setting as it stands in the tree, or nil; for settings that several types may have.
    public func tree(_ key: String) -> SettingsTree? { value(key) }

    /// The names of all settings given here, known or not.
    public var givenKeys: [String] { object.keys }

    /// Notes a problem; its position is filled in where the source has one.
    public func report(_ problem: SettingsProblem) {
        var problem = problem
        problem.position = problem.position ?? log.positions[problem.path]
        log.problems.append(problem)
    }

    /// Notes that the value of one of the settings here is wrong; `allowed` continues "it must be".
    public func report(_ key: String, allowed: String, suggestion: String? = nil) {
        let found = value(key)
        report(
            SettingsProblem(
                kind: found == nil ? .missing : .wrongValue, path: path(of: key), found: found?.summary,
                allowed: allowed, suggestion: suggestion))
    }

    /// Notes that settings contradict each other, in a sentence of its own.
    public func reportContradiction(_ key: String, _ remedy: String) {
        report(
            SettingsProblem(
                kind: .contradiction, path: path(of: key), found: value(key)?.summary, allowed: remedy))
    }

    /// Reports unknown names here and in all objects within, then throws ``SettingsError`` if anything is wrong.
    public func finish() throws {
        reportUnknownKeys()
        guard log.problems.isEmpty else { throw SettingsError(log.problems, sourceName: sourceName) }
    }

    // MARK: Objects within

    /// A reader of the object of that name, which must be there.
    public func object(_ key: String) -> SettingsReader {
        if value(key) == nil, !isAbsent { report(key, allowed: "an object") }
        return child(value(key), path(of: key))
    }

    /// A reader of the object of that name, or nil where there is none.
    public func optionalObject(_ key: String) -> SettingsReader? {
        value(key).map { child($0, path(of: key)) }
    }

    /// Readers of a list of objects; none where the list is missing.
    public func objects(_ key: String) -> [SettingsReader] {
        guard let found = value(key) else { return [] }
        guard let elements = found.array else {
            report(key, allowed: "a list of objects")
            return []
        }
        return elements.enumerated().map { child($0.element, path(of: key) + "[\($0.offset)]") }
    }

    private func child(_ tree: SettingsTree?, _ path: String) -> SettingsReader {
        // Asking again must not forget which names are known there.
        if let reader = children.first(where: { $0.path == path }) { return reader }
        let reader = SettingsReader(tree, path: path, sourceName: sourceName, log: log)
        children.append(reader)
        return reader
    }

    // MARK: Names

    /// The value of a name unless it is null; the name is known from now on.
    func value(_ key: String) -> SettingsTree? {
        if !knownKeys.contains(key) { knownKeys.append(key) }
        guard let value = object[key], value != .null else { return nil }
        return value
    }

    func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private func reportUnknownKeys() {
        for key in object.keys where !knownKeys.contains(key) {
            let unused = knownKeys.filter { object[$0] == nil }
            report(
                SettingsProblem(
                    kind: .unknownKey, path: path(of: key), allowed: knownKeys.joined(separator: ", "),
                    suggestion: NameMatcher.nearest(to: key, in: unused)
                        ?? NameMatcher.nearest(to: key, in: knownKeys)))
            // Once is enough, should a reader be finished twice.
            knownKeys.append(key)
        }
        for child in children { child.reportUnknownKeys() }
    }
}
