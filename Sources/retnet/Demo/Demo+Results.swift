import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetEvaluation
import RetNetGeneration
import RetNetModels
import RetNetPlots
import RetNetReporting
import RetNetStorage
import RetNetStories
import RetNetText
import RetNetTorch
import RetNetTraining

/// What the demo measures with the trained models.
extension Demo {
    /// Tokens before each answer that the control reads, enough for the question.
    private static let controlTokenCount = 16
    /// Sentences between facts and last questions, for distances to about 1,000 bytes.
    private static let recallFillers = 0...24
    /// The share of right answers that the demo is made for.
    private static let wantedAccuracy = 0.8

    func showTraining(_ outcome: TrainingOutcome) throws {
        let run = RunFolder(path: folder.runPath)
        for (source, ending) in [(run.lossCurveSVGPath, "svg"), (run.lossCurvePNGPath, "png")]
        where FileManager.default.fileExists(atPath: source) {
            try FileManager.default.copyItem(atPath: source, toPath: "\(folder.lossPath).\(ending)")
        }
        let losses = try JSONLinesLog.records(at: run.metricsPath).compactMap { record in
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

    func showRecall(_ loaded: LoadedModel, _ level: StoryLevel) throws {
        // Other seeds, so that the stories are new to the model; all distances are to be met about equally often.
        let stories = (0..<120).map { index in
            let fillers = Self.recallFillers.lowerBound + index % Self.recallFillers.count
            var generator = StoryGenerator(
                seed: UInt64(seed) &+ 1_000_003 &+ UInt64(index), level: level,
                fillerSentenceCount: fillers...fillers)
            return generator.story()
        }
        let result = try RecallAccuracy(loaded.model, tokenizer: loaded.tokenizer).measure(stories)
        // The control: the context holds the question, but not the fact.
        let near = try RecallAccuracy(
            loaded.model, tokenizer: loaded.tokenizer, contextTokenCount: Self.controlTokenCount
        ).measure(stories)
        Console.result("Recall of facts in \(stories.count) new stories:")
        Console.result(RecallReport.text(result))
        Console.result(
            "\nGuessed from the last \(Self.controlTokenCount) tokens alone, where these do not state the fact:"
                + " \(Format.percent(near.overall.accuracy, decimals: 1)) are right.")
        guard result.overall.accuracy < Self.wantedAccuracy else { return }
        Console.result(
            "\nMore training raises the recall; five times as much: ./retnet demo --minutes \(Int((minutes * 5).rounded(.up)))"
        )
    }

    func showTexts(
        _ loaded: LoadedModel, _ paths: [String], _ level: StoryLevel, _ interrupt: InterruptFlag
    ) throws {
        let tokenizer = try loaded.tokenizer
        var parameters = SamplingParameters()
        parameters.temperature = 0.7
        parameters.topP = 0.95
        parameters.maxTokens = 250
        for (index, prompt) in try prompts(paths, tokenizer, level).enumerated() {
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
    private func prompts(_ paths: [String], _ tokenizer: any Tokenizer, _ level: StoryLevel) throws
        -> [String]
    {
        guard tellsStories else {
            let stream = try Corpus(paths: paths).tokenStream(tokenizer: tokenizer)
            let start = try stream.tokens(in: 0..<min(24, stream.tokenCount))
            var decoder = UTF8StreamDecoder()
            return [decoder.append(start.flatMap { tokenizer.bytes(of: $0) }), ""].filter { !$0.isEmpty }
        }
        var generator = StoryGenerator(seed: UInt64(seed) &+ 2_000_003, level: level)
        return (0..<2).map { _ in
            let story = generator.story().text
            let end = story.firstIndex(of: ".").map { story.index(after: $0) } ?? story.endIndex
            return String(story[..<end])
        }
    }

    func showDecoding(_ models: [(title: String, model: LanguageModel)]) throws {
        let positions = [100, 1000, 10_000, 100_000]
        var table = TextTable(
            header: ["position"] + models.flatMap { ["\($0.title), ms per token", "state"] },
            alignments: [.right] + models.flatMap { _ in [.right, .right] })
        let results = try models.map {
            try DecodeBench(model: $0.model, batch: 1).run(positions: positions, tokenCount: 60, warmup: 10)
        }
        for index in positions.indices {
            table.append(
                [Format.grouped(positions[index])]
                    + results.flatMap {
                        [
                            Format.fixed($0[index].timings.median * 1000, decimals: 3),
                            Format.bytes($0[index].stateByteCount),
                        ]
                    })
        }
        Console.result("\nTime per token and size of the state by position, of models of equal size:\n")
        Console.result(table.text())
        func chart(_ title: String, _ axis: ChartAxis, _ value: (DecodeBench.Result) -> Double) -> LineChart {
            LineChart(
                title: title, xAxis: ChartAxis("Position (tokens)", scale: .logarithmic), yAxis: axis,
                series: zip(models, results).map { model, results in
                    LineChart.Series(
                        name: model.title,
                        points: results.map { ChartPoint(Double($0.position), value($0)) }, showsMarkers: true
                    )
                })
        }
        let grid = ChartGrid(
            title: "Cost of generation by position",
            subtitle:
                "Models of equal size, \(elementType.rawValue) on \(device), \(Runtime.threadCount) threads",
            charts: [
                chart("Time", ChartAxis("Milliseconds per token", scale: .logarithmic)) {
                    $0.timings.median * 1000
                },
                chart("State", ChartAxis("Bytes", scale: .binaryLogarithmic, format: .bytes)) {
                    Double($0.stateByteCount)
                },
            ])
        for ending in ["svg", "png"] { try grid.write(to: "\(folder.decodePath).\(ending)") }
    }

    func showFiles(_ outcome: TrainingOutcome) {
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
}
