import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetEvaluation
import RetNetGeneration
import RetNetLayers
import RetNetModels
import RetNetPlots
import RetNetReporting
import RetNetStorage
import RetNetStories
import RetNetText
import RetNetTorch
import RetNetTraining

/// The steps of the demo in their order.
struct Demo {
    /// The models to choose from, the largest first.
    let plans: [DemoPlan]
    /// The kind of stories; by default that of the plan.
    let level: StoryLevel?
    /// Paths of the user's text; empty for stories.
    let text: [String]
    let folder: DemoFolder
    let minutes: Double
    let steps: Int?
    let device: Device
    let elementType: ElementType
    let seed: Int

    /// The updates of the Transformer, which is there for its cost of decoding, as a share of RetNet's.
    static let peerShare = 0.2

    /// Bytes of stories; enough that few are seen twice in the time of a demo.
    private static let storyByteCount = 16_000_000

    var tellsStories: Bool { text.isEmpty }

    func run() throws {
        let interrupt = InterruptFlag.onSignals()
        let lock = try folder.prepare()
        defer { withExtendedLifetime(lock) {} }
        title("The model for this machine")
        let (plan, stepCount) = try choosePlan()
        let level = level ?? plan.level
        title("The text")
        let paths = try prepareText(level)
        title("Training")
        let outcome = try train(.retnet, plan, stepCount, paths, in: folder.runPath, interrupt)
        let loaded = try load(outcome)
        try showTraining(outcome)
        if tellsStories {
            title("Recall")
            try showRecall(loaded, level)
        }
        title(tellsStories ? "Generated stories" : "Generated text")
        try showTexts(loaded, paths, level, interrupt)
        title("The cost of decoding")
        let peer = try load(
            train(
                .transformer, plan, max(1, Int(Double(stepCount) * Self.peerShare)), paths,
                in: folder.peerPath, interrupt))
        try showDecoding([
            (plan.title(.retnet), loaded.model), (plan.title(.transformer), peer.model),
        ])
        showFiles(outcome)
    }

    private func title(_ text: String) {
        Console.result("\n\(text)\n" + String(repeating: "-", count: text.count))
    }

    // MARK: The plan

    /// Returns the first plan that gets enough tokens in the given time, or the last, with its number of updates.
    private func choosePlan() throws -> (plan: DemoPlan, stepCount: Int) {
        let chosen: (plan: DemoPlan, stepCount: Int)
        if plans.count == 1, let steps {
            // Nothing depends on the speed.
            chosen = (plans[0], steps)
        } else {
            chosen = try planBySpeed()
        }
        Console.result(
            "\(chosen.plan.description), \(elementType.rawValue) on \(device) with \(Runtime.threadCount) threads:"
                + " \(Format.grouped(chosen.stepCount)) updates of \(Format.grouped(chosen.plan.tokensPerStep)) tokens"
        )
        return chosen
    }

    private func planBySpeed() throws -> (plan: DemoPlan, stepCount: Int) {
        let seconds = minutes * 60 / (1 + Self.peerShare)
        var table = TextTable(
            header: ["model", "tokens per second", "tokens in the time", "needed"],
            alignments: [.left, .right, .right, .right])
        for (index, plan) in plans.enumerated() {
            let speed = try plan.tokensPerSecond(on: device, elementType)
            let (tokens, needed) = (speed * seconds, plan.fewestTokenCount)
            table.append([
                plan.description, Format.count(speed), Format.count(tokens), Format.count(needed),
            ])
            guard tokens >= needed || index == plans.count - 1 else { continue }
            Console.result(table.text() + "\n")
            // A run that short shows at least that it works.
            let count = max(40, Int(min(tokens / Double(plan.tokensPerStep), 1e6)))
            return (plan, steps ?? count)
        }
        throw CommandError("the demo has no model to choose")
    }

    // MARK: Text and training

    private func prepareText(_ level: StoryLevel) throws -> [String] {
        guard tellsStories else {
            Console.result("Text: \(text.joined(separator: ", "))")
            return text
        }
        var generator = StoryGenerator(seed: UInt64(seed), level: level)
        let corpus = generator.corpus(byteCount: Self.storyByteCount)
        try AtomicFile.write(Data(corpus.text.utf8), to: folder.storiesPath)
        Console.result(
            "\(Format.grouped(corpus.documentRanges.count)) stories (\(Format.bytes(corpus.text.utf8.count))) written to"
                + " \(folder.storiesPath). One of them, with names and things that come back:\n")
        var example = StoryGenerator(seed: UInt64(seed), level: level)
        Console.result(Self.indented(example.story().text))
        return [folder.storiesPath]
    }

    /// Trains a model of the plan and returns how it ended; ends the demo when it is interrupted.
    private func train(
        _ architecture: ComparedArchitecture, _ plan: DemoPlan, _ stepCount: Int, _ paths: [String],
        in path: String, _ interrupt: InterruptFlag
    ) throws -> TrainingOutcome {
        let configuration = plan.configuration(
            architecture, stepCount: stepCount, paths: paths, tellsStories: tellsStories, seed: seed,
            precision: elementType == .bfloat16 ? .bfloat16 : .float32)
        let run = try TrainingRun(configuration, folder: path, device: device) { Console.warn($0) }
        Console.result(
            "\(plan.title(architecture)): \(Format.count(run.trainer.task.parameters.parameterCount)) parameters,"
                + " \(Format.grouped(stepCount)) updates")
        // Other load of the machine must not make the demo endless.
        let share = architecture == .retnet ? 1 : Self.peerShare
        let deadline = Deadline(
            seconds: steps == nil ? minutes * 60 * 1.25 * share : .infinity, interrupt: interrupt)
        let outcome = try run.run(
            interrupt: deadline.flag,
            observers: [ProgressObserver(title: plan.title(architecture)), deadline])
        if outcome.reason == .interrupted, !interrupt.isRaised {
            Console.note("the machine has become slower: training ends here")
        }
        guard !interrupt.isRaised else {
            Console.note("interrupted; `retnet train --resume --out \(path)` resumes the training")
            throw ExitCodes.interrupted
        }
        return outcome
    }

    private func load(_ outcome: TrainingOutcome) throws -> LoadedModel {
        try ModelFolder.load(
            outcome.checkpointPath, elementType: elementType, device: device, computeType: elementType)
    }

    static func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }.joined(
            separator: "\n")
    }
}

/// An observer that ends training at a signal or after a time.
private final class Deadline: TrainingObserver {
    /// The flag that ends the run.
    let flag = InterruptFlag()
    private let seconds: Double
    private let interrupt: InterruptFlag
    private let start = ContinuousClock.now

    init(seconds: Double, interrupt: InterruptFlag) {
        self.seconds = seconds
        self.interrupt = interrupt
    }

    func trainingDidStep(_ step: TrainingStep) throws {
        if interrupt.isRaised || (ContinuousClock.now - start) / .seconds(1) > seconds { flag.raise() }
    }
}
