import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetStories
import RetNetText
import RetNetTorch
import RetNetTraining

/// `retnet bench train`: training steps.
struct BenchTrainCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Measure training steps: forward, backward, clipping and AdamW.")

    @OptionGroup var options: BenchOptions

    @Option(parsing: .unconditional, help: "Tokens per row.", transform: Arguments.positive)
    var length = 512

    @Option(
        parsing: .unconditional, help: "Form of computation: parallel, chunkwise:N or recurrent.",
        transform: Arguments.form)
    var form: MixerForm?

    @Option(parsing: .unconditional, help: "Short for --form chunkwise:N.", transform: Arguments.positive)
    var chunk: Int?

    @Flag(help: "Recompute activations in the backward pass instead of storing them.")
    var recompute = false

    @Flag(help: "Measure whole steps only: not their parts, and not their matrix products alone.")
    var stepsOnly = false

    @OptionGroup var kernels: KernelOptions

    func validate() throws {
        if form != nil, chunk != nil { throw ValidationError("give --form or --chunk, not both") }
    }

    func run() throws {
        let model = try options.makeModel()
        kernels.apply()
        model.recomputesActivations = recompute
        let form = form ?? chunk.map { .chunkwise($0) } ?? model.configuration.trainingForm
        var training = TrainingConfiguration()
        training.duration = .steps(1_000_000)
        let trainer = try Trainer(LanguageModelTask(model, source: source(), form: form), training)
        let timings: Timings
        var parts: StepParts?
        if stepsOnly || model.device != .cpu {
            timings = try options.measure(on: model.device) { _ = try trainer.makeStep() }
        } else {
            let measured = try StepParts.measure(
                warmup: options.warmup, repetitions: options.repetitions
            ) { _ = try trainer.makeStep() }
            timings = measured.steps
            parts = measured.parts
        }
        let tokenCount = options.batch * length
        let flops = Double(try ModelAccounting(model.configuration).trainingFLOPsPerToken)
        let peak = ProcessMemory.peakByteCount
        guard options.json else {
            var table = TextTable(
                header: ["measure", "median", "range"], alignments: [.left, .right, .left])
            for row in timings.rows(tokenCount: tokenCount, flopsPerToken: flops) { table.append(row) }
            for row in parts?.rows(steps: timings) ?? [] { table.append(row) }
            table.append(["peak memory", Format.bytes(peak), "of the process"])
            if let bytes = model.device.peakByteCount {
                table.append(["peak memory", Format.bytes(bytes), "of tensors on the device"])
            }
            Console.result(
                "\(options.headline("training", model)), length \(length), \(form)\n\n\(table.text())"
                    + (parts.map { "\n\($0.table.text())" } ?? ""))
            return
        }
        try Console.json(
            .ordered(
                options.header("train", model) + [
                    ("length", .int(length)), ("form", .string(form.description)),
                    ("recompute", .bool(recompute)), ("kernels", .string(kernels.choice.rawValue)),
                    ("cpu_capability", .string(Runtime.cpuCapability)),
                ] + timings.figures(tokenCount: tokenCount, flopsPerToken: flops)
                    + (parts?.figures(steps: timings) ?? []) + [("peak_bytes", .int(peak))]
                    + (model.device.peakByteCount.map { [("device_peak_bytes", .int($0))] } ?? [])))
    }

    /// Returns windows of generated text; the choice of tokens does not affect the speed.
    private func source() throws -> any BatchSource {
        let (needed, overflow) = options.batch.multipliedReportingOverflow(by: length)
        guard !overflow, needed <= 1 << 26 else {
            throw CommandError("a batch of \(options.batch) rows of \(length) tokens is too large to measure")
        }
        var stories = StoryGenerator(seed: options.seed)
        let text = stories.corpus(byteCount: needed * 2 + 4096).text
        let stream = try TokenStream(texts: [text], tokenizer: ByteTokenizer())
        return try ShuffledWindows(
            stream: stream, rowCount: options.batch, length: length, seed: options.seed)
    }
}

/// The time of a step by part, and the time of its matrix products alone.
private struct StepParts {
    /// Median seconds of each part in profiled steps.
    let times: [StepProfile.Part: (rest: Double, products: Double)]
    /// The products alone.
    let products: Timings
    /// Floating-point operations of the products.
    let operations: Double

    /// Times steps and products in turns, so that a drift of the machine favors neither.
    static func measure(warmup: Int, repetitions: Int, _ step: () throws -> Void) throws -> (
        steps: Timings, parts: StepParts
    ) {
        for _ in 0..<warmup { try step() }
        var profiles: [[StepProfile.Part: StepProfile.Time]] = []
        for _ in 0..<min(3, repetitions) { profiles.append(try StepProfile.times(step)) }
        var steps = Timings()
        var products = Timings()
        var operations = try StepProfile.products().operations
        for round in 0..<repetitions {
            if round % 2 == 0 { try steps.time(step) }
            let (seconds, count) = try StepProfile.products()
            products.append(seconds)
            operations = count
            if round % 2 == 1 { try steps.time(step) }
        }
        func median(_ part: StepProfile.Part, _ value: (StepProfile.Time) -> Double) -> Double {
            let sorted = profiles.compactMap { $0[part].map(value) }.sorted()
            return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
        }
        let times = StepProfile.Part.allCases.map { part in
            (part, (rest: median(part, \.rest), products: median(part, \.products)))
        }
        return (
            steps,
            StepParts(
                times: Dictionary(uniqueKeysWithValues: times), products: products, operations: operations)
        )
    }

    /// Rows of the table of figures.
    func rows(steps: Timings) -> [[String]] {
        [
            [
                "matrix products alone", Format.duration(seconds: products.median),
                "\(Format.duration(seconds: products.minimum)) to \(Format.duration(seconds: products.maximum)),"
                    + " \(Format.count(operations / products.median)) FLOP per second",
            ],
            ["step / products", Format.fixed(steps.median / products.median, decimals: 2), "of the medians"],
        ]
    }

    /// The parts, the longest first.
    var table: TextTable {
        var table = TextTable(
            header: ["part of a step", "time", "products in it", "share"],
            alignments: [.left, .right, .right, .right])
        let all = times.values.reduce(0) { $0 + $1.rest + $1.products }
        for (part, time) in times.sorted(by: {
            $0.value.rest + $0.value.products > $1.value.rest + $1.value.products
        })
        where time.rest + time.products > 0 {
            let seconds = time.rest + time.products
            table.append([
                part.rawValue.replacingOccurrences(of: "_", with: "-"), Format.duration(seconds: seconds),
                time.products > 0 ? Format.duration(seconds: time.products) : "",
                Format.fixed(100 * seconds / all, decimals: 1) + " %",
            ])
        }
        return table
    }

    /// Entries of the results.
    func figures(steps: Timings) -> [(String, SettingsTree)] {
        [
            ("products_seconds_median", .double(products.median)),
            ("products_seconds_min", .double(products.minimum)),
            ("products_seconds_max", .double(products.maximum)),
            ("products_flops", .double(operations)),
            ("step_over_products", .double(steps.median / products.median)),
            (
                "parts",
                .ordered(
                    StepProfile.Part.allCases.map { part in
                        let time = times[part]
                        return (
                            part.rawValue,
                            .ordered([
                                ("seconds", .double((time?.rest ?? 0) + (time?.products ?? 0))),
                                ("product_seconds", .double(time?.products ?? 0)),
                            ])
                        )
                    })
            ),
        ]
    }
}
