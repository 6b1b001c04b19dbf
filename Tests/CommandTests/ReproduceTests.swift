import Foundation
import RetNetTestSupport
import Testing

@Suite struct ReproduceTests {
    @Test("The recipes are listed, and help names all of them")
    func list() throws {
        let list = try succeed(["reproduce", "--list"]).output
        let help = try succeed(["reproduce", "--help"]).output
        for name in [
            "scaling", "training-cost", "inference-cost", "architectures", "ablations", "context-length",
            "recall",
        ] {
            #expect(list.contains(name))
            #expect(help.contains(name))
        }
    }

    static let usage = [
        ["reproduce"], ["reproduce", "ablations"],
        ["reproduce", "ablations", "--out", "@/o", "--scale", "huge"],
        ["reproduce", "ablations", "--out", "@/o", "--seeds", "1,1"],
        ["reproduce", "ablations", "--out", "@/o", "--seeds", "one"],
        ["reproduce", "ablations", "--out", "@/o", "--flops", "-1"],
        ["reproduce", "ablations", "--out", "@/o", "--devices", "0"],
        ["reproduce", "ablations", "--out", "@/o", "--validation-data", "@/x"],
        ["reproduce", "ablations", "--out", "@/o", "--data", "@/x", "--corpora", "@/y"],
        ["reproduce", "ablations", "--out", "@/o", "--data", "@/x", "--domain", "=@/x"],
        ["reproduce", "ablations", "--out", "@/o", "--learning-rate", "retnet"],
        ["reproduce", "ablations", "--out", "@/o", "--dtype", "float64"],
    ]

    @Test("Mistakes on the command line end with 64 before anything is done", arguments: usage)
    func mistakes(arguments: [String]) throws {
        let folder = try TemporaryFolder()
        let outcome = try RunningCommand(
            arguments.map { $0.replacingOccurrences(of: "@", with: folder.url.path) }
        )
        .wait()
        #expect(outcome.status == 64)
        #expect(outcome.errors.hasPrefix("error: "))
        #expect(try folder.names().isEmpty)
    }

    @Test("A recipe that does not exist is answered with the one that was meant")
    func unknown() throws {
        let outcome = try retnet("reproduce", "ablation", "--out", "x")
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("did you mean 'ablations'?"))
    }

    @Test("Contenders, texts and corpora that do not exist are named")
    func inputs() throws {
        let folder = try TemporaryFolder()
        for (arguments, words) in [
            (["--contenders", "eliza"], "'eliza'"), (["--contenders", ","], "no contender"),
            (["--data", folder.path("none.txt")], "none.txt"),
            (["--corpora", folder.path("none")], "none"), (["--learning-rate", "eliza=1"], "'eliza'"),
        ] {
            let outcome = try RunningCommand(
                ["reproduce", "architectures", "--out", folder.path("out")] + arguments
            ).wait()
            #expect(outcome.status == 1)
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(!folder.exists("out"))
    }

    @Test("Long experiments print their cost and do not start by themselves")
    func estimate() throws {
        let folder = try TemporaryFolder()
        let outcome = try retnet(
            "reproduce", "scaling", "--scale", "paper", "--flops", "1e14", "--devices", "512", "--out",
            folder.path("out"))
        #expect(outcome.status == 1)
        for words in ["18 models", "512 devices of", "one device", "memory", "--yes"] {
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(!folder.exists("out"))
    }
}
