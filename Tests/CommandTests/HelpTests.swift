import Foundation
import RetNetTestSupport
import Testing

/// A command with its options, as the program describes itself.
struct CommandDescription: Decodable, CustomTestStringConvertible {
    struct Argument: Decodable {
        struct Name: Decodable {
            let kind: String
            let name: String
        }
        let kind: String
        let parsingStrategy: String
        let valueName: String?
        let names: [Name]?
        let abstract: String?
        let shouldDisplay: Bool

        /// Names as in a command line, such as `--output` and `-o`.
        var spellings: [String] { (names ?? []).map { ($0.kind == "long" ? "--" : "-") + $0.name } }
    }
    private struct Tool: Decodable { let command: CommandDescription }

    let commandName: String
    let abstract: String?
    let superCommands: [String]?
    let subcommands: [CommandDescription]?
    let arguments: [Argument]?

    /// The words after `retnet`.
    var path: [String] { (superCommands ?? []).dropFirst() + [commandName] }
    var testDescription: String { path.joined(separator: " ") }
    /// The displayed options except those of the parser itself.
    var options: [Argument] {
        (arguments ?? []).filter {
            $0.shouldDisplay && !$0.spellings.contains("--help") && !$0.spellings.contains("--version")
        }
    }

    /// Reads the whole tree of a program without the root and the parser's own help command.
    static func all(_ program: String = "retnet") throws -> [CommandDescription] {
        let text = try succeed(["--experimental-dump-help"], program: program).output
        func flattened(_ command: CommandDescription) -> [CommandDescription] {
            (command.subcommands ?? []).filter { $0.commandName != "help" }.flatMap { [$0] + flattened($0) }
        }
        return flattened(try JSONDecoder().decode(Tool.self, from: Data(text.utf8)).command)
    }
}

@Suite struct HelpTests {
    @Test("The tree of commands has all families") func tree() throws {
        let paths = Set(try CommandDescription.all().map(\.path))
        for path in [
            ["train"], ["t5", "train"], ["t5", "finetune"], ["t5", "eval"], ["bench", "t5"],
            ["eval", "recall"],
        ] {
            #expect(paths.contains(path))
        }
        #expect(paths.count >= 28)
    }

    @Test("Every command explains itself and every option of it", arguments: ["retnet", "retnet-lite"])
    func help(program: String) throws {
        for command in try CommandDescription.all(program) {
            let outcome = try succeed(command.path + ["--help"], program: program)
            #expect(outcome.output.contains("OVERVIEW:"))
            #expect(outcome.output.contains("USAGE: \(program) \(command.testDescription)"))
            #expect(outcome.errors.isEmpty)
            #expect(command.abstract?.isEmpty == false, "\(command.testDescription)")
            for option in command.options {
                let name = "\(command.testDescription) \(option.spellings)"
                let text = try #require(option.abstract, "\(name)")
                // Sentences begin with a noun or a verb and end with a full stop.
                #expect(text.hasSuffix(".") && text.first?.isLowercase == false, "\(name): \(text)")
                for opening in ["How ", "What ", "Whether ", "Where ", "When ", "Which "] {
                    #expect(!text.hasPrefix(opening), "\(name): \(text)")
                }
            }
        }
    }

    @Test("The reference of the command line names every command and every option")
    func reference() throws {
        let text = try repositoryText("Documentation/CommandLine.md")
        var sections: [String: String] = [:]
        for part in text.components(separatedBy: "\n## ").dropFirst() {
            let title = String(part.prefix { $0 != "\n" })
            sections[String(title.prefix { $0 != " " }), default: ""] += part
        }
        let common = try #require(sections["Common"])
        for command in try CommandDescription.all() {
            let section = sections[command.path[0]]
            #expect(section != nil, "\(command.testDescription)")
            let known = (section ?? "") + common
            if command.path.count > 1 {
                let isNamed = known.contains("`\(command.testDescription)`")
                #expect(isNamed || text.contains("\n## \(command.testDescription)\n"), "\(command.path)")
            }
            for name in command.options.flatMap(\.spellings) {
                let isNamed = ["`", " ", "/"].contains { known.contains("`\(name)\($0)") }
                #expect(isNamed, "\(command.testDescription) \(name)")
            }
        }
    }

    @Test("The reference has every command and every option of retnet-lite, in a section of its own")
    func referenceOfLite() throws {
        let text = try repositoryText("Documentation/CommandLine.md")
        let commands = try CommandDescription.all("retnet-lite")
        #expect(commands.count == 8)
        let section = try #require(
            text.components(separatedBy: "\n## ").first { $0.hasPrefix("retnet-lite\n") })
        // What every command has stands above the first of them.
        let parts = section.components(separatedBy: "\n### ")
        for command in commands where command.subcommands?.isEmpty ?? true {
            let part = try #require(
                parts.dropFirst().first { $0.hasPrefix("retnet-lite \(command.testDescription)\n") },
                "\(command.testDescription)")
            let known = part + parts[0]
            for option in command.options {
                for name in option.spellings {
                    let isNamed = ["`", " "].contains { known.contains("`\(name)\($0)") }
                    #expect(isNamed, "\(command.testDescription) \(name)")
                }
            }
            // And nothing that it has no more.
            let options = Set(command.options.flatMap(\.spellings))
            for row in part.split(separator: "\n") where row.hasPrefix("| `-") {
                for name in row.split(separator: "|")[0].matches(of: /`(--?[a-z-]+)/) {
                    #expect(
                        options.contains(String(name.output.1)), "\(command.testDescription) \(name.output.1)"
                    )
                }
            }
        }
    }

    @Test("The root names all commands, and the version names LibTorch")
    func root() throws {
        let help = try succeed(["--help"]).output
        for command in try CommandDescription.all() { #expect(help.contains(command.path[0])) }
        #expect(try succeed(["--version"]).output.contains("LibTorch 2."))
    }

    @Test("Former names of options are accepted with a warning")
    func formerNames() throws {
        let decode = ["bench", "decode", "--preset", "retnet-1m", "--positions", "4", "--json"]
        let former = try succeed(decode + ["--repetitions", "1", "--tokens", "2"])
        #expect(former.errors.contains("warning: --tokens is now called --max-tokens"))
        #expect(try former.json()["tokens"] as? Int == 2)
        let length = try succeed([
            "bench", "t5", "--preset", "t5-2m", "--batch", "1", "--length", "5", "--target-length", "3",
            "--repetitions", "1", "--warmup", "0", "--json",
        ])
        #expect(length.errors.contains("warning: --length is now called --input-length"))
        #expect(try length.json()["length"] as? Int == 5)
        let folder = try TemporaryFolder()
        let text = try folder.write(TinyModel.text, to: "text.txt")
        let reproduce = try retnet(
            "reproduce", "architectures", "--out", folder.path("out"), "--contenders", "retnet", "--data",
            folder.path("none.txt"), "--validation", text)
        #expect(reproduce.status == 1)
        #expect(reproduce.errors.contains("warning: --validation is now called --validation-data"))
    }

    @Test("Info answers for sixty-five billion parameters without making them")
    func info() throws {
        let outcome = try succeed(["info", "--preset", "torchscale-65b", "--json"])
        #expect(try outcome.json()["parameters"] as? Int ?? 0 > 50_000_000_000)
        #expect(outcome.errors.isEmpty)
    }

    @Test("Presets are listed with their sizes, as text and as JSON")
    func presets() throws {
        let entries = try succeed(["presets", "--json"]).json()["presets"] as? [[String: Any]] ?? []
        let text = try succeed(["presets"]).output
        #expect(entries.count >= 15)
        for entry in entries {
            #expect(entry["parameters"] as? Int ?? 0 > 0)
            #expect(text.contains(entry["name"] as? String ?? "?"))
        }
    }

    @Test("Doctor finds that everything needed works")
    func doctor() throws {
        let report = try succeed(["doctor", "--json"]).json()
        #expect(report["healthy"] as? Bool == true)
        #expect((report["dtypes"] as? [Any])?.count == 3)
        #expect((report["devices"] as? [Any])?.count == 3)
        #expect(try succeed(["doctor"]).output.contains("All required parts work."))
    }
}
