import ArgumentParser
import Foundation
import RetNetExperiments
import RetNetReporting
import RetNetTorch
import RetNetTraining

extension ExperimentScale: ExpressibleByArgument {}

/// `retnet reproduce`: tables and figures of the papers.
struct ReproduceCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "reproduce",
        abstract: "Run one table or figure of the paper at a scale of your choice, with a report.",
        discussion: """
            Recipes:

            \(Experiment.recipes.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n"))

            Every contender sees the same text in the same order, tokens, schedule and budget of parameters. A run that \
            was stopped goes on when the same command is given again. Without --data or --corpora the text is made up, \
            and the report says so.
            """)

    @Argument(help: "The recipe.")
    var recipe: String?

    @Flag(help: "List the recipes.")
    var list = false

    @Option(help: "tiny (minutes), small (a night) or paper (the published settings).")
    var scale: ExperimentScale = .tiny

    @Option(help: ArgumentHelp("The folder of the results; it is made if needed.", valueName: "dir"))
    var out: String?

    @OptionGroup var texts: ExperimentTextOptions

    @Option(help: "Contenders instead of the recipe's own, separated by commas, or all.")
    var contenders: String?

    @Option(
        help: ArgumentHelp(
            "A learning rate of its own for one contender; may be given several times.",
            valueName: "name=rate"),
        transform: Self.learningRate)
    var learningRate: [(name: String, rate: Double)] = []

    @Option(help: "Seeds separated by commas.", transform: Self.seeds)
    var seeds = [1, 2, 3]

    @Option(
        help: "Useful FLOP a second of one device, for the estimate before a long run (default: measured).",
        transform: Self.flops)
    var flops: Double?

    @Option(help: "Devices to divide the estimate by.", transform: Arguments.positive)
    var devices = 1

    @Flag(help: "Start a long run after its estimate has been printed.")
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
        let (place, elementType) = try device.prepare(.fast)
        let interrupt = InterruptFlag.onSignals()
        var context = ExperimentContext(
            scale: scale, texts: try .none(), seeds: seeds,
            contenders: contenders?.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) },
            computeType: elementType, device: place)
        context.measure = {
            try MeasuringProcess.run(Self.benchArguments($0) + device.arguments, interrupt: interrupt)
        }
        for (name, rate) in learningRate { context.learningRates[name] = rate }
        // Whatever is wrong with the options must be known before texts are read.
        if let cost = try Experiment(type, context: context, folder: out).estimate() {
            let rate = try flops ?? Self.measuredFLOPs(on: place, elementType)
            Console.note(cost.text(flopsPerSecond: rate, deviceCount: devices))
            guard yes else {
                throw CommandError(
                    "this is a long run: add --yes to start it"
                        + (flops == nil ? ", and --flops to have it estimated for other hardware" : ""))
            }
        }
        if type.readsTexts { context.texts = try texts.read(scale) }
        let experiment = try Experiment(type, context: context, folder: out)
        Console.result(try experiment.run(isInterrupted: { interrupt.isRaised }))
    }

    /// Returns the arguments with which this program makes a measurement.
    private static func benchArguments(_ measurement: SpeedMeasurement) -> [String] {
        switch measurement {
        case .training(let preset, let form, let batch, let length, let repetitions):
            [
                "bench", "train", "--preset", preset, "--length", "\(length)", "--batch", "\(batch)",
                "--form",
                "\(form)", "--repetitions", "\(repetitions)", "--json",
            ]
        case .generation(let preset, let batch, let positions, let tokenCount, let repetitions):
            [
                "bench", "decode", "--preset", preset, "--batch", "\(batch)", "--positions",
                positions.map(String.init).joined(separator: ","), "--tokens", "\(tokenCount)",
                "--repetitions", "\(repetitions)", "--json",
            ]
        }
    }

    /// The FLOP a second of matrix products of this device; training reaches about half of it.
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
                // The first product pays for starting threads and choosing kernels.
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
            throw ValidationError("'\(text)' is not a number of FLOP a second, such as 4e14")
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
