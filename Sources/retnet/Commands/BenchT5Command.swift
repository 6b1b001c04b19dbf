import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetGeneration
import RetNetLayers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetText
import RetNetTorch
import RetNetTraining

/// `retnet bench t5`: training steps or decoding of a T5.
struct BenchT5Command: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "t5",
        abstract: "Measure a T5: training steps (forward, backward, clipping and AdamW), or decoding.")

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("T5 preset; `retnet presets` lists them.", valueName: "name"))
    var preset: String?
    @Option(help: ArgumentHelp("Folder of a T5 model.", valueName: "dir"))
    var model: String?
    @OptionGroup var device: DeviceOptions
    @Option(parsing: .unconditional, help: "Rows per batch.", transform: Arguments.positive)
    var batch = 8
    @Option(parsing: .unconditional, help: "Tokens per source.", transform: Arguments.positive)
    var inputLength = 512
    @Option(
        name: .customLong("length"), parsing: .unconditional, help: .hidden, transform: Arguments.positive)
    var formerLength: Int?
    @Option(
        parsing: .unconditional, help: "Tokens per target; with --decode, tokens to generate.",
        transform: Arguments.positive)
    var targetLength = 114
    @Option(parsing: .unconditional, help: "Dropout probability in training.")
    var dropout = 0.0
    @Flag(help: "Measure decoding instead of training.")
    var decode = false
    @Option(parsing: .unconditional, help: "Number of beams in decoding.", transform: Arguments.positive)
    var beams = 1
    @Option(parsing: .unconditional, help: "Timed repetitions.", transform: Arguments.positive)
    var repetitions = 5
    @Option(parsing: .unconditional, help: "Warm-up runs.", transform: Arguments.nonNegative)
    var warmup = 1
    @Option(parsing: .unconditional, help: "Seed for random weights and data.")
    var seed: UInt64 = 0
    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if (preset == nil) == (model == nil) { throw ValidationError("give either --preset or --model") }
        guard (0..<1).contains(dropout) else { throw ValidationError("--dropout must be from 0 and below 1") }
        if let preset {
            do { _ = try T5Preset.named(preset) } catch { throw ValidationError("\(error)") }
        }
        guard batch <= 1 << 16, inputLength <= 1 << 16, (formerLength ?? 0) <= 1 << 16,
            targetLength <= 1 << 16
        else {
            throw ValidationError("--batch, --input-length and --target-length must be at most 65,536")
        }
    }

    func run() throws {
        let length = Console.former("--length", formerLength, now: "--input-length") ?? inputLength
        let model = try makeModel()
        let sources = rows(length, seed: seed, model.configuration)
        let targets = rows(targetLength, seed: seed &+ 1, model.configuration)
        let timings: Timings
        if decode {
            let parameters = BeamSearchParameters(maxTokens: targetLength, beamCount: beams, endTokens: [])
            timings = try measure(model.device) { _ = try T5Generator(model).generate(sources, parameters) }
        } else {
            let step = try trainingStep(model, sources, targets)
            timings = try measure(model.device, step)
        }
        try report(model, timings, length: length)
    }

    private func makeModel() throws -> T5Model {
        let (device, type) = try device.prepare(.fast)
        // Training keeps float32 master weights; decoding keeps weights in the type it computes with.
        let stored = !decode && type == .bfloat16 ? ElementType.float32 : type
        if let path = model {
            return try T5Folder.load(
                ModelOptions.modelPath(path), elementType: stored, device: device, computeType: type
            ).model
        }
        var configuration = try T5Preset.named(preset ?? "").configuration
        configuration.dropout = dropout
        let store = ParameterStore(source: .random(seed: seed), elementType: stored, device: device)
        return try withoutGradients {
            try T5Model(configuration, parameters: store, computeType: type)
        }
    }

    private func trainingStep(_ model: T5Model, _ sources: [[Int32]], _ targets: [[Int32]]) throws -> ()
        throws
        -> Void
    {
        try model.parameters.setRequiresGradient(true)
        let optimizer = try AdamW(model.parameters, OptimizerConfiguration())
        let data = try T5Batch(
            sources: sources, targets: targets, configuration: model.configuration, device: model.device)
        let context = ForwardContext(
            isTraining: true, generator: try Generator(seed: seed, device: model.device))
        return {
            let loss = try model.lossSum(data, context: context)
            try (loss.sum * (1 / Double(loss.targetCount))).backward()
            let factor = optimizer.clipFactor(norm: try optimizer.gradientNorm())
            try optimizer.step(learningRate: 1e-4, gradientScale: factor)
            try model.parameters.clearGradients()
        }
    }

    /// Returns random tokens; their choice does not affect the speed.
    private func rows(_ count: Int, seed: UInt64, _ configuration: T5Configuration) -> [[Int32]] {
        var generator = SeededGenerator(seed: seed)
        return (0..<batch).map { _ in
            (0..<count).map { _ in Int32(generator.integer(below: configuration.vocabularySize)) }
        }
    }

    private func measure(_ device: Device, _ body: () throws -> Void) throws -> Timings {
        for _ in 0..<warmup { try body() }
        var timings = Timings()
        for _ in 0..<repetitions {
            try device.synchronize()
            try timings.time {
                try body()
                try device.synchronize()
            }
        }
        return timings
    }

    private func report(_ model: T5Model, _ timings: Timings, length: Int) throws {
        let tokenCount = batch * (decode ? targetLength : length + targetLength)
        let accounting = try T5Accounting(model.configuration)
        let flops = Double(accounting.trainingFLOPs(sourceLength: length, targetLength: targetLength))
        let perToken = decode ? nil : flops * Double(batch) / Double(tokenCount)
        let peak = ProcessMemory.peakByteCount
        guard json else {
            var table = TextTable(
                header: ["measure", "median", "range"], alignments: [.left, .right, .left])
            for row in timings.rows(tokenCount: tokenCount, flopsPerToken: perToken) { table.append(row) }
            table.append(["peak memory", Format.bytes(peak), "of the process"])
            let what = decode ? "decoding with \(beams) beams" : "training"
            Console.result(
                "\(what) of \(preset ?? self.model ?? "") (\(Format.count(accounting.parameterCount)) parameters),"
                    + " \(model.computeType.rawValue) on \(model.device), \(Runtime.threadCount) threads, batch"
                    + " \(batch), \(length) to \(targetLength) tokens\n\n\(table.text())")
            return
        }
        try Console.json(
            .ordered(
                [
                    ("benchmark", .string(decode ? "t5 decode" : "t5 train")),
                    ("model", .string(preset ?? self.model ?? "")),
                    ("parameters", .int(accounting.parameterCount)),
                    ("device", .string(model.device.description)),
                    ("dtype", .string(model.computeType.rawValue)), ("threads", .int(Runtime.threadCount)),
                    ("batch", .int(batch)), ("length", .int(length)), ("target_length", .int(targetLength)),
                    ("beams", .int(beams)), ("repetitions", .int(repetitions)), ("warmup", .int(warmup)),
                ] + timings.figures(tokenCount: tokenCount, flopsPerToken: perToken) + [
                    ("peak_bytes", .int(peak))
                ]))
    }
}
