import Foundation

/// All problems of a tree of settings.
public struct SettingsError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// Problems in the order of reading; never empty.
    public let problems: [SettingsProblem]
    /// Name of the file or other source, if there is one.
    public let sourceName: String?

    /// Creates an error from the problems of one source.
    public init(_ problems: [SettingsProblem], sourceName: String? = nil) {
        self.problems = problems
        self.sourceName = sourceName
    }

    /// One line for a single problem; otherwise a line with their number and one line per problem.
    public var description: String {
        let source = sourceName ?? "settings"
        if problems.count == 1 { return "\(source): \(problems[0].located)" }
        return (["\(source): \(problems.count) problems"] + problems.map { "  " + $0.located })
            .joined(separator: "\n")
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}

/// A problem of a tree of settings.
public struct SettingsProblem: Sendable, Equatable, CustomStringConvertible {
    /// Kind of problem.
    public enum Kind: Sendable, Equatable {
        /// The text is not YAML or JSON.
        case syntax
        /// A required setting is missing.
        case missing
        /// A value of the wrong type or outside the allowed range.
        case wrongValue
        /// A name that is not known in its object.
        case unknownKey
        /// Values that are allowed separately but not together.
        case contradiction
    }

    /// Kind of problem.
    public var kind: Kind
    /// Path from the root, as in `optimizer.betas[0]`; empty for the root.
    public var path: String
    /// Description of the value found, if any.
    public var found: String?
    /// Completion of "it must be"; for syntax errors and contradictions the whole text.
    public var allowed: String
    /// Known name or value that is similar to the one found.
    public var suggestion: String?
    /// Position of the setting in its file.
    public var position: SettingsPosition?

    /// Creates a problem from its parts.
    public init(
        kind: Kind, path: String, found: String? = nil, allowed: String, suggestion: String? = nil,
        position: SettingsPosition? = nil
    ) {
        self.kind = kind
        self.path = path
        self.found = found
        self.allowed = allowed
        self.suggestion = suggestion
        self.position = position
    }

    /// The problem without its position.
    public var description: String {
        let place = path.isEmpty ? "" : "\(path): "
        let meant = suggestion.map { "; did you mean '\($0)'?" }
        switch kind {
        case .syntax: return place + allowed
        case .missing: return place + "missing; it must be \(allowed)"
        case .wrongValue:
            return place + "found \(found ?? "nothing"), but it must be \(allowed)" + (meant ?? "")
        case .unknownKey: return place + "unknown setting" + (meant ?? "; known here: \(allowed)")
        case .contradiction: return place + (found.map { "found \($0), but " } ?? "") + allowed
        }
    }

    /// The problem with its position, if that is known.
    public var located: String {
        position.map { "line \($0.line), column \($0.column): \(description)" } ?? description
    }
}

/// A search for the known name that is most similar to a given one.
public enum NameMatcher {
    /// Returns the most similar candidate, if it is similar enough for a suggestion.
    public static func nearest(to name: String, in candidates: [String]) -> String? {
        // Long names are not typing mistakes, and the distance costs the product of both lengths.
        guard name.count <= 64 else { return nil }
        let folded = fold(name)
        var best: (name: String, distance: Int)?
        for candidate in candidates where candidate.count <= 64 {
            let distance = editDistance(folded, fold(candidate))
            if distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        guard let best, best.distance == 0 || best.distance <= max(1, folded.count / 3),
            best.distance < max(1, folded.count)
        else { return nil }
        return best.name
    }

    /// Returns letters and digits in lower case: `learningRate`, `learning-rate` and `learning_rate` are equal.
    private static func fold(_ name: String) -> [Character] {
        Array(name.lowercased().filter { $0.isLetter || $0.isNumber })
    }

    /// Returns the number of insertions, deletions, changes and swaps of neighbors between two names.
    private static func editDistance(_ a: [Character], _ b: [Character]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                let change = last[j] + (a[i] == b[j] ? 0 : 1)
                var cost = min(row[j] + 1, last[j + 1] + 1, change)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    cost = min(cost, beforeLast[j - 1] + 1)
                }
                row.append(cost)
            }
            beforeLast = last
            last = row
        }
        return last[b.count]
    }
}
