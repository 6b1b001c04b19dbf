import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetDistributed
import RetNetExperiments
import RetNetReporting
import RetNetStorage
import RetNetText
import RetNetTorch

extension ExperimentScale: ExpressibleByArgument {}
extension TokenizerRecipe: ExpressibleByArgument {}

/// `retnet reproduce`: tables and figures of the papers.
struct ReproduceCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "reproduce",
        abstract: "Reproduce one table or figure of a paper, with a report.",
        discussion: """
            Recipes:

            \(Experiment.recipes.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n"))

            All contenders have the same text in the same order, tokens, schedule and parameter budget. The same \
            command resumes an interrupted run. Without --data or --corpora the text is generated, which the report \
            states. Ranks started by `retnet launch`, torchrun, mpirun or srun train some of the models each and need --out in \
            a folder that all of them see; speed is measured by rank 0 alone.
            """)

    @Argument(help: "Recipe.")
    var recipe: String?

    @Flag(help: "List the recipes.")
    var list = false

    @Option(
        parsing: .unconditional,
        help: "Scale: tiny (minutes), small (a night) or paper (the published settings).")
    var scale: ExperimentScale = .tiny

    @Option(help: ArgumentHelp("Folder of the results; created if needed.", valueName: "dir"))
    var out: String?

    @OptionGroup var texts: ExperimentTextOptions

    @Option(
        parsing: .unconditional, help: "Contenders instead of the recipe's own, separated by commas, or all.")
    var contenders: String?

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "Learning rate of one contender; may be given several times.",
            valueName: "name=rate"),
        transform: Self.learningRate)
    var learningRate: [(name: String, rate: Double)] = []

    @Option(parsing: .unconditional, help: "Seeds separated by commas.", transform: Self.seeds)
    var seeds = [1, 2, 3]

    @Option(
        parsing: .unconditional,
        help: "Useful FLOP per second of one device, for the estimate before a long run (default: measured).",
        transform: Self.flops)
    var flops: Double?

    @Option(
        parsing: .unconditional, help: "Number of devices, for the estimate.", transform: Arguments.positive)
    var devices = 1

    @Flag(help: "Start a long run after its estimate.")
    var yes = false

    @OptionGroup var device: DeviceOptions

    func validate() throws {
        if list { return }
        guard let recipe else { throw ValidationError("give a recipe, or --list") }
        do {
            _ = try Experiment.recipe(named: recipe)
        } catch {
            throw ValidationError("\(error)")
        }
        if out == nil { throw ValidationError("give a folder for the results with --out") }
        if device.elementTypeName == "float64" {
            throw ValidationError("training computes in float32 or bfloat16, not float64")
        }
    }

    func run() throws {
        guard !list, let recipe, let out else {
            var table = TextTable(header: ["recipe", "shows"])
            for recipe in Experiment.recipes { table.append([recipe.name, recipe.summary]) }
            Console.result(table.text())
            return
        }
        let type = try Experiment.recipe(named: recipe)
        if texts.tokenizer != nil, !type.takesTokenizer {
            let names = Experiment.recipes.filter { $0.takesTokenizer }.map { $0.name }
            throw CommandError(
                "'\(recipe)' reads no text or reads it as bytes: leave --tokenizer out; it is for "
                    + names.joined(separator: ", "))
        }
        let assignment = try SharedWork.assignment()
        try SharedWork.run(assignment) {
            try run(type, out, device: device.shared(by: assignment), $0)
        }
    }

    private func run(
        _ type: any Recipe.Type, _ out: String, device: DeviceOptions, _ group: ProcessGroup?
    ) throws {
        let isFirst = group?.rank ?? 0 == 0
        let (place, elementType) = try device.prepare(.fast, warns: isFirst)
        let interrupt = InterruptFlag.onSignals()
        var context = ExperimentContext(
            scale: scale, texts: try .none(), seeds: seeds,
            contenders: contenders?.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) },
            computeType: elementType, device: place)
        context.measure = {
            try MeasuringProcess.run(Self.benchArguments($0) + device.arguments, interrupt: interrupt)
        }
        for (name, rate) in learningRate { context.learningRates[name] = rate }
        // Errors in the options are reported before texts are read.
        if let cost = try Experiment(type, context: context, folder: out).estimate(), isFirst {
            let rate = try flops ?? Self.measuredFLOPs(on: place, elementType)
            Console.note(cost.text(flopsPerSecond: rate, deviceCount: devices))
            guard yes else {
                throw CommandError(
                    "this is a long run: add --yes to start it"
                        + (flops == nil ? ", and --flops for an estimate of other hardware" : ""))
            }
        }
        if type.readsTexts {
            context.texts = try texts.read(scale)
            if let tokenizer = texts.tokenizer {
                if isFirst { Console.note("training the tokenizer \(tokenizer)") }
                context.texts = try context.texts.encoded(with: tokenizer)
            }
        }
        let experiment = try Experiment(type, context: context, folder: out)
        let report = try experiment.run(isInterrupted: { interrupt.isRaised }, ranks: group)
        if isFirst { Console.result(report) }
    }

    /// Returns the arguments with which this program makes a measurement.
    private static func benchArguments(_ measurement: SpeedMeasurement) -> [String] {
        switch measurement {
        case .training(let preset, let form, let batch, let length, let repetitions):
            [
                "bench", "train", "--preset", preset, "--length", "\(length)", "--batch", "\(batch)",
                "--form", "\(form)", "--repetitions", "\(repetitions)", "--json",
            ]
        case .generation(let preset, let batch, let positions, let tokenCount, let repetitions):
            [
                "bench", "decode", "--preset", preset, "--batch", "\(batch)", "--positions",
                positions.map(String.init).joined(separator: ","), "--max-tokens", "\(tokenCount)",
                "--repetitions", "\(repetitions)", "--json",
            ]
        }
    }

    /// Returns half of the measured FLOP per second of matrix products, about the rate of training.
    private static func measuredFLOPs(on device: Device, _ type: ElementType) throws -> Double {
        try withoutGradients {
            let size = 1024
            let matrix = try Tensor.ones([size, size], type, on: device)
            var timings = Timings()
            for round in 0..<6 {
                let work = {
                    _ = try matrix.matmul(matrix)
                    try device.synchronize()
                }
                // The first product includes the start of threads and the choice of kernels.
                if round == 0 { try work() } else { try timings.time(work) }
            }
            return pow(Double(size), 3) * 2 / max(timings.median, 1e-9) / 2
        }
    }

    private static func seeds(_ text: String) throws -> [Int] {
        let seeds = try text.split(separator: ",").map { try Arguments.seed(String($0)) }
        guard !seeds.isEmpty, Set(seeds).count == seeds.count else {
            throw ValidationError("--seeds needs different whole numbers separated by commas")
        }
        return seeds
    }

    private static func flops(_ text: String) throws -> Double {
        guard let value = Double(text), value.isFinite, value > 0 else {
            throw ValidationError("'\(text)' is not a number of FLOP per second, such as 4e14")
        }
        return value
    }

    private static func learningRate(_ text: String) throws -> (name: String, rate: Double) {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, let rate = Double(parts[1]), rate.isFinite, rate > 0 else {
            throw ValidationError("--learning-rate needs NAME=RATE, such as rwkv=1e-3, not '\(text)'")
        }
        return (parts[0], rate)
    }
}

/// The texts of an experiment.
struct ExperimentTextOptions: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Files or folders of text to train on.", valueName: "path"))
    var data: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Held-out text (default: a tenth of --data).", valueName: "path"))
    var validationData: [String] = []

    @Option(name: .customLong("validation"), parsing: .upToNextOption, help: .hidden)
    var formerValidation: [String] = []

    private var hasValidation: Bool { !validationData.isEmpty || !formerValidation.isEmpty }

    @Option(
        help: ArgumentHelp(
            "Text of another domain to score; may be given several times.", valueName: "name=path"))
    var domain: [String] = []

    @Option(
        help: ArgumentHelp(
            "Folder with lm/wikitext-2, lm/novels and long/, instead of --data.", valueName: "dir"))
    var corpora: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Tokenizer to train on the training text first: train:bpe:N or train:unigram:N (default: bytes).",
            valueName: "recipe"))
    var tokenizer: TokenizerRecipe?

    func validate() throws {
        if corpora != nil, !data.isEmpty || hasValidation || !domain.isEmpty {
            throw ValidationError("give --corpora, or --data with --validation-data and --domain, not both")
        }
        if data.isEmpty, hasValidation || !domain.isEmpty {
            throw ValidationError("--validation-data and --domain need --data")
        }
        for entry in domain {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                throw ValidationError("--domain needs NAME=PATH, not '\(entry)'")
            }
        }
    }

    /// Reads the texts; generated stories where none are given.
    func read(_ scale: ExperimentScale) throws -> ExperimentTexts {
        if let corpora {
            let folder = CorporaFolder(corpora)
            for remark in try Corpus.remarks(on: folder.textFolders) { Console.warn(remark) }
            return try folder.texts(scale: scale)
        }
        guard !data.isEmpty else {
            Console.note("no text was given: training on generated stories")
            return try .stories(byteCount: scale == .tiny ? 4_000_000 : 32_000_000)
        }
        let former = Console.former(
            "--validation", formerValidation.isEmpty ? nil : formerValidation, now: "--validation-data")
        let validation = validationData + (former ?? [])
        let domains = domain.map { entry in
            let parts = entry.split(separator: "=", maxSplits: 1)
            return (name: String(parts[0]), path: String(parts[1]))
        }
        for remark in try Corpus.remarks(on: data + validation + domains.map(\.path)) { Console.warn(remark) }
        return try .files(training: data, validation: validation, domains: domains)
    }
}
