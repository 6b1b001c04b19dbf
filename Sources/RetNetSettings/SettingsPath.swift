/// The place of a setting in a tree, as in `optimizer.betas[0]`.
struct SettingsPath {
    /// One step down the tree.
    enum Step: Equatable {
        case key(String)
        case index(Int)
    }

    private(set) var steps: [Step] = []

    /// The path as people write it.
    var text: String { Self.text(steps[...]) }

    mutating func append(_ step: Step) { steps.append(step) }

    mutating func removeLast() { steps.removeLast() }

    /// Reads `a.b[0].c`; throws a problem that says what a path looks like.
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
