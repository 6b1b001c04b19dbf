import Foundation
import RetNetTestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A named pipe that gives a text to the first reader.
struct Pipe {
    let path: String

    /// Makes the pipe in a folder.
    init(_ name: String, in folder: TemporaryFolder) throws {
        path = folder.path(name)
        guard mkfifo(path, 0o600) == 0 else { throw CommandFailure("cannot make the pipe '\(path)'") }
    }

    /// Makes the pipe and writes the text as soon as it is read.
    init(_ name: String, in folder: TemporaryFolder, giving text: String) throws {
        try self.init(name, in: folder)
        give(text)
    }

    /// Writes the text as soon as the pipe is read; calls `body` between.
    func give(_ text: String, after body: @escaping @Sendable () -> Void = {}) {
        let path = path
        Thread {
            // Opening waits for the reader.
            guard let handle = FileHandle(forWritingAtPath: path) else { return }
            body()
            try? handle.write(contentsOf: Data(text.utf8))
            try? handle.close()
        }.start()
    }
}

/// Values that begin with a dash, pipes in place of files, and links in place of folders.
@Suite struct InputTests {
    // MARK: Values that begin with a dash

    @Test("Options take every text and number, and only paths refuse what looks like an option")
    func strategies() throws {
        // Paths may be written with ./ in front, and a forgotten path must not swallow the next option.
        let paths = [
            "file", "dir", "path", "name|path", "task=path", "name=path", "path=value", "validation",
            "--data", "--validation-data",
        ]
        for command in try CommandDescription.all() {
            for option in command.arguments ?? [] where option.kind == "option" {
                let names = option.spellings + [option.valueName ?? ""]
                let isPath = names.contains(where: paths.contains)
                #expect(
                    (option.parsingStrategy == "unconditional") != isPath,
                    "\(command.testDescription) \(names): \(option.parsingStrategy)")
            }
        }
    }

    @Test("Prompts and stop texts may begin with a dash")
    func dashes() throws {
        let folder = try TemporaryFolder()
        let model = try TinyModel.train(in: folder, steps: 2)
        let common = ["generate", "--model", model, "--max-tokens", "2", "--seed", "1", "--json"]
        let prompts = ["- item", "-5 degrees", "---", "--json", "-", "--", "-=5", "--- a", "-n=2"]
        let result = try succeed(common + prompts.flatMap { ["--prompt", $0] } + ["--stop", "---"]).json()
        let rows = try #require(result["results"] as? [[String: Any]])
        #expect(rows.map { $0["prompt"] as? String } == prompts)
        // The bytes after the token that begins a document.
        #expect(rows.map { $0["prompt_tokens"] as? Int } == prompts.map { $0.utf8.count + 1 })
    }

    @Test("A negative number is answered with the range, not as a missing value")
    func negativeNumbers() throws {
        for (arguments, words) in [
            (["--steps", "-5"], "'-5' is not a whole number from 1"), (["--seed", "-1"], "'-1' is not"),
            (["--threads", "-1"], "from 1 to 1024, not -1"), (["--preset", "-x"], "no preset '-x'"),
        ] {
            let outcome = try RunningCommand(["train", "--out", "x", "--preset", "retnet-1m"] + arguments)
                .wait()
            #expect(outcome.status == 64, "\(arguments): \(outcome.errors)")
            #expect(outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
        }
    }

    // MARK: Pipes

    @Test("Options that read a file once read a pipe")
    func pipes() throws {
        let folder = try TemporaryFolder()
        try folder.write(TinyModel.text, to: "text.txt")
        let config = try Pipe("config", in: folder, giving: TinyModel.configuration(steps: 2))
        let data = try Pipe("data", in: folder, giving: TinyModel.text)
        let model = folder.path("run")
        try succeed([
            "train", "--config", config.path, "--data", data.path, "--out", model, "--device", "cpu",
        ])

        let prompt = try Pipe("prompt", in: folder, giving: "the cat")
        let generate = ["generate", "--model", model, "--max-tokens", "2", "--seed", "1", "--json"]
        let result = try succeed(generate + ["--prompt-file", prompt.path]).json()
        #expect((result["results"] as? [[String: Any]])?.first?["prompt"] as? String == "the cat")
        for path in ["/dev/stdin", "-"] {
            let arguments = generate + (path == "-" ? ["-"] : ["--prompt-file", path])
            let read = try succeed(arguments, input: "the cat").json()
            #expect((read["results"] as? [[String: Any]])?.first?["prompt"] as? String == "the cat")
        }

        let tokens = try Pipe("tokens", in: folder, giving: "[[1, 2, 3]]")
        let logits = ["logits", "--model", model, "--output", folder.path("logits"), "--tokens"]
        try succeed(logits + [tokens.path])
        let nothing = try RunningCommand(logits + ["/dev/null"]).wait()
        #expect(nothing.status == 1 && nothing.errors.contains("'/dev/null' is not JSON"))

        let text = try Pipe("text", in: folder, giving: TinyModel.text)
        let perplexity = ["eval", "perplexity", "--model", model, "--json", "--data"]
        let expected = try succeed(perplexity + [folder.path("text.txt")]).json()
        let found = try succeed(perplexity + [text.path]).json()
        #expect(found["total_nats"] as? Double == expected["total_nats"] as? Double)
        #expect(found["bytes"] as? Int == TinyModel.text.utf8.count)
        text.give(TinyModel.text)
        let report = try succeed(["tokenize", "--data", text.path, "-o", folder.path("o.rtok"), "--json"])
        #expect(try report.json()["tokens"] as? Int == TinyModel.text.utf8.count)
        let empty = try RunningCommand(["tokenize", "--data", "/dev/null", "-o", folder.path("x")]).wait()
        #expect(empty.status == 1 && empty.errors.contains("no text in '/dev/null'"))
    }

    @Test("Options that need a file say so about a pipe, and do not wait for it")
    func filesOnly() throws {
        let folder = try TemporaryFolder()
        let model = try TinyModel.train(in: folder, steps: 2)
        let pipe = try Pipe("pipe", in: folder)
        for arguments in [
            ["generate", "--model", model, "--prompt", "x", "--state-in", pipe.path],
            [
                "tokenize", "--data", folder.path("text.txt"), "-o", folder.path("o"), "--tokenizer",
                pipe.path,
            ],
            ["demo", "--out", folder.path("demo"), "--data", pipe.path],
            [
                "t5", "finetune", "--out", folder.path("t5"), "--model", model, "--task",
                "sst2=" + folder.path("text.txt"), "--validation-data", "sst2=" + pipe.path,
            ],
        ] {
            let outcome = try RunningCommand(arguments).wait()
            #expect(outcome.status == 1, "\(arguments): \(outcome.errors)")
            #expect(outcome.errors.contains("only once"), "\(arguments): \(outcome.errors)")
        }
    }

    // MARK: Links

    @Test("A linked folder is read like the folder, and what is left out is named")
    func links() throws {
        let folder = try TemporaryFolder()
        let files = FileManager.default
        try files.createDirectory(atPath: folder.path("e/inner"), withIntermediateDirectories: true)
        try folder.write("x\n", to: "e/y.txt")
        try folder.write("no\n", to: "e/z.csv")
        try files.createSymbolicLink(atPath: folder.path("l"), withDestinationPath: "e")
        try files.createSymbolicLink(atPath: folder.path("e/inner/up"), withDestinationPath: "..")
        let outcome = try succeed([
            "tokenize", "--data", folder.path("l"), "-o", folder.path("o.rtok"), "--json",
        ])
        #expect(try outcome.json()["tokens"] as? Int == 2)
        let warnings = outcome.errors.split(separator: "\n")
        #expect(warnings.count == 2 && warnings.allSatisfy { $0.hasPrefix("warning: in '") })
        #expect(outcome.errors.contains("'z.csv'") && outcome.errors.contains("'inner/up'"))
        try folder.write(TinyModel.text, to: "e/y.txt")
        let arguments = try TinyModel.arguments(in: folder, steps: 2)
        let training = try succeed(arguments.map { $0 == folder.path("text.txt") ? folder.path("l") : $0 })
        #expect(training.errors.contains("'z.csv'") && training.errors.contains("'inner/up'"))
    }
}
