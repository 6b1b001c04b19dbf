import Foundation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@testable import RetNetTraining

@Suite struct TrainerTests {
    private func options(_ change: (inout TrainingConfiguration) -> Void = { _ in }) -> TrainingConfiguration
    {
        var options = TrainingConfiguration()
        options.optimizer.learningRate = 1e-2
        options.schedule.warmupStepCount = 2
        options.duration = .steps(20)
        change(&options)
        return options
    }

    @Test func `Twenty steps lower the loss and two runs are equal bit for bit`() throws {
        func run() throws -> [Double] {
            let source = try ShuffledWindows(stream: Tiny.stream(), rowCount: 4, length: 32, seed: 3)
            let trainer = try Trainer(
                LanguageModelTask(Tiny.build(Tiny.model(dropout: 0.1)), source: source), options())
            return try (0..<20).map { _ in try trainer.makeStep().loss }
        }
        let (first, second) = (try run(), try run())
        #expect(first == second)
        #expect(abs(first[0] - 5.55) < 0.7)
        #expect(first.suffix(3).reduce(0, +) / 3 < first[0] - 1)
    }

    @Test func `Accumulated micro-batches equal one large batch`() throws {
        // Windows at the end of the stream are padded, so that micro-batches count differently many targets.
        let stream = try Tiny.stream(byteCount: 500)
        func run(rows: Int, accumulation: Int) throws -> ([Double], LanguageModel) {
            let source = try ShuffledWindows(stream: stream, rowCount: rows, length: 40, seed: 3)
            let model = try Tiny.build(type: .float64)
            let trainer = try Trainer(
                LanguageModelTask(model, source: source), options { $0.accumulationCount = accumulation })
            return (try (0..<6).map { _ in try trainer.makeStep().loss }, model)
        }
        let (large, first) = try run(rows: 6, accumulation: 1)
        let (small, second) = try run(rows: 2, accumulation: 3)
        for (a, b) in zip(large, small) { #expect(abs(a - b) < 1e-10) }
        for (a, b) in zip(first.parameters.tensors, second.parameters.tensors) {
            #expect(try (a - b).abs().max().item() < 1e-9)
        }
    }

    @Test func `Contiguous windows see what one long sequence sees`() throws {
        let stream = try TokenStream(
            texts: [String(repeating: "a b, c. Abracadabra! ", count: 20)], tokenizer: ByteTokenizer())
        let model = try Tiny.build(type: .float64)
        let source = try ContiguousWindows(stream: stream, rowCount: 1, length: 16, seed: 0)
        let trainer = try Trainer(
            LanguageModelTask(model, source: source, carriesState: true),
            options {
                // So small a rate that the weights stay what they are.
                $0.optimizer.learningRate = 1e-30
                $0.optimizer.weightDecay = 0
            })
        let losses = try (0..<5).map { _ in try trainer.makeStep().loss }
        let tokens = try stream.tokens(in: 0..<81).map(Int64.init)
        let whole = try withoutGradients {
            try model.tokenLosses(
                Tensor.from(Array(tokens.dropLast()), [1, 80]),
                targets: Tensor.from(Array(tokens.dropFirst()), [1, 80]),
                form: .parallel
            ).losses.doubles()
        }
        for (index, loss) in losses.enumerated() {
            let part = whole[index * 16..<(index + 1) * 16].reduce(0, +) / 16
            #expect(abs(loss - part) < 1e-10)
        }
        #expect(trainer.task.carriedState?.positions.first?.count == 80)
    }

    @Test func `Recomputing activations changes nothing but memory`() throws {
        func run(recomputes: Bool) throws -> [Double] {
            let model = try Tiny.build(Tiny.model(dropout: 0.2))
            model.recomputesActivations = recomputes
            let source = try ContiguousWindows(stream: Tiny.stream(), rowCount: 2, length: 24, seed: 3)
            let trainer = try Trainer(
                LanguageModelTask(model, source: source, form: .chunkwise(8), carriesState: true), options())
            return try (0..<4).map { _ in try trainer.makeStep().loss }
        }
        #expect(try run(recomputes: false) == run(recomputes: true))
    }

    @Test func `A model with blocks and experts learns, and its auxiliary losses are noted and pull`() throws
    {
        var configuration = Tiny.model()
        configuration.altUp = AltUpConfiguration()
        configuration.feedForward.experts = ExpertsConfiguration(count: 4, balanceLoss: 0.1)
        func run(_ configuration: LanguageModelConfiguration, recomputes: Bool, accumulation: Int = 1) throws
            -> [TrainingStep]
        {
            let source = try ShuffledWindows(stream: Tiny.stream(), rowCount: 4, length: 32, seed: 3)
            let model = try Tiny.build(configuration)
            model.recomputesActivations = recomputes
            let trainer = try Trainer(
                LanguageModelTask(model, source: source), options { $0.accumulationCount = accumulation })
            return try (0..<12).map { _ in try trainer.makeStep() }
        }
        let steps = try run(configuration, recomputes: false)
        #expect(steps[11].loss < steps[0].loss - 0.5)
        #expect(steps[0].auxiliary.keys.sorted() == ["balance_loss", "dropped_share", "router_z_loss"])
        // Two layers, each at least at the coefficient.
        #expect(try #require(steps[0].auxiliary["balance_loss"]) > 0.19)
        #expect(try run(configuration, recomputes: false).map(\.loss) == steps.map(\.loss))
        for (a, b) in zip(try run(configuration, recomputes: true), steps) {
            #expect(abs(a.loss - b.loss) < 1e-4)
            for (name, value) in b.auxiliary { #expect(abs(value - (a.auxiliary[name] ?? -1)) < 1e-3) }
        }
        var free = configuration
        free.feedForward.experts?.balanceLoss = 0
        #expect(try run(free, recomputes: false).map(\.loss) != steps.map(\.loss))
        let accumulated = try run(configuration, recomputes: false, accumulation: 2)
        #expect(try #require(accumulated[0].auxiliary["balance_loss"]) < 0.5)
    }

    @Test func `Steps end at the last one, or where the caller ends them`() throws {
        let source = try ShuffledWindows(stream: Tiny.stream(), rowCount: 2, length: 16, seed: 3)
        let trainer = try Trainer(
            LanguageModelTask(Tiny.build(), source: source), options { $0.duration = .steps(5) })
        var steps: [Int] = []
        try trainer.makeSteps { step in
            steps.append(step.step)
            return step.step != 2
        }
        #expect(steps == [1, 2])
        try trainer.makeSteps { step in
            steps.append(step.step)
            return true
        }
        #expect(steps == [1, 2, 3, 4, 5] && trainer.step == trainer.stepCount)
    }

    @Test func `Durations in tokens and epochs count the tokens of a pass`() throws {
        let source = try ShuffledWindows(stream: Tiny.stream(), rowCount: 2, length: 16, seed: 3)
        func stepCount(_ duration: RunDuration, tokensPerEpoch: Int? = nil) throws -> Int {
            let task = try LanguageModelTask(Tiny.build(), source: source, tokensPerEpoch: tokensPerEpoch)
            return try Trainer(
                task,
                options {
                    $0.duration = duration
                    $0.accumulationCount = 2
                }
            ).stepCount
        }
        #expect(try stepCount(.tokens(3 * 64)) == 3)
        #expect(try stepCount(.tokens(3 * 64 + 1)) == 4)
        #expect(try stepCount(.epochs(1.5), tokensPerEpoch: 640) == 15)
        #expect(throws: TrainingError.unknownEpochLength) { try stepCount(.epochs(1)) }
    }

    @Test func `Updates from losses that are not finite leave the weights alone`() throws {
        let model = try Tiny.build()
        let source = try ContiguousWindows(stream: Tiny.stream(), rowCount: 2, length: 16, seed: 1)
        let trainer = try Trainer(
            LanguageModelTask(model, source: source, carriesState: true),
            options {
                $0.lossGuard.maximumSkipped = 1
            })
        _ = try trainer.makeStep()
        let weight = try #require(model.parameters["final_norm.weight"])
        try withoutGradients { try weight.scale(by: .nan) }
        let other = try #require(model.parameters["embedding.weight"])
        let before = try other.doubles()
        let step = try trainer.makeStep()
        #expect(step.skipReason != nil)
        #expect(try other.doubles() == before)
        #expect(trainer.task.carriedState == nil)
        #expect(throws: TrainingError.self) { try trainer.makeStep() }
    }

    // MARK: Bytes of the source text

    @Test(arguments: [1, 3]) func `Bits per byte of a step divide by the bytes of its targets`(
        accumulation: Int
    )
        throws
    {
        let tokenizer = try SentencePieceTokenizer(
            bytes: SentencePieceFile(pieces: ["▁the", "▁cat", "a", "t"]).bytes)
        let text = String(repeating: "日本語 the cat\n  naïve ", count: 9)
        let stream = try TokenStream(texts: [text], tokenizer: tokenizer)
        // All tokens but the last are inputs of the first pass, so its targets are the whole text.
        let source = try ContiguousWindows(
            stream: stream, rowCount: 1, length: stream.tokenCount - 1, seed: 0)
        let trainer = try Trainer(
            LanguageModelTask(Tiny.build(), source: source),
            options { $0.accumulationCount = accumulation })
        let step = try trainer.makeStep()
        let (byteCount, bits) = (try #require(step.byteCount), try #require(step.bitsPerByte))
        if accumulation == 1 { #expect(byteCount == text.utf8.count) }
        #expect(byteCount >= text.utf8.count)
        #expect(abs(bits - step.loss * Double(step.tokenCount) / log(2) / Double(byteCount)) < 1e-12)
    }

    @Test func `Figures that are no numbers never reach a checkpoint`() throws {
        var step = TrainingStep(
            step: 1, loss: .nan, gradientNorm: 1, learningRate: 1, tokenCount: 3, totalTokenCount: 3,
            byteCount: 2)
        #expect(step.bitsPerByte == nil)
        step.loss = 2
        #expect(step.bitsPerByte == 3 / log(2))
        step.byteCount = 0
        #expect(step.bitsPerByte == nil)
        // A loss of 800 nats has a perplexity beyond all numbers.
        let record = ValidationRecord(
            step: 4, loss: 800, perplexity: exp(800), bitsPerByte: .nan, accuracy: .infinity, tokenCount: 3)
        let data = try JSONEncoder().encode(record)
        let found = try JSONDecoder().decode(ValidationRecord.self, from: data)
        #expect(found.loss == 800 && found.perplexity == .infinity && found.tokenCount == 3)
        #expect(found.bitsPerByte == nil && found.accuracy == nil)
        let sound = ValidationRecord(
            step: 4, loss: 1, perplexity: exp(1), bitsPerByte: 2, accuracy: 0.5, tokenCount: 3)
        #expect(
            try JSONDecoder().decode(ValidationRecord.self, from: JSONEncoder().encode(sound)) == sound)
    }
}
