import ArgumentParser
import Foundation
import RetNetArchitecture
import RetNetCommandLine
import RetNetMixers
import RetNetReporting
import RetNetSettings
import RetNetTorch

/// `retnet bench retention`: the retention operator alone, forward and backward.
struct BenchRetentionCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "retention",
        abstract: "Measure the retention operator alone: forward and backward.",
        discussion: """
            Queries, keys and values are random, [batch, heads, length, size]; nothing is projected, rotated or normalized. \
            Figures are medians of repetitions after a warm-up, with the fastest and the slowest.
            """)

    @OptionGroup var device: DeviceOptions

    @OptionGroup var kernels: KernelOptions

    @Option(parsing: .unconditional, help: "Sequences.", transform: Arguments.positive)
    var batch = 1

    @Option(parsing: .unconditional, help: "Heads.", transform: Arguments.positive)
    var heads = 2

    @Option(
        parsing: .unconditional, help: "Channels of a query and a key of one head.",
        transform: Arguments.positive)
    var keySize = 256

    @Option(parsing: .unconditional, help: "Channels of a value of one head.", transform: Arguments.positive)
    var valueSize = 512

    @Option(parsing: .unconditional, help: "Tokens per row.", transform: Arguments.positive)
    var length = 2048

    @Option(parsing: .unconditional, help: "Tokens of a chunk.", transform: Arguments.positive)
    var chunk = 128

    @Option(parsing: .unconditional, help: "Timed repetitions.", transform: Arguments.positive)
    var repetitions = 5

    @Option(parsing: .unconditional, help: "Warm-up runs.", transform: Arguments.nonNegative)
    var warmup = 1

    @Option(parsing: .unconditional, help: "Seed for the data.")
    var seed: UInt64 = 0

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let (device, type) = try device.prepare(.fast)
        guard device == .cpu else {
            throw CommandError("retention alone is measured on processors; use --device cpu")
        }
        kernels.apply()
        let sizes = [keySize, valueSize, length, heads].reduce((product: batch, fits: true)) { sum, size in
            let (product, overflows) = sum.product.multipliedReportingOverflow(by: size)
            return (product, sum.fits && !overflows && product <= 1 << 44)
        }
        guard sizes.fits else { throw CommandError("these sizes are too large to measure") }
        let generator = try Generator(seed: seed)
        func random(_ size: Int) throws -> Tensor {
            try generator.normal([batch, heads, length, size], .float32).to(type).requiringGradient()
        }
        let (q, k, v) = (try random(keySize), try random(keySize), try random(valueSize))
        let seeds = try generator.normal([batch, heads, length, valueSize], .float32).to(type)
        let logGammas = DecaySchedule.experiment.logGammas(headCount: heads)
        func forward() throws -> Tensor {
            try FusedOperators.retention(
                query: q, key: k, value: v, state: nil, logGammas: logGammas, chunkLength: chunk,
                keepsState: false, trains: true
            ).output
        }
        func both() throws {
            _ = try Tensor.gradients(of: [forward()], seeds: [seeds], withRespectTo: [q, k, v])
        }
        for _ in 0..<max(1, warmup) { try both() }
        var (ahead, whole, products) = (Timings(), Timings(), Timings())
        _ = try StepProfile.times(both)
        var operations = try StepProfile.products().operations
        for _ in 0..<repetitions {
            try ahead.time { _ = try forward() }
            try whole.time(both)
            let (seconds, count) = try StepProfile.products()
            products.append(seconds)
            operations = count
        }
        let ratio = whole.median / products.median
        if json {
            try Console.json(
                .ordered(
                    [
                        ("benchmark", .string("retention")), ("dtype", .string(type.rawValue)),
                        ("threads", .int(Runtime.threadCount)),
                        ("cpu_capability", .string(Runtime.cpuCapability)),
                        ("kernels", .string(kernels.choice.rawValue)), ("batch", .int(batch)),
                        ("heads", .int(heads)), ("key_size", .int(keySize)), ("value_size", .int(valueSize)),
                        ("length", .int(length)), ("chunk", .int(chunk)), ("repetitions", .int(repetitions)),
                        ("forward_seconds_median", .double(ahead.median)),
                    ] + whole.figures(tokenCount: batch * length, flopsPerToken: nil) + [
                        ("products_seconds_median", .double(products.median)),
                        ("products_flops", .double(operations)), ("step_over_products", .double(ratio)),
                    ]))
            return
        }
        var table = TextTable(header: ["measure", "median", "range"], alignments: [.left, .right, .left])
        for (name, timings) in [
            ("forward", ahead), ("forward and backward", whole), ("matrix products alone", products),
        ] {
            table.append([
                name, Format.duration(seconds: timings.median),
                "\(Format.duration(seconds: timings.minimum)) to \(Format.duration(seconds: timings.maximum))",
            ])
        }
        table.append(["both / products", Format.fixed(ratio, decimals: 2), "of the medians"])
        Console.result(
            "retention, \(heads) heads of \(keySize) by \(valueSize), \(batch) × \(length) tokens, chunks of \(chunk),"
                + " \(type.rawValue), \(Runtime.threadCount) threads\n\n\(table.text())")
    }
}
