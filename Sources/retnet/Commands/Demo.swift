import Foundation
import RetNetCheckpoints
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
    let preset: Preset
    /// Paths of the user's text; empty for stories.
    let text: [String]
    let folder: DemoFolder
    let minutes: Double
    let steps: Int?
    let device: Device
    let elementType: ElementType
    let seed: Int

    private static let storyByteCount = 4_000_000
    private static let length = 512
    private static let batchSize = 8
    private static let questionLength = 64

    private var tellsStories: Bool { text.isEmpty }

    func run() throws {
        let interrupt = InterruptFlag.onSignals()
        let lock = try folder.prepare()
        defer { withExtendedLifetime(lock) {} }
        title("1. The text")
        let paths = try prepareText()
        title("2. Training")
        let configuration = try trainingConfiguration(paths)
        let run = try TrainingRun(configuration, folder: folder.runPath, device: device) { Console.warn($0) }
        // Other load of the machine must not make the demo endless.
        let deadline = Deadline(seconds: steps == nil ? minutes * 60 * 1.25 : .infinity, interrupt: interrupt)
        let outcome = try run.run(
            interrupt: deadline.flag, observers: [ProgressObserver(title: preset.name), deadline])
        if outcome.reason == .interrupted, !interrupt.isRaised {
            Console.note("the machine has become slower: training ends here")
        }
        guard !interrupt.isRaised else {
            Console.note("interrupted; `retnet train --resume --out \(folder.runPath)` resumes the training")
            throw ExitCodes.interrupted
        }
        let loaded = try ModelFolder.load(
            outcome.checkpointPath, elementType: elementType, device: device, computeType: elementType)
        try showTraining(run, outcome)
        if tellsStories { try showRecall(loaded) }
        title(tellsStories ? "4. Generated stories" : "3. Generated text")
        try showTexts(loaded, run.trainer.task.model.configuration.trainingLength, paths, interrupt)
        title(tellsStories ? "5. The cost of decoding" : "4. The cost of decoding")
        try showDecoding(loaded.model)
        showFiles(outcome)
    }

    private func title(_ text: String) {
        Console.result("\n\(text)\n" + String(repeating: "-", count: text.count))
    }

    // MARK: Text and training

    private func prepareText() throws -> [String] {
        guard tellsStories else {
            Console.result("Text: \(text.joined(separator: ", "))")
            return text
        }
        var generator = StoryGenerator(seed: UInt64(seed))
        let corpus = generator.corpus(byteCount: Self.storyByteCount)
        try AtomicFile.write(Data(corpus.text.utf8), to: folder.storiesPath)
        Console.result(
            "\(Format.grouped(corpus.documentRanges.count)) stories (\(Format.bytes(corpus.text.utf8.count))) written to"
                + " \(folder.storiesPath). One of them, with names and things that come back:\n")
        var example = StoryGenerator(seed: UInt64(seed))
        Console.result(Self.indented(example.story().text))
        return [folder.storiesPath]
    }

    private func trainingConfiguration(_ paths: [String]) throws -> RunConfiguration<LanguageModelTask> {
        var configuration = RunConfiguration(preset: preset)
        configuration.training.seed = UInt64(seed)
        configuration.training.precision = elementType == .bfloat16 ? .bfloat16 : .float32
        configuration.task.data.paths = paths
        configuration.task.data.length = Self.length
        configuration.task.data.batchSize = Self.batchSize
        if tellsStories {
            configuration.task.data.separator = .blankLines(1)
        } else {
            configuration.task.data.validationFraction = 0.05
        }
        let count = try steps ?? measuredStepCount(configuration)
        configuration.training.duration = .steps(count)
        configuration.training.schedule.warmupStepCount = max(1, min(100, count / 10))
        configuration.training.monitoring.logInterval = max(1, min(10, count / 50))
        configuration.training.monitoring.evaluationInterval = max(1, count / 6)
        configuration.training.monitoring.evaluationBatchCount = 16
        configuration.training.monitoring.sampleInterval = max(1, count / 3)
        configuration.training.monitoring.sampleTokenCount = 160
        configuration.training.monitoring.checkpointInterval = max(1, count / 2)
        configuration.training.monitoring.keptCheckpointCount = 1
        let parameters = try ModelAccounting(preset.configuration).parameterCount
        Console.result(
            "\(preset.name), \(Format.count(parameters)) parameters, \(elementType.rawValue) on \(device) with"
                + " \(Runtime.threadCount) threads: \(Format.grouped(count)) updates of"
                + " \(Format.grouped(Self.length * Self.batchSize)) tokens")
        return configuration
    }

    /// Returns the number of updates that this machine makes in the given time, estimated from a few of them.
    private func measuredStepCount(_ configuration: RunConfiguration<LanguageModelTask>) throws -> Int {
        let resolved = try configuration.task.resolved()
        let parameters = ParameterStore(source: .random(seed: 0), device: device)
        let model = try LanguageModel(resolved.model, parameters: parameters, computeType: elementType)
        var generator = StoryGenerator(seed: 0)
        let corpus = generator.corpus(byteCount: Self.length * Self.batchSize * 4)
        let source = try ShuffledWindows(
            stream: TokenStream(texts: [corpus.text], tokenizer: ByteTokenizer()), rowCount: Self.batchSize,
            length: Self.length, seed: 0)
        let trainer = try Trainer(
            LanguageModelTask(model, source: source, form: resolved.form ?? .chunkwise(128)))
        for _ in 0..<2 { _ = try trainer.makeStep() }
        var timings = Timings()
        for _ in 0..<6 {
            try timings.time {
                _ = try trainer.makeStep()
                try device.synchronize()
            }
        }
        let count = minutes * 60 / max(timings.median, 1e-6)
        // The presets are small and gain little from more updates.
        return max(20, Int(min(count, 100_000)))
    }

    // MARK: Results

    private func showTraining(_ run: TrainingRun<LanguageModelTask>, _ outcome: TrainingOutcome) throws {
        for ending in ["svg", "png"] {
            let source = ending == "svg" ? run.folder.lossCurveSVGPath : run.folder.lossCurvePNGPath
            if FileManager.default.fileExists(atPath: source) {
                try FileManager.default.copyItem(atPath: source, toPath: "\(folder.lossPath).\(ending)")
            }
        }
        let losses = try JSONLinesLog.records(at: run.folder.metricsPath).compactMap { record in
            record["step"]?.intValue.flatMap { step in record["loss"]?.doubleValue.map { (Double(step), $0) }
            }
        }
        Console.result("\nLoss (nats per token) over updates:\n")
        Console.result(TerminalChart(points: losses).text(width: 64, height: 12))
        if let validation = outcome.validation {
            let bits = validation.bitsPerByte.map { "\(Format.fixed($0, decimals: 3)) bits per byte, " } ?? ""
            Console.result(
                "\nValidation, text never trained on: \(bits)loss \(Format.fixed(validation.loss, decimals: 3)) nats per token"
            )
        }
    }

    private func showRecall(_ loaded: LoadedModel) throws {
        title("3. Recall")
        // Another seed, so that the stories are new to the model.
        var generator = StoryGenerator(seed: UInt64(seed) &+ 1_000_003)
        let stories = (0..<120).map { _ in generator.story() }
        let result = try RecallAccuracy(loaded.model, tokenizer: loaded.tokenizer).measure(stories)
        // The control: the context holds the question, but not the fact stated earlier.
        let near = try RecallAccuracy(
            loaded.model, tokenizer: loaded.tokenizer, contextTokenCount: Self.questionLength
        ).measure(stories)
        Console.result("Recall of facts in \(stories.count) new stories:")
        Console.result(RecallReport.text(result))
        Console.result(
            "\nWith only the last \(Self.questionLength) bytes before each answer as context:"
                + " \(Format.percent(near.overall.accuracy, decimals: 1)) are right.")
    }

    private func showTexts(
        _ loaded: LoadedModel, _ trainingLength: Int?, _ paths: [String], _ interrupt: InterruptFlag
    ) throws {
        let tokenizer = try loaded.tokenizer
        var parameters = SamplingParameters()
        parameters.temperature = 0.7
        parameters.topP = 0.95
        parameters.maxTokens = 500
        for (index, prompt) in try prompts(paths, tokenizer).enumerated() {
            parameters.seed = UInt64(seed) &+ UInt64(index)
            let session = try GenerationSession(model: loaded.model, tokenizer: tokenizer)
            Console.stream("\n[\(prompt)]")
            // A document ends at the beginning of the next.
            parameters.endTokens = [tokenizer.beginToken, tokenizer.endToken].compactMap { $0 }
            let results = try session.generate(
                [prompt], parameters, onText: { _, text in Console.stream(text) },
                isCancelled: { interrupt.isRaised })
            Console.stream("\n")
            if interrupt.isRaised { throw ExitCodes.interrupted }
            if let result = results.first {
                Console.result("    (\(Format.count(result.decodeTokensPerSecond)) tokens per second)")
            }
        }
    }

    /// Returns the beginnings of new stories, or of the user's text.
    private func prompts(_ paths: [String], _ tokenizer: any Tokenizer) throws -> [String] {
        guard tellsStories else {
            let stream = try Corpus(paths: paths).tokenStream(tokenizer: tokenizer)
            let start = try stream.tokens(in: 0..<min(81, stream.tokenCount))
            var decoder = UTF8StreamDecoder()
            return [decoder.append(start.flatMap { tokenizer.bytes(of: $0) }), ""].filter { !$0.isEmpty }
        }
        var generator = StoryGenerator(seed: UInt64(seed) &+ 2_000_003)
        return (0..<2).map { _ in
            let story = generator.story().text
            let end = story.firstIndex(of: ".").map { story.index(after: $0) } ?? story.endIndex
            return String(story[..<end])
        }
    }

    private func showDecoding(_ model: LanguageModel) throws {
        let positions = [100, 1000, 10_000, 100_000]
        let results = try DecodeBench(model: model, batch: 1).run(
            positions: positions, tokenCount: 200, warmup: 20)
        Console.result("Time per token and size of the state at several positions:\n")
        Console.result(DecodeBench.table(results))
        let categories = positions.map { Format.grouped($0) }
        let grid = ChartGrid(
            title: "Cost of generation by position",
            subtitle: "\(preset.name), \(elementType.rawValue) on \(device), \(Runtime.threadCount) threads",
            charts: [
                BarChart(
                    title: "Time", categories: categories, categoryTitle: "Position",
                    valueAxis: ChartAxis("Milliseconds per token"),
                    series: [BarChart.Series(name: "", values: results.map { $0.timings.median * 1000 })]),
                BarChart(
                    title: "State", categories: categories, categoryTitle: "Position",
                    valueAxis: ChartAxis("Bytes", format: .bytes),
                    series: [BarChart.Series(name: "", values: results.map { Double($0.stateByteCount) })]),
            ])
        for ending in ["svg", "png"] { try grid.write(to: "\(folder.decodePath).\(ending)") }
    }

    private func showFiles(_ outcome: TrainingOutcome) {
        Console.result(
            """

            Loss curve: \(folder.lossPath).svg, \(folder.lossPath).png
            Decoding:   \(folder.decodePath).svg, \(folder.decodePath).png
            The model:  \(outcome.checkpointPath)

            Next steps:
              ./retnet generate --model \(folder.runPath) --prompt "Once upon a time"
              ./retnet eval perplexity --model \(folder.runPath) --data FILE
            """)
    }

    private static func indented(_ text: String) -> String {
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

/// A small line chart of characters.
struct TerminalChart {
    /// The points, from left to right.
    let points: [(x: Double, y: Double)]

    /// Returns the chart with labels on both axes; empty without two points.
    func text(width: Int, height: Int) -> String {
        let finite = points.filter { $0.x.isFinite && $0.y.isFinite }
        guard let first = finite.first, let last = finite.last, last.x > first.x, height > 1, width > 1 else {
            return ""
        }
        // Each column shows the mean of its points, which reduces noise.
        var sums = [(sum: Double, count: Double)](repeating: (0, 0), count: width)
        for point in finite {
            let column = min(width - 1, Int((point.x - first.x) / (last.x - first.x) * Double(width)))
            sums[column].sum += point.y
            sums[column].count += 1
        }
        let means = sums.map { $0.count > 0 ? $0.sum / $0.count : nil }
        let known = means.compactMap { $0 }
        guard let low = known.min(), let high = known.max() else { return "" }
        let span = max(high - low, 1e-9)
        var rows = [[Character]](repeating: [Character](repeating: " ", count: width), count: height)
        for (column, mean) in means.enumerated() {
            guard let mean else { continue }
            let row = Int(((high - mean) / span * Double(height - 1)).rounded())
            rows[min(max(row, 0), height - 1)][column] = "*"
        }
        let lines = rows.enumerated().map { index, row in
            let value = high - span * Double(index) / Double(height - 1)
            let label = index % 3 == 0 || index == height - 1 ? Format.fixed(value, decimals: 2) : ""
            return String(repeating: " ", count: max(0, 7 - label.count)) + label + " |" + String(row)
        }
        let from = Format.grouped(Int(first.x))
        let to = Format.grouped(Int(last.x))
        let gap = String(repeating: " ", count: max(1, width - from.count - to.count))
        let indent = String(repeating: " ", count: 8)
        return
            (lines + [indent + "+" + String(repeating: "-", count: width), indent + " " + from + gap + to])
            .joined(separator: "\n")
    }
}
