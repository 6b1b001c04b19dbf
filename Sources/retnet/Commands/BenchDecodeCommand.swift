import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetEngines
import RetNetInference
import RetNetKernels
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetStorage

/// `retnet bench decode`: generation token by token at several positions.
struct BenchDecodeCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode",
        abstract: "Measure the generation of one token at several positions.",
        discussion: """
            The state is filled by reading up to 128 tokens and then gets each position, so that far positions can be \
            measured without reading all text before them: the cost of a step does not depend on the origin of the \
            state. States that grow with the text, such as caches of keys and values, are repeated up to their size at \
            the position. Positions take turns, token by token.

            On a processor, generation with few rows waits for memory: the bound is the time in which the weights and \
            the state of a step are read at the rate that is measured before.
            """)

    @OptionGroup var options: BenchOptions
    @OptionGroup var engine: EngineOptions

    @Option(
        parsing: .unconditional, help: "Positions of generation, separated by commas.",
        transform: Self.positions)
    var positions = [100, 1000, 10_000, 100_000]

    @Option(
        parsing: .unconditional, help: "Tokens to generate at each position, per repetition.",
        transform: Arguments.positive)
    var maxTokens = 50

    @Option(
        name: .customLong("tokens"), parsing: .unconditional, help: .hidden, transform: Arguments.positive)
    var formerTokens: Int?

    private var tokens: Int { Console.former("--tokens", formerTokens, now: "--max-tokens") ?? maxTokens }

    func run() throws {
        let tokens = tokens
        let opened = try options.open(engine)
        let engine = opened.engine
        let bench = DecodeBench(engine: engine, batch: options.batch)
        let results = try bench.run(
            positions: positions, tokenCount: tokens * options.repetitions, warmup: max(1, options.warmup * 5)
        )
        let accounting = try ModelAccounting(engine.configuration)
        let peak = ProcessMemory.peakByteCount
        let bound = engine.deviceName == "cpu" ? MemoryBound(engine) : nil
        guard options.json else {
            var lines = [
                options.headline("generation", engine), "", DecodeBench.table(results, bound),
            ]
            if let bound { lines.append(bound.summary) }
            lines.append("Engine: \(engine.summary(reason: opened.reason)).")
            lines.append("Peak memory of the process: \(Format.bytes(peak)).")
            Console.result(lines.joined(separator: "\n"))
            return
        }
        let entries: [SettingsTree] = results.map { result in
            let flops = Double(accounting.decodingFLOPsPerToken(position: result.position))
            return .ordered(
                [("position", .int(result.position))]
                    + result.timings.figures(tokenCount: options.batch, flopsPerToken: flops)
                    + [("state_bytes", .int(result.stateByteCount))]
                    + (bound.map { [("bound_seconds", .double($0.seconds(for: result)))] } ?? []))
        }
        try Console.json(
            .ordered(
                options.header("decode", engine) + opened.entries + [
                    ("tokens", .int(tokens * options.repetitions)), ("results", .array(entries)),
                    ("peak_bytes", .int(peak)),
                    ("weight_bytes_per_step", .int(engine.weightByteCountPerStep)),
                    ("memory_bytes_per_second", bound.map { .double($0.bytesPerSecond) } ?? .null),
                ] + BenchOptions.devicePeak(engine)))
    }

    static func positions(_ text: String) throws -> [Int] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map {
            try Arguments.nonNegative($0.trimmingCharacters(in: .whitespaces))
        }
    }
}

/// A measurement of single steps of generation at several positions in turn.
struct DecodeBench {
    /// The measurement of one position.
    struct Result {
        let position: Int
        var timings = Timings()
        /// Bytes of the state of the whole batch.
        let stateByteCount: Int
    }

    let engine: any LanguageEngine
    let batch: Int

    init(engine: any LanguageEngine, batch: Int) {
        self.engine = engine
        self.batch = batch
    }

    /// Measures a model that LibTorch computes.
    init(model: LanguageModel, batch: Int) { self.init(engine: LibTorchEngine(model), batch: batch) }

    /// Times a number of tokens at every position after a warm-up.
    func run(positions: [Int], tokenCount: Int, warmup: Int) throws -> [Result] {
        let rows = try positions.map(sequences(at:))
        var results = zip(positions, rows).map { Result(position: $0, stateByteCount: $1.stateByteCount) }
        let size = engine.configuration.vocabularySize
        for step in 0..<(warmup + tokenCount) {
            let tokens = (0..<batch).map { Int32((step * 31 + $0 * 7) % size) }
            for index in rows.indices {
                let work = { try rows[index].step(tokens) }
                if step < warmup { try work() } else { try results[index].timings.time(work) }
            }
        }
        return results
    }

    /// Returns sequences with some text that have been moved to a position.
    private func sequences(at position: Int) throws -> any EngineSequences {
        let rows = try engine.sequences(count: batch, form: .chunkwise(64))
        let length = min(position, 128)
        guard length > 0 else { return rows }
        let size = engine.configuration.vocabularySize
        try rows.read(
            (0..<batch).map { row in (0..<length).map { Int32((row * length + $0) % size) } })
        try rows.move(to: position)
        return rows
    }

    /// Returns the results as a table.
    static func table(_ results: [Result], _ bound: MemoryBound?) -> String {
        let header =
            ["position", "ms per step", "fastest to slowest", "state"]
            + (bound == nil ? [] : ["bound in ms", "reached"])
        var table = TextTable(header: header, alignments: header.map { _ in .right })
        for result in results {
            let times = result.timings
            var row = [
                Format.grouped(result.position), Format.fixed(times.median * 1000, decimals: 3),
                "\(Format.fixed(times.minimum * 1000, decimals: 3)) to"
                    + " \(Format.fixed(times.maximum * 1000, decimals: 3))",
                Format.bytes(result.stateByteCount),
            ]
            if let bound {
                let seconds = bound.seconds(for: result)
                row.append(Format.fixed(seconds * 1000, decimals: 3))
                row.append(Format.percent(seconds / times.median, decimals: 0))
            }
            table.append(row)
        }
        return table.text()
    }
}

/// The least time of a step of generation by the rate at which this machine reads memory.
struct MemoryBound {
    /// Bytes of the weights that a step reads: all matrices but the embedding, of which it takes some rows.
    let weightByteCount: Int
    /// The rate of all threads together.
    let bytesPerSecond: Double

    private let threadCount: Int

    /// Measures the rate with as many threads as operations use; nil where there is no memory for that.
    init?(_ engine: any LanguageEngine) {
        weightByteCount = engine.weightByteCountPerStep
        threadCount = engine.threadCount
        let pool = rn_pool_create(Int32(clamping: threadCount), nil)
        defer { rn_pool_destroy(pool) }
        // Larger than any cache of a processor.
        bytesPerSecond = rn_read_bandwidth(pool, 1 << 29, 5)
        guard bytesPerSecond > 0 else { return nil }
    }

    /// The time of reading the weights and the state once.
    func seconds(for result: DecodeBench.Result) -> Double {
        Double(weightByteCount + result.stateByteCount) / bytesPerSecond
    }

    var summary: String {
        "Bound: a step reads \(Format.bytes(weightByteCount)) of weights and the state once, at"
            + " \(Format.fixed(bytesPerSecond / 1e9, decimals: 1)) GB/s as read here by"
            + " \(threadCount) \(threadCount == 1 ? "thread" : "threads")."
    }
}
