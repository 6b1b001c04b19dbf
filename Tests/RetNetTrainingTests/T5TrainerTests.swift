import Foundation
import RetNetEvaluation
import RetNetLayers
import RetNetModels
import RetNetText
import RetNetTorch
import Testing

@testable import RetNetTraining

/// Small encoder-decoders and their data.
enum TinyT5 {
    static func configuration(altUp: AltUpConfiguration? = nil, dropout: Double = 0) -> T5Configuration {
        T5Configuration(
            vocabularySize: 384, hiddenSize: 16, headCount: 2, keySize: 8, innerSize: 24,
            encoderLayerCount: 3, decoderLayerCount: 2, feedForward: .gatedGelu, tiedOutput: false,
            dropout: dropout, altUp: altUp)
    }

    static func build(_ configuration: T5Configuration = configuration(), type: ElementType = .float32) throws
        -> T5Model
    {
        let store = ParameterStore(source: .random(seed: 7), elementType: type)
        return try withoutGradients { try T5Model(configuration, parameters: store, computeType: type) }
    }

    /// Examples of different lengths.
    static func pairs(_ count: Int) -> [EncodedExample] {
        (0..<count).map { index -> EncodedExample in
            var source: [Int32] = []
            var target: [Int32] = []
            for place in 0..<(3 + index % 4) { source.append(Int32(10 + (index * 7 + place * 3) % 90)) }
            for place in 0..<(1 + index % 3) { target.append(Int32(40 + (index * 5 + place) % 50)) }
            return EncodedExample(source: source + [1], target: target + [1])
        }
    }

    static let kinds: [AltUpConfiguration?] = [
        nil, AltUpConfiguration(), AltUpConfiguration(kind: .recycled),
        .sequence(SequenceReductionConfiguration(stride: 2)),
    ]
}

/// Hands out given batches over and over.
struct FixedPairs: TextToTextSource {
    let batches: [TextToTextBatch]
    var index = 0
    init(_ batches: [TextToTextBatch]) { self.batches = batches }
    var state: BatchSourceState {
        BatchSourceState(kind: "fixed", rowCount: 1, length: 1, seed: 0, index: index)
    }
    var tokensPerBatch: Int { 1 }
    var targetsPerBatch: Int { 1 }
    var batchesPerEpoch: Double { Double(batches.count) }
    var epoch: Int { index / batches.count }
    mutating func next() throws -> TextToTextBatch {
        defer { index += 1 }
        return batches[index % batches.count]
    }
    mutating func restore(_ state: BatchSourceState) throws { index = state.index }
}

@Suite struct T5TrainerTests {
    private func gradients(_ model: T5Model, _ batches: [TextToTextBatch], zLoss: Double = 1e-3) throws -> (
        loss: StepLoss, gradients: [Double]
    ) {
        try model.parameters.clearGradients()
        try model.parameters.setRequiresGradient(true)
        let task = EncoderDecoderTask(model, source: FixedPairs(batches), zLoss: zLoss)
        let loss = try task.accumulateGradients(
            StepPasses(count: batches.count, generator: Generator(seed: 0, device: .cpu)))
        return (loss, try model.parameters.entries.flatMap { try $0.tensor.gradient()?.doubles() ?? [] })
    }

    private func largestDifference(_ a: [Double], _ b: [Double]) -> Double {
        #expect(a.count == b.count && !a.isEmpty)
        return zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }

    @Test(arguments: TinyT5.kinds)
    func `Packed rows give the loss, the accuracy and the gradients of padded ones`(
        altUp: AltUpConfiguration?
    )
        throws
    {
        let model = try TinyT5.build(TinyT5.configuration(altUp: altUp), type: .float64)
        let pairs = TinyT5.pairs(7)
        var packed = TextToTextBatch()
        // Groups of tokens that share an anchor must not reach over two examples.
        let alignment = altUp?.sequence?.stride ?? 1
        packed.addRow(Array(pairs[..<3]), alignment: alignment)
        packed.addRow(Array(pairs[3..<4]), alignment: alignment)
        packed.addRow(Array(pairs[4...]), alignment: alignment)
        let (loss, own) = try gradients(model, [packed])
        let (expected, others) = try gradients(model, [TextToTextBatch(pairs)])
        #expect(abs(loss.mean - expected.mean) < 1e-12)
        #expect(loss.accuracy == expected.accuracy)
        #expect(loss.targetCount == pairs.reduce(0) { $0 + $1.target.count })
        #expect(largestDifference(own, others) < 1e-12)
    }

    @Test func `Several passes equal one large batch`() throws {
        let model = try TinyT5.build(type: .float64)
        let pairs = TinyT5.pairs(8)
        let parts = [TextToTextBatch(Array(pairs[..<2])), TextToTextBatch(Array(pairs[2...]))]
        let (loss, own) = try gradients(model, parts)
        let (expected, others) = try gradients(model, [TextToTextBatch(pairs)])
        #expect(abs(loss.mean - expected.mean) < 1e-12)
        #expect(largestDifference(own, others) < 1e-12)
    }

    @Test func `Loss, accuracy and z-loss are those of the logits`() throws {
        let model = try TinyT5.build(type: .float64)
        let pairs = TinyT5.pairs(4)
        let (loss, _) = try gradients(model, [TextToTextBatch(pairs)], zLoss: 0.01)
        var (entropy, squares, hits, count) = (0.0, 0.0, 0, 0)
        for pair in pairs {
            let batch = try T5Batch(TextToTextBatch([pair]), configuration: model.configuration)
            let rows = try withoutGradients { try model(batch).doubles() }
            for (index, target) in pair.target.enumerated() {
                let row = Array(rows[index * 384..<(index + 1) * 384])
                let peak = row.max() ?? 0
                let normalizer = peak + log(row.reduce(0) { $0 + exp($1 - peak) })
                entropy += normalizer - row[Int(target)]
                squares += normalizer * normalizer
                hits += row.firstIndex(of: peak) == Int(target) ? 1 : 0
                count += 1
            }
        }
        #expect(abs(loss.mean - entropy / Double(count)) < 1e-10)
        #expect(abs((loss.auxiliary["z_loss"] ?? 0) - 0.01 * squares / Double(count)) < 1e-10)
        #expect(loss.accuracy == Double(hits) / Double(count))
    }

    @Test(arguments: TinyT5.kinds)
    func `A T5 learns its examples by heart, plain and with AltUp`(altUp: AltUpConfiguration?) throws {
        let model = try TinyT5.build(TinyT5.configuration(altUp: altUp))
        var options = TrainingConfiguration()
        options.optimizer = .adafactor
        options.optimizer.learningRate = 0.03
        options.optimizer.adafactor.factoredSize = 16
        options.schedule.kind = .constant
        options.schedule.warmupStepCount = 0
        let trainer = try Trainer(
            EncoderDecoderTask(model, source: FixedPairs([TextToTextBatch(TinyT5.pairs(6))])), options)
        let first = try trainer.makeStep()
        for _ in 0..<150 { _ = try trainer.makeStep() }
        let last = try trainer.makeStep()
        #expect(last.loss < 0.2 * first.loss, "\(first.loss) → \(last.loss)")
        #expect((last.accuracy ?? 0) > 0.9)
    }

    @Test func `The evaluator reports the outputs of a model that has learned its task`() throws {
        let model = try TinyT5.build()
        let tokenizer = SentinelByteTokenizer()
        let examples = [("good", "positive"), ("bad", "negative"), ("fine", "positive")].map {
            TextToTextExample(input: "sst2 sentence: \($0.0)", target: $0.1)
        }
        let pairs = examples.map {
            EncodedExample(
                source: tokenizer.encode($0.input), target: tokenizer.encode($0.target), endToken: 1,
                sourceLength: 40, targetLength: 12)
        }
        var options = TrainingConfiguration()
        options.optimizer.learningRate = 1e-2
        options.optimizer.weightDecay = 0
        options.schedule.kind = .constant
        options.schedule.warmupStepCount = 0
        let trainer = try Trainer(
            EncoderDecoderTask(model, source: FixedPairs([TextToTextBatch(pairs)])), options)
        let evaluator = TaskEvaluator(
            model, tokenizer: tokenizer, inputLength: 40, targetLength: 12, batchSize: 2)
        let before = try evaluator.evaluate(.sst2, examples)
        for _ in 0..<200 { _ = try trainer.makeStep() }
        let after = try evaluator.evaluate(.sst2, examples)
        #expect(before.loss > after.loss)
        #expect(after.outputs == ["positive", "negative", "positive"])
        #expect(after.tokenAccuracy == 1 && after.exactTextShare == 1)
        #expect(after.metrics.map(\.name) == ["accuracy"] && after.score == 100)
        let some = try evaluator.evaluate(.sst2, examples) { _ in false }
        #expect(some.exampleCount == 2)
    }
}
