import ArgumentParser
import Experiments
import Foundation
import Reporting
import Torch
import Training

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

    @Option(help: "The folder of the results; it is made if needed.")
    var out: String?

    @Option(parsing: .upToNextOption, help: "Files and folders of text to learn from.")
    var data: [String] = []

    @Option(parsing: .upToNextOption, help: "Held-out text (default: a tenth of --data).")
    var validation: [String] = []

    @Option(help: "Text of another kind, as NAME=PATH; may be given several times.")
    var domain: [String] = []

    @Option(help: "A folder with lm/wikitext-2, lm/novels and long/, instead of --data.")
    var corpora: String?

    @Option(help: "Contenders instead of the recipe's own, separated by commas.")
    var contenders: String?

    @Option(help: "Seeds separated by commas.", transform: Self.seeds)
    var seeds = [1, 2, 3]

    @Option(
        help: "Useful FLOP a second of the hardware, for the estimate before a long run.",
        transform: Self.flops)
    var flops = 1e12

    @Flag(help: "Start a long run without being asked.")
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
        if corpora != nil, !data.isEmpty || !validation.isEmpty || !domain.isEmpty {
            throw ValidationError("give --corpora, or --data with --validation and --domain, not both")
        }
        if data.isEmpty, !validation.isEmpty || !domain.isEmpty {
            throw ValidationError("--validation and --domain need --data")
        }
        for entry in domain where !entry.dropFirst().contains("=") {
            throw ValidationError("--domain needs NAME=PATH, not '\(entry)'")
        }
    }

    func run() throws {
        guard !list, let recipe, let out else {
            var table = TextTable(header: ["recipe", "shows"])
            for recipe in Experiment.recipes { table.append([recipe.name, recipe.summary]) }
            Console.result(table.text())
            return
        }
        let (device, type) = try device.prepare(.fast)
        let interrupt = InterruptFlag.onSignals()
        var context = ExperimentContext(
            scale: scale, texts: try texts(), seeds: seeds,
            contenders: contenders?.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) },
            computeType: type, device: device)
        context.measure = { try Self.measure($0) }
        let experiment = try Experiment(
            try Experiment.recipe(named: recipe), context: context, folder: out)
        if let cost = try experiment.estimate() {
            Console.note(cost.text(flopsPerSecond: flops))
            guard yes else {
                throw CommandError("this is a long run: start it with --yes (and --flops for a better estimate)")
            }
        }
        let path = try experiment.run(isInterrupted: { interrupt.isRaised })
        Console.result(path)
    }

    private func texts() throws -> ExperimentTexts {
        if let corpora { return try CorporaFolder(corpora).texts(scale: scale) }
        guard !data.isEmpty else {
            Console.note("no text was given: learning from made-up stories")
            return try .stories()
        }
        return try .files(
            training: data, validation: validation,
            domains: domain.map { entry in
                let parts = entry.split(separator: "=", maxSplits: 1)
                return (String(parts[0]), String(parts[1]))
            })
    }

    /// Runs this program with other arguments and reads the JSON object that it prints.
    private static func measure(_ arguments: [String]) throws -> [String: Any] {
        guard let program = Bundle.main.executableURL else {
            throw CommandError("the place of this program is not known, so it cannot measure in a fresh process")
        }
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = Pipe()
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0,
            let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else {
            throw CommandError("`retnet \(arguments.joined(separator: " "))` failed: run it alone to see why")
        }
        return object
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
}
