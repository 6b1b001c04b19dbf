import ArgumentParser
import RetNetCommandLine
import RetNetReporting
import RetNetRuntime
import RetNetSettings
import RetNetStorage

/// `retnet-lite bench`: speed of decoding and of reading prompts.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure the speed of a model.",
        subcommands: [DecodeCommand.self, PrefillCommand.self])
}

/// `retnet-lite bench decode`: time per token, beside the time that reading the weights takes.
struct DecodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode", abstract: "Measure the time of decoding steps.")

    @OptionGroup var model: ModelOptions

    @Option(parsing: .unconditional, help: "Sequences at once.", transform: Arguments.positive)
    var batch = 1

    @Option(
        parsing: .unconditional, help: "Tokens read before the measurement.", transform: Arguments.nonNegative
    )
    var context = 64

    @Option(parsing: .unconditional, help: "Steps that are measured.", transform: Arguments.positive)
    var steps = 64

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let model = try RuntimeModel(path: model.folder.path(), stateType: model.stateType)
        let runner = try self.model.runner(model)
        let size = Int32(clamping: model.configuration.vocabularySize)
        var states = (0..<batch).map { _ in model.initialState() }
        if context > 0 {
            let tokens = (0..<batch).map { row in
                (0..<context).map { Int32(($0 * 31 + row * 7) % Int(size)) }
            }
            try runner.read(tokens, &states, logits: .none)
        }
        var timings: [Double] = []
        // Two steps first, which touch all pages and wake the threads.
        for step in 0..<steps + 2 {
            let next = (0..<batch).map { Int32((step * 17 + $0) % Int(size)) }
            let start = ContinuousClock.now
            _ = try runner.step(next, &states)
            if step >= 2 { timings.append((ContinuousClock.now - start) / .seconds(1)) }
        }
        // Every 16th step rewrites states, so whole blocks are compared: the median of their means.
        let length = min(timings.count, SequenceState.blockLength)
        let means = stride(from: 0, through: timings.count - length, by: length).map {
            timings[$0..<$0 + length].reduce(0, +) / Double(length)
        }.sorted()
        let median = means[means.count / 2]
        timings.sort()
        let stateBytes = states.reduce(0) { $0 + $1.byteCountPerToken }
        let bytes = model.weightByteCountPerToken + stateBytes
        // Without the memory that is read for the comparison.
        let peak = ProcessMemory.peakByteCount
        let bandwidth = runner.readBandwidth()
        let share = Double(bytes) / median / bandwidth
        if json {
            return try Console.json([
                "milliseconds_per_step": .double(median * 1000),
                "milliseconds_fastest": .double((timings.first ?? median) * 1000),
                "milliseconds_slowest": .double((timings.last ?? median) * 1000),
                "tokens_per_second": .double(Double(batch) / median), "batch": .int(batch),
                "context": .int(context), "steps": .int(steps), "bytes_per_step": .int(bytes),
                "bytes_per_second": .double(Double(bytes) / median),
                "read_bandwidth": .double(bandwidth), "share_of_bandwidth": .double(share),
                "threads": .int(runner.threadCount), "instruction_set": .string(runner.instructionSet),
                "element_types": .array(model.elementTypes.map { .string($0) }),
                "peak_bytes": .int(peak),
            ])
        }
        func milliseconds(_ seconds: Double?) -> String {
            Format.fixed((seconds ?? median) * 1000, decimals: 3)
        }
        Console.result(
            "\(milliseconds(median)) ms per step (\(milliseconds(timings.first)) to \(milliseconds(timings.last))),"
                + " \(Format.count(Double(batch) / median)) tokens/s")
        Console.result(
            "\(Format.bytes(bytes)) of weights and states per step:"
                + " \(Format.fixed(Double(bytes) / median / 1e9, decimals: 1)) GB/s, \(Format.percent(share, decimals: 0))"
                + " of the \(Format.fixed(bandwidth / 1e9, decimals: 1)) GB/s at which memory is read")
    }
}

/// `retnet-lite bench prefill`: tokens of a prompt per second.
struct PrefillCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prefill", abstract: "Measure the speed of reading prompts.")

    @OptionGroup var model: ModelOptions

    @Option(parsing: .unconditional, help: "Tokens of the prompt.", transform: Arguments.positive)
    var length = 2048

    @Option(parsing: .unconditional, help: "Repetitions.", transform: Arguments.positive)
    var repetitions = 3

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let model = try RuntimeModel(path: model.folder.path(), stateType: model.stateType)
        let runner = try self.model.runner(model)
        let tokens = (0..<length).map { Int32(($0 * 31) % model.configuration.vocabularySize) }
        var timings: [Double] = []
        for _ in 0..<repetitions + 1 {
            var states = [model.initialState()]
            let start = ContinuousClock.now
            _ = try runner.read([tokens], &states, logits: .last)
            timings.append((ContinuousClock.now - start) / .seconds(1))
        }
        // The first repetition touches all pages.
        timings.removeFirst()
        timings.sort()
        let median = timings[timings.count / 2]
        if json {
            return try Console.json([
                "seconds": .double(median), "seconds_fastest": .double(timings.first ?? median),
                "tokens_per_second": .double(Double(length) / median), "length": .int(length),
                "threads": .int(runner.threadCount), "instruction_set": .string(runner.instructionSet),
                "peak_bytes": .int(ProcessMemory.peakByteCount),
            ])
        }
        Console.result(
            "\(Format.grouped(length)) tokens in \(Format.duration(seconds: median)):"
                + " \(Format.count(Double(length) / median)) tokens/s")
    }
}
