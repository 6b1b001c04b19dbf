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

    @Option(
        name: .customLong("length"), parsing: .unconditional,
        help: "Tokens per row; several, separated by commas.",
        transform: Self.lengths)
    var lengths = [2048]

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
        kernels.apply()
        for length in lengths {
            let sizes = [keySize, valueSize, length, heads].reduce((product: batch, fits: true)) {
                sum, size in
                let (product, overflows) = sum.product.multipliedReportingOverflow(by: size)
                return (product, sum.fits && !overflows && product <= 1 << 44)
            }
            guard sizes.fits else { throw CommandError("these sizes are too large to measure") }
        }
        for (index, length) in lengths.enumerated() {
            let measured = try measure(length, device, type)
            if json {
                try Console.json(tree(measured, length, device, type))
            } else {
                Console.result((index > 0 ? "\n" : "") + text(measured, length, device, type))
            }
        }
    }

    private struct Measured {
        var (ahead, whole) = (Timings(), Timings())
        /// The matrix products alone and their operations, on processors.
        var products: (timings: Timings, operations: Double)?
    }

    private func measure(_ length: Int, _ device: Device, _ type: ElementType) throws -> Measured {
        let generator = try Generator(seed: seed, device: device)
        func random(_ size: Int) throws -> Tensor {
            try generator.normal([batch, heads, length, size], .float32).to(type).detached()
                .requiringGradient()
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
        var measured = Measured()
        func timed(_ timings: inout Timings, _ body: () throws -> Void) throws {
            try device.synchronize()
            try timings.time {
                try body()
                try device.synchronize()
            }
        }
        guard device == .cpu else {
            for _ in 0..<repetitions {
                try timed(&measured.ahead) { _ = try forward() }
                try timed(&measured.whole, both)
            }
            return measured
        }
        var products = Timings()
        _ = try StepProfile.times(both)
        var operations = try StepProfile.products().operations
        for _ in 0..<repetitions {
            try measured.ahead.time { _ = try forward() }
            try measured.whole.time(both)
            let (seconds, count) = try StepProfile.products()
            products.append(seconds)
            operations = count
        }
        measured.products = (products, operations)
        return measured
    }

    private func tree(_ measured: Measured, _ length: Int, _ device: Device, _ type: ElementType)
        -> SettingsTree
    {
        .ordered(
            [
                ("benchmark", .string("retention")), ("device", .string(device.description)),
                ("dtype", .string(type.rawValue)), ("threads", .int(Runtime.threadCount)),
                ("cpu_capability", .string(Runtime.cpuCapability)),
                ("kernels", .string(kernels.choice.rawValue)), ("batch", .int(batch)),
                ("heads", .int(heads)), ("key_size", .int(keySize)), ("value_size", .int(valueSize)),
                ("length", .int(length)), ("chunk", .int(chunk)), ("repetitions", .int(repetitions)),
                ("forward_seconds_median", .double(measured.ahead.median)),
            ] + measured.whole.figures(tokenCount: batch * length, flopsPerToken: nil)
                + (measured.products.map { timings, operations in
                    [
                        ("products_seconds_median", .double(timings.median)),
                        ("products_flops", .double(operations)),
                        ("step_over_products", .double(measured.whole.median / timings.median)),
                    ]
                } ?? []))
    }

    private func text(_ measured: Measured, _ length: Int, _ device: Device, _ type: ElementType) -> String {
        var table = TextTable(header: ["measure", "median", "range"], alignments: [.left, .right, .left])
        let rows =
            [("forward", measured.ahead), ("forward and backward", measured.whole)]
            + (measured.products.map { [("matrix products alone", $0.timings)] } ?? [])
        for (name, timings) in rows {
            table.append([
                name, Format.duration(seconds: timings.median),
                "\(Format.duration(seconds: timings.minimum)) to \(Format.duration(seconds: timings.maximum))",
            ])
        }
        if let products = measured.products {
            let ratio = measured.whole.median / products.timings.median
            table.append(["both / products", Format.fixed(ratio, decimals: 2), "of the medians"])
        }
        let place = device == .cpu ? "\(Runtime.threadCount) threads" : device.description
        return
            "retention, \(heads) heads of \(keySize) by \(valueSize), \(batch) × \(length) tokens, chunks of \(chunk),"
            + " \(type.rawValue), \(place)\n\n\(table.text())"
    }

    static func lengths(_ text: String) throws -> [Int] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map {
            try Arguments.positive($0.trimmingCharacters(in: .whitespaces))
        }
    }
}
