import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetTorch

/// `retnet convert`: checkpoints of other projects in, and out again.
struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract:
            "Convert a checkpoint of another project into a model folder, or a model into another project's form.",
        discussion: """
            Tensors keep their bits unless --dtype asks for another element type. What the source is must be certain: a \
            checkpoint that fits no project, or several, is refused with the reason.

            Other commands read the same checkpoints directly with --model.
            """)

    @Argument(help: "Folder with config.json and tensors, or a file with tensors.")
    var source: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Form of the source; --list names them. 'auto' recognizes it.", valueName: "name"))
    var from = "auto"

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Form to write; this package's own by default.", valueName: "name"))
    var to: String = CheckpointConversion.ownName

    @Option(help: ArgumentHelp("Folder to write.", valueName: "dir"))
    var out: String?

    @Option(
        name: .customLong("dtype"), parsing: .unconditional,
        help: ArgumentHelp(
            "Element type to write: float32, bfloat16, float16 or float64; as stored by default.",
            valueName: "type"))
    var elementTypeName: String?

    @Flag(help: "List all forms and exit.")
    var list = false

    @Flag(help: "Only check the source and say what it is.")
    var check = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if list { return }
        guard source != nil else { throw ValidationError("give the checkpoint to convert, or --list") }
        guard check != (out != nil) else { throw ValidationError("give either --out or --check") }
        if let elementTypeName, elementType == nil {
            throw ValidationError(
                "unknown element type '\(elementTypeName)': use float32, bfloat16, float16 or float64")
        }
        let names = [CheckpointConversion.ownName] + Dialects.all.map(\.name)
        for (option, name) in [("--from", from), ("--to", to)] where name != "auto" || option == "--to" {
            guard names.contains(name) else {
                let nearest = NameMatcher.nearest(to: name, in: names).map { "did you mean '\($0)'?" }
                throw ValidationError(
                    "there is no form '\(name)' for \(option); "
                        + (nearest ?? "`retnet convert --list` names them"))
            }
        }
    }

    private var elementType: ElementType? {
        elementTypeName.flatMap { ElementType(rawValue: $0) }.flatMap { $0.isFloatingPoint ? $0 : nil }
    }

    func run() throws {
        if list { return try printList() }
        let path = try ModelOptions.modelPath(source ?? "")
        if T5Folder.recognizes(path) {
            throw CommandError(
                "'\(path)' is a T5, whose folders are those of Transformers already: every `retnet t5` command takes it"
                    + " as it is, and `retnet t5 convert` checks it and writes a copy")
        }
        if let out {
            try Arguments.checkOutput(out, replaceable: false)
            try Self.checkOutside(out, of: path)
        }
        let conversion = try CheckpointConversion(path: path, from: from == "auto" ? nil : from)
        if !json { Console.result(description(conversion)) }
        if let out {
            try conversion.write(to: out, as: to, elementType: elementType)
        } else {
            try conversion.check(elementType: elementType)
        }
        if json { return try Console.json(tree(conversion)) }
        let count = "\(Format.grouped(conversion.parameterCount)) parameters"
        Console.note(
            "\(count) in \(Format.grouped(conversion.tensorCount)) tensors are all there, of the right shapes and finite"
        )
        if let out { Console.note("written as '\(to)' to '\(out)'") }
    }

    /// Throws for an output in the folder that is read, whose files belong to the program that wrote it.
    private static func checkOutside(_ output: String, of source: String) throws {
        func resolved(_ path: String) -> String {
            URL(fileURLWithPath: path).standardizedFileURL.resolvingSymlinksInPath().path
        }
        let parent = resolved(URL(fileURLWithPath: output).deletingLastPathComponent().path)
        guard (parent + "/").hasPrefix(resolved(source) + "/") else { return }
        throw CommandError("the output '\(output)' lies in the folder that is read: choose a place beside it")
    }

    private func description(_ conversion: CheckpointConversion) -> String {
        var rows: [(String, String)] = []
        let form = conversion.foreign.map { "\($0.dialect.name): \($0.dialect.summary)" }
        rows.append(("form", form ?? "\(CheckpointConversion.ownName): a model folder of this package"))
        if let foreign = conversion.foreign { rows.append(("recognized by", foreign.reason)) }
        rows.append(("parameters", Format.grouped(conversion.parameterCount)))
        rows.append(("tensors", Format.grouped(conversion.tensorCount)))
        rows += conversion.semantics.map { ($0.path, Self.text($0.value)) }
        if let unused = conversion.foreign?.unusedFields, !unused.isEmpty {
            rows.append(("without effect", unused.joined(separator: ", ")))
        }
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { $0 + String(repeating: " ", count: width + 2 - $0.count) + $1 }
            .joined(separator: "\n")
    }

    private static func text(_ value: SettingsTree) -> String {
        switch value {
        case .string(let text): text
        case .int(let number): "\(number)"
        case .double(let number): "\(number)"
        case .bool(let flag): "\(flag)"
        default: (try? value.jsonText().trimmingCharacters(in: .newlines)) ?? value.summary
        }
    }

    private func tree(_ conversion: CheckpointConversion) -> SettingsTree {
        let foreign = conversion.foreign
        return [
            "source": .string(source ?? ""), "output": out.map { .string($0) } ?? .null,
            "from": .string(foreign?.dialect.name ?? CheckpointConversion.ownName), "to": .string(to),
            "recognized_by": foreign.map { .string($0.reason) } ?? .null,
            "parameters": .int(conversion.parameterCount), "tensors": .int(conversion.tensorCount),
            "unused_fields": .array(foreign?.unusedFields.map { .string($0) } ?? []),
            "configuration": conversion.configuration.settings,
        ]
    }

    private func printList() throws {
        let own = (CheckpointConversion.ownName, "model folders of this package")
        let all = [own] + Dialects.all.map { ($0.name, $0.summary) }
        if json {
            return try Console.json([
                "forms": .array(all.map { ["name": .string($0.0), "summary": .string($0.1)] })
            ])
        }
        var table = TextTable(header: ["form", "models"], alignments: [.left, .left])
        for (name, summary) in all { table.append([name, summary]) }
        Console.result(table.text())
    }
}
