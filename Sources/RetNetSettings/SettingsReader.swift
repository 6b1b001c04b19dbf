import RetNetStorage

/// A typed reader of settings that collects all problems instead of stopping at the first.
///
/// Reading methods do not throw: they record a problem and return the default or some
/// allowed value, so that reading continues. When everything has been read, ``finish()`` of the first reader
/// reports names that were not read and throws if there is any problem.
///
///     let reader = document.reader
///     let layers = reader.int("layers", in: 1...10_000)
///     let rate = reader.double("learning_rate", in: SettingsRange.positive, default: 3e-4)
///     try reader.finish()
public final class SettingsReader {
    /// The state that all readers of one tree share.
    final class Log {
        var problems: [SettingsProblem] = []
        let positions: [ExactString: SettingsPosition]

        init(positions: [ExactString: SettingsPosition]) { self.positions = positions }
    }

    /// Path of this object in the tree; empty for the root.
    public let path: String
    /// True if the object is missing or not an object, which has been reported.
    public let isAbsent: Bool

    let log: Log
    private let object: SettingsObject
    private let sourceName: String?
    private var knownKeys: [ExactString] = []
    private var children: [SettingsReader] = []

    /// Creates a reader of the root of a document; an empty document reads like an object without settings.
    public convenience init(_ document: SettingsDocument) {
        self.init(
            document.tree, path: "", sourceName: document.sourceName, log: Log(positions: document.positions))
    }

    /// Creates a reader of a tree without positions.
    public convenience init(_ tree: SettingsTree, sourceName: String? = nil) {
        self.init(SettingsDocument(tree, sourceName: sourceName))
    }

    /// Creates a reader; nil is a missing object, all of whose settings read as some allowed value.
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

    /// Problems found so far by all readers of the tree.
    public var problems: [SettingsProblem] { log.problems }

    /// True if a problem was found in this object or in an object within.
    public var hasProblems: Bool {
        if isAbsent || path.isEmpty { return isAbsent || !log.problems.isEmpty }
        return log.problems.contains {
            SettingsPath.is($0.path, at: path)
        }
    }

    /// Returns true if a setting is given and not null; the name is known from then on.
    public func has(_ key: String) -> Bool { value(key) != nil }

    /// Returns the tree of a setting, or nil; for settings of several types.
    public func tree(_ key: String) -> SettingsTree? { value(key) }

    /// Names of all settings given in this object, known or not.
    public var givenKeys: [String] { object.keys }

    /// Names of the settings given in this object that have not been read so far.
    public var unreadKeys: [String] { object.keys.filter { !knownKeys.contains(ExactString($0)) } }

    /// Records a problem, with its position if the source has one.
    public func report(_ problem: SettingsProblem) {
        var problem = problem
        problem.position = problem.position ?? log.positions[ExactString(problem.path)]
        log.problems.append(problem)
    }

    /// Records that the value of a setting is wrong; `allowed` completes "it must be".
    public func report(_ key: String, allowed: String, suggestion: String? = nil) {
        let found = value(key)
        report(
            SettingsProblem(
                kind: found == nil ? .missing : .wrongValue, path: path(of: key), found: found?.summary,
                allowed: allowed, suggestion: suggestion))
    }

    /// Records that settings contradict each other, with the remedy.
    public func reportContradiction(_ key: String, _ remedy: String) {
        report(
            SettingsProblem(
                kind: .contradiction, path: path(of: key), found: value(key)?.summary, allowed: remedy))
    }

    /// Reports unknown names in all objects, then throws ``SettingsError`` if there are problems.
    public func finish() throws {
        reportUnknownKeys()
        guard log.problems.isEmpty else { throw SettingsError(log.problems, sourceName: sourceName) }
    }

    // MARK: Objects within

    /// Returns a reader of the object of a name, which must exist.
    public func object(_ key: String) -> SettingsReader {
        if value(key) == nil, !isAbsent { report(key, allowed: "an object") }
        return child(value(key), path(of: key))
    }

    /// Returns a reader of the object of a name, or nil if there is none.
    public func optionalObject(_ key: String) -> SettingsReader? {
        value(key).map { child($0, path(of: key)) }
    }

    /// Returns readers of a list of objects; none if the list is missing.
    public func objects(_ key: String) -> [SettingsReader] {
        guard let found = value(key) else { return [] }
        guard let elements = found.array else {
            report(key, allowed: "a list of objects")
            return []
        }
        return elements.enumerated().map { child($0.element, path(of: key) + "[\($0.offset)]") }
    }

    private func child(_ tree: SettingsTree?, _ path: String) -> SettingsReader {
        // One reader per object, which keeps the known names.
        if let reader = children.first(where: { $0.path.isExactly(path) }) { return reader }
        let reader = SettingsReader(tree, path: path, sourceName: sourceName, log: log)
        children.append(reader)
        return reader
    }

    // MARK: Names

    /// Returns the value of a name unless it is null; the name is known from then on.
    func value(_ key: String) -> SettingsTree? {
        if !knownKeys.contains(ExactString(key)) { knownKeys.append(ExactString(key)) }
        guard let value = object[key], value != .null else { return nil }
        return value
    }

    func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private func reportUnknownKeys() {
        for key in object.keys where !knownKeys.contains(ExactString(key)) {
            let names = knownKeys.map(\.text)
            let unused = names.filter { object[$0] == nil }
            report(
                SettingsProblem(
                    kind: .unknownKey, path: path(of: key), allowed: names.joined(separator: ", "),
                    suggestion: NameMatcher.nearest(to: key, in: unused)
                        ?? NameMatcher.nearest(to: key, in: names)))
            // Reported once, even if the reader is finished twice.
            knownKeys.append(ExactString(key))
        }
        for child in children { child.reportUnknownKeys() }
    }
}

/// A value that is read from settings and written to settings.
public protocol SettingsRepresentable {
    /// Reads the value from one object of settings.
    ///
    /// Problems are recorded in the reader, with some allowed value in place of a wrong one; the result is valid
    /// only if ``SettingsReader/finish()`` succeeds.
    init(reading reader: SettingsReader)

    /// The value as an object of settings, from which ``init(reading:)`` creates an equal value.
    var settings: SettingsTree { get }
}

extension SettingsRepresentable {
    /// Returns all problems of the value, with the names of its settings; empty if it is valid.
    public func problems() -> [SettingsProblem] {
        // A value is valid if its settings can be read, so there is one definition of both.
        let reader = SettingsReader(settings)
        _ = Self(reading: reader)
        return reader.problems
    }

    /// Throws ``SettingsError`` with all problems of the value.
    public func validate() throws {
        let problems = problems()
        guard problems.isEmpty else { throw SettingsError(problems, sourceName: "\(Self.self)") }
    }
}
