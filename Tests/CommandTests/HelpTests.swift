import Foundation
import Testing

@Suite struct HelpTests {
    static let commands = [
        ["demo"], ["train"], ["generate"], ["logits"], ["eval"], ["eval", "perplexity"], ["eval", "recall"],
        ["bench"], ["bench", "train"], ["bench", "prefill"], ["bench", "decode"], ["bench", "t5"], ["t5"],
        ["t5", "create"], ["t5", "convert"], ["t5", "logits"], ["t5", "generate"], ["info"], ["presets"],
        ["tokenize"], ["doctor"], ["bench", "architectures"], ["bench", "altup"], ["altup"], ["reproduce"],
    ]

    @Test("Every command explains itself and every option of it", arguments: commands)
    func help(command: [String]) throws {
        let outcome = try succeed(command + ["--help"])
        #expect(outcome.output.contains("OVERVIEW:"))
        #expect(outcome.output.contains("USAGE: retnet \(command.joined(separator: " "))"))
        #expect(outcome.errors.isEmpty)
        // An explanation stands in the line of its option or, where that is long, in the next.
        let lines = outcome.output.split(separator: "\n", omittingEmptySubsequences: false)
        for (line, next) in zip(lines, lines.dropFirst() + [""]) where line.hasPrefix("  -") {
            #expect(line.split(separator: " ").count > 3 || next.hasPrefix("        "), "\(line)")
        }
    }

    @Test("The root names all commands, and the version names LibTorch")
    func root() throws {
        let help = try succeed(["--help"]).output
        for command in Self.commands { #expect(help.contains(command[0])) }
        #expect(try succeed(["--version"]).output.contains("LibTorch 2."))
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
        #expect(try succeed(["doctor"]).output.contains("Everything that is needed works."))
    }
}
