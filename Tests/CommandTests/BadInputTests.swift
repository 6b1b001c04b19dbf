import Foundation
import RetNetTestSupport
import Testing

/// What a mistake must lead to: one message that contains some words, and an exit code.
struct Mistake: CustomStringConvertible, Sendable {
    let arguments: [String]
    let words: String
    var status: Int32 = 1
    var input: String?

    var description: String { arguments.joined(separator: " ") }
}

/// Arguments hold `@` where the folder of the test is to be put.
@Suite struct BadInputTests {
    static let usage: [Mistake] =
        [
            ["--nonsense"], ["train", "--nonsense"], ["nonsense"], ["info"],
            ["info", "--preset", "retnet-3m", "--model", "x"], ["generate", "--model", "@/run"],
            ["generate", "--model", "@/run", "text"], ["generate", "--prompt", "x"],
            ["generate", "--model", "@/run", "--prompt", "x", "-n", "-3"],
            ["generate", "--model", "@/run", "--prompt", "x", "--temperature", "nan"],
            ["generate", "--model", "@/run", "--prompt", "x", "--top-p", "0"],
            ["generate", "--model", "@/run", "--prompt", "x", "--seed", "-1"],
            ["logits", "--model", "@/run", "--tokens", "x", "--form", "diagonal", "--output", "@/out"],
            ["logits", "--model", "@/run", "--tokens", "x", "--form", "chunkwise:0", "--output", "@/out"],
            ["eval", "perplexity", "--model", "@/run", "--data", "@/text.txt", "--context", "0"],
            ["eval", "perplexity", "--model", "@/run", "--data", "@/text.txt", "--overlap", "5"],
            ["bench", "train", "--preset", "retnet-1m", "--length", "0"],
            ["bench", "train", "--preset", "retnet-1m", "--batch", "99999999999999999999"],
            ["bench", "train", "--preset", "retnet-1m", "--form", "parallel", "--chunk", "4"],
            ["bench", "decode", "--preset", "retnet-1m", "--positions", "10,,20"],
            ["bench", "decode", "--preset", "retnet-1m", "--threads", "0"],
            ["bench", "altup", "--preset", "retnet-8m-altup2"], ["bench", "altup", "--blocks", "2,,4"],
            ["bench", "architectures", "--only", "retnet,nobody"],
            ["train", "--out", "@/out"],
            ["train", "--preset", "retnet-1m", "--config", "x", "--out", "@/out"],
            ["train", "--preset", "retnet-1m", "--steps", "0", "--data", "@/text.txt", "--out", "@/out"],
            [
                "train", "--preset", "retnet-1m", "--dtype", "float64", "--data", "@/text.txt", "--out",
                "@/out",
            ],
            ["tokenize", "--data", "@/text.txt"],
            ["tokenize", "--data", "@/text.txt", "--document-separator", "x", "-o", "y"],
            ["demo", "--minutes", "nan", "--out", "@/out"],
            ["eval", "perplexity", "--model", "@/run", "--data", "@/text.txt", "--dtype", "int8"],
            ["eval", "perplexity", "--model", "@/run", "--data", "@/text.txt", "--device", "abacus"],
        ].map { Mistake(arguments: $0, words: "", status: 64) } + [
            Mistake(
                arguments: ["info", "--preset", "retnet-3"], words: "did you mean 'retnet-3m'", status: 64)
        ]

    static let inputs: [Mistake] =
        [
            Mistake(arguments: ["info", "--model", "@/none"], words: "there is no model at"),
            Mistake(arguments: ["info", "--model", "@"], words: "no model"),
            Mistake(arguments: ["info", "--model", "@/broken-config"], words: "hidden_size"),
            Mistake(
                arguments: ["generate", "--model", "@/run", "--prompt", "x", "--device", "cuda:99"],
                words: "cuda:99"),
            Mistake(arguments: ["generate", "--model", "@/run", "--prompt-file", "@/none"], words: "none"),
            Mistake(
                arguments: ["generate", "--model", "@/run", "--prompt-file", "@/latin.txt"], words: "UTF-8"),
            Mistake(
                arguments: ["generate", "--model", "@/run", "--prompt", "x", "--state-in", "@/text.txt"],
                words: "text.txt"),
            Mistake(
                arguments: ["generate", "--model", "@/run", "--prompt", "x", "--state-out", "@/none/state"],
                words: "does not exist"),
            Mistake(arguments: ["generate", "--model", "@/truncated", "--prompt", "x"], words: "truncated"),
            Mistake(arguments: ["generate", "--model", "@/nan", "--prompt", "x"], words: "is not finite"),
            Mistake(
                arguments: ["eval", "perplexity", "--model", "@/nan", "--data", "@/text.txt"],
                words: "is not finite"),
            Mistake(
                arguments: [
                    "eval", "perplexity", "--model", "@/nan", "--data", "@/text.txt", "--engine", "libtorch",
                ], words: "NaN"),
            Mistake(
                arguments: ["eval", "perplexity", "--model", "@/run/config.yaml", "--data", "@/text.txt"],
                words: "config.yaml"),
            Mistake(
                arguments: ["generate", "--model", "@/run/model/config.json", "--prompt", "x"],
                words: "holds no weights: give its folder"),
            Mistake(
                arguments: ["convert", "@/run/model/config.json", "--check"],
                words: "holds no weights: give its folder"),
            Mistake(
                arguments: [
                    "generate", "--model", "@/run", "--prompt", "x", "--engine", "runtime", "--dtype",
                    "bfloat16",
                ], words: "--engine libtorch takes it"),
            Mistake(
                arguments: [
                    "bench", "prefill", "--model", "@/run", "--engine", "runtime", "--chunk", "8",
                ],
                words: "has no --chunk"),
            Mistake(
                arguments: ["eval", "perplexity", "--model", "@/run", "--data", "@/none"], words: "none"),
            Mistake(
                arguments: ["eval", "perplexity", "--model", "@/run", "--data", "@/empty.txt"],
                words: "no text"),
            Mistake(
                arguments: ["eval", "perplexity", "--model", "@/run", "--data", "@/latin.txt"], words: "UTF-8"
            ),
            Mistake(
                arguments: ["eval", "perplexity", "--model", "@/run", "--data", "@/broken.gz"],
                words: "broken.gz"),
            Mistake(
                arguments: ["eval", "perplexity", "--model", "@/text.txt", "--data", "@/text.txt"],
                words: "text.txt"),
            Mistake(arguments: ["tokenize", "--data", "@/empty.txt", "-o", "@/out"], words: "no text"),
            Mistake(arguments: ["tokenize", "--data", "@/latin.txt", "-o", "@/out"], words: "UTF-8"),
            Mistake(
                arguments: ["tokenize", "--data", "@/text.txt", "-o", "@/empty.txt"], words: "exists already"),
            Mistake(
                arguments: ["tokenize", "--data", "@/text.txt", "-o", "@/none/out"], words: "does not exist"),
            Mistake(
                arguments: ["demo", "--out", "@/run", "--steps", "1"],
                words: "not the folder of an earlier demo"),
        ]
        + rows.map { rows, words in
            Mistake(
                arguments: ["logits", "--model", "@/run", "--tokens", "-", "--output", "@/out"], words: words,
                input: rows)
        }

    static let rows = [
        ("", "not JSON"), ("[[1,2]", "not JSON"), ("{}", "array of rows"), ("[]", "array of rows"),
        ("[1]", "row 0"),
        ("[[]]", "row 0 is empty"), ("[[1,2],[3]]", "rows must have one length"),
        ("[[1,256]]", "row 0, token 1 is 256"),
        ("[[-1]]", "is -1"), ("[[1.5]]", "not a whole number"), ("[[\"a\"]]", "not a whole number"),
        ("[[99999999999999999999999]]", "row 0"),
    ]

    static let training: [Mistake] = [
        Mistake(arguments: ["--data", "@/none"], words: "none"),
        Mistake(arguments: ["--data", "@/empty.txt"], words: "no text"),
        Mistake(arguments: ["--data", "@/latin.txt"], words: "UTF-8"),
        Mistake(arguments: ["--data", "@/short.txt"], words: "short"),
        Mistake(arguments: [], words: "data"),
        Mistake(arguments: ["--data", "@/text.txt", "--config", "@/none.yaml"], words: "none.yaml"),
        Mistake(arguments: ["--data", "@/text.txt", "--config", "@/latin.txt"], words: "latin.txt"),
        Mistake(
            arguments: ["--data", "@/text.txt", "--set", "optimiser.learning_rate=1"], words: "optimizer"),
        Mistake(
            arguments: ["--data", "@/text.txt", "--set", "optimizer.learning_rate=fast"],
            words: "learning_rate"),
        Mistake(arguments: ["--data", "@/text.txt", "--set", "nonsense"], words: "nonsense"),
        Mistake(arguments: ["--data", "@/text.txt", "--set", "data.length=0"], words: "data.length"),
        Mistake(arguments: ["--data", "@/text.txt", "--set", "epochs=2"], words: "only one of"),
        Mistake(arguments: ["--data", "@/text.txt", "--set", "model.mixer.key_size=15"], words: "key_size"),
        Mistake(
            arguments: ["--data", "@/text.txt", "--set", "model.vocabulary_size=100"], words: "vocabulary"),
        Mistake(arguments: ["--data", "@/text.txt", "--resume"], words: "no run to resume"),
        Mistake(
            arguments: ["--data", "@/text.txt", "--set", "model.hidden_size=-1", "--set", "data.lenght=5"],
            words: "lenght"),
    ]

    @Test("A mistake in the command line gives a message, the usage and exit code 64", arguments: usage)
    func usageMistake(mistake: Mistake) throws {
        let folder = try TemporaryFolder()
        try folder.write(TinyModel.text, to: "text.txt")
        let before = try folder.names()
        try check(mistake, in: folder)
        #expect(try folder.names() == before)
    }

    @Test("Bad input gives one message and exit code 1, and leaves no files behind")
    func badInput() throws {
        let folder = try TemporaryFolder()
        try prepare(folder)
        let before = try folder.names()
        for mistake in Self.inputs {
            try check(mistake, in: folder)
            #expect(try folder.names() == before, "\(mistake)")
        }
    }

    @Test("Bad configurations and texts are refused before a run begins")
    func badTraining() throws {
        let folder = try TemporaryFolder()
        try folder.write(TinyModel.configuration(steps: 2), to: "config.yaml")
        try prepareTexts(folder)
        let before = try folder.names()
        for mistake in Self.training {
            var arguments = ["train", "--out", "@/out", "--device", "cpu"] + mistake.arguments
            if !arguments.contains("--config") { arguments += ["--config", "@/config.yaml"] }
            try check(Mistake(arguments: arguments, words: mistake.words), in: folder)
            #expect(try folder.names() == before, "\(mistake)")
        }
    }

    private func check(_ mistake: Mistake, in folder: TemporaryFolder) throws {
        let arguments = mistake.arguments.map { $0.replacingOccurrences(of: "@", with: folder.url.path) }
        let outcome = try RunningCommand(arguments, input: mistake.input).wait()
        #expect(outcome.status == mistake.status, "\(mistake): \(outcome.errors)")
        #expect(outcome.output.isEmpty, "\(mistake): \(outcome.output)")
        let messages = outcome.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
        #expect(messages.count == 1, "\(mistake): \(outcome.errors)")
        #expect(
            mistake.words.isEmpty || outcome.errors.contains(mistake.words), "\(mistake): \(outcome.errors)")
    }

    private func prepareTexts(_ folder: TemporaryFolder) throws {
        try folder.write(TinyModel.text, to: "text.txt")
        try folder.write("", to: "empty.txt")
        try folder.write("abc", to: "short.txt")
        try Data([0x63, 0x61, 0x66, 0xE9, 0x0A]).write(to: folder.url("latin.txt"))
        try Data([0x1F, 0x8B, 0x08, 0x00, 0x01, 0x02]).write(to: folder.url("broken.gz"))
    }

    private func prepare(_ folder: TemporaryFolder) throws {
        let run = try TinyModel.train(in: folder, steps: 2)
        try prepareTexts(folder)
        let files = FileManager.default
        for name in ["truncated", "nan", "broken-config"] {
            try files.createDirectory(atPath: folder.path(name), withIntermediateDirectories: false)
            for file in ["config.json", "model.safetensors", "tokenizer_config.json"] {
                try files.copyItem(atPath: run + "/model/" + file, toPath: folder.path("\(name)/\(file)"))
            }
        }
        var bytes = try Data(contentsOf: folder.url("nan/model.safetensors"))
        bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: [0, 0, 0xC0, 0x7F])
        try bytes.write(to: folder.url("nan/model.safetensors"))
        try bytes.dropLast(100).write(to: folder.url("truncated/model.safetensors"))
        let configuration = try folder.text("broken-config/config.json")
        try folder.write(
            configuration.replacingOccurrences(of: "\"hidden_size\": 32", with: "\"hidden_size\": \"wide\""),
            to: "broken-config/config.json")
    }
}
