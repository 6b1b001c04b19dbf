import ArgumentParser
import RetNetCommandLine
import RetNetReporting
import RetNetSettings
import RetNetText

/// `retnet tokenizer info`: what is in a tokenizer.
struct TokenizerInfoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info",
        abstract: "Show kind, sizes, special tokens and steps of a tokenizer.")

    @Argument(
        help: ArgumentHelp(
            "Tokenizer: byte, byte-sentinel, a tokenizer.json, a SentencePiece model (.model), or a folder.",
            valueName: "name|path"))
    var tokenizer: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let loaded = try TokenizerCommand.load(tokenizer)
        let summary = TokenizerSummary(loaded)
        if json { return try Console.json(tree(summary, loaded)) }
        var table = TextTable(header: ["tokenizer", loaded.identity])
        table.append(["kind", summary.kind])
        table.append(["model", summary.model])
        table.append(["tokens", Format.grouped(summary.vocabularySize)])
        if let count = summary.mergeCount { table.append(["merges", Format.grouped(count)]) }
        for special in summary.specialTokens {
            let name = special.name.map { " \($0)" } ?? ""
            table.append([special.role == "other" ? "special" : special.role, "\(special.token)\(name)"])
        }
        if let first = sentinels(loaded).first, let last = sentinels(loaded).last {
            table.append(["sentinels", "\(summary.sentinelCount), from \(first) to \(last)"])
        }
        for step in summary.steps {
            table.append([step.name.replacing("_", with: " "), step.parts.joined(separator: ", ")])
        }
        Console.result(table.text())
    }

    private func sentinels(_ tokenizer: any Tokenizer) -> [Int32] {
        (tokenizer as? any SentinelTokenizer)?.sentinels ?? []
    }

    private func tree(_ summary: TokenizerSummary, _ loaded: any Tokenizer) -> SettingsTree {
        var result: SettingsObject = [
            "identity": .string(loaded.identity), "kind": .string(summary.kind),
            "model": .string(summary.model),
            "vocabulary_size": .int(summary.vocabularySize),
            "merges": summary.mergeCount.map { .int($0) } ?? .null,
        ]
        result["special_tokens"] = .array(
            summary.specialTokens.map {
                [
                    "role": .string($0.role), "id": .int(Int($0.token)),
                    "text": $0.name.map { .string($0) } ?? .null,
                ]
            })
        result["sentinels"] = .array(sentinels(loaded).map { .int(Int($0)) })
        for step in summary.steps { result[step.name] = .array(step.parts.map { .string($0) }) }
        return .object(result)
    }
}
