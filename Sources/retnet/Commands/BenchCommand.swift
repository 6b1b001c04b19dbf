import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetEngines
import RetNetInference
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetTorch

/// `retnet bench`: benchmarks of speed and memory.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure speed and memory of training, prefill and generation.",
        discussion: """
            Presets get random weights, which does not affect their speed. Figures are medians of repetitions after a \
            warm-up, with the fastest and the slowest.
            """,
        subcommands: [
            BenchTrainCommand.self, BenchRetentionCommand.self, BenchPrefillCommand.self,
            BenchDecodeCommand.self, BenchT5Command.self,
            BenchArchitecturesCommand.self, BenchAltUpCommand.self, BenchTokenizerCommand.self,
            BenchTasksCommand.self,
        ])
}

/// The model to measure and the number of repetitions: options of several benchmarks.
struct BenchOptions: ParsableArguments {
    @OptionGroup var source: ModelSource
    @OptionGroup var device: DeviceOptions

    @Option(parsing: .unconditional, help: "Rows of one batch.", transform: Arguments.positive)
    var batch = 1

    @Option(parsing: .unconditional, help: "Timed repetitions.", transform: Arguments.positive)
    var repetitions = 5

    @Option(parsing: .unconditional, help: "Warm-up runs.", transform: Arguments.nonNegative)
    var warmup = 1

    @Option(parsing: .unconditional, help: "Seed for random weights and data.")
    var seed: UInt64 = 0

    @Flag(help: "Print one JSON object.")
    var json = false

    /// Returns the model to train; presets get random weights.
    func makeModel() throws -> LanguageModel {
        let (device, type) = try device.prepare(.fast)
        // Training keeps float32 master weights.
        let stored = type == .bfloat16 ? ElementType.float32 : type
        if let path = source.model {
            let folder = try ModelOptions.modelPath(path)
            let start = ProcessInfo.processInfo.systemUptime
            let loaded = try ModelFolder.load(
                folder, elementType: stored, device: device, computeType: type)
            let seconds = ProcessInfo.processInfo.systemUptime - start
            Console.note("weights loaded in \(Format.fixed(seconds, decimals: 2)) s")
            return loaded.model
        }
        return try randomModel(stored, device, computeType: type)
    }

    private func randomModel(_ stored: ElementType, _ device: Device, computeType: ElementType) throws
        -> LanguageModel
    {
        let configuration = try source.configuration()
        let parameters = ParameterStore(source: .random(seed: seed), elementType: stored, device: device)
        return try withoutGradients {
            try LanguageModel(configuration, parameters: parameters, computeType: computeType)
        }
    }

    /// Loads the model to run into an engine; presets get random weights.
    func open(_ engine: EngineOptions, onlyLibTorch: [(isGiven: Bool, name: String)] = []) throws
        -> OpenedEngine
    {
        let request = try engine.request(device, .fast, onlyLibTorch: onlyLibTorch)
        let start = ProcessInfo.processInfo.systemUptime
        let opened =
            try source.model.map { try EngineSelection(ModelOptions.modelPath($0), request).load() }
            ?? OpenedEngine.random(request) { try randomModel($0, $1, computeType: $0) }
        let seconds = ProcessInfo.processInfo.systemUptime - start
        if source.model != nil {
            Console.note("weights loaded in \(Format.fixed(seconds, decimals: 2)) s")
        }
        return opened
    }

    /// Times repetitions of a body with the device idle before and after each.
    func measure(on device: Device, _ body: () throws -> Void) throws -> Timings {
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

    /// Times repetitions of a body that has finished its work when it returns.
    func measure(_ body: () throws -> Void) throws -> Timings {
        for _ in 0..<warmup { try body() }
        var timings = Timings()
        for _ in 0..<repetitions { try timings.time(body) }
        return timings
    }

    /// Returns the peak memory of tensors as an entry of results, if the engine computes on a device other than the processor.
    static func devicePeak(_ engine: any LanguageEngine) -> [(String, SettingsTree)] {
        guard let bytes = (try? Device(parsing: engine.deviceName))?.peakByteCount else { return [] }
        return [("device_peak_bytes", .int(bytes))]
    }

    /// Returns the first entries of the results of a benchmark of an engine.
    func header(_ kind: String, _ engine: any LanguageEngine) -> [(String, SettingsTree)] {
        [
            ("benchmark", .string(kind)), ("model", .string(source.name)),
            ("parameters", .int(engine.parameterCount)), ("device", .string(engine.deviceName)),
            ("dtype", .string(engine.elementTypeName)), ("threads", .int(engine.threadCount)),
            ("batch", .int(batch)), ("repetitions", .int(repetitions)), ("warmup", .int(warmup)),
        ]
    }

    /// Returns the line above a table of results of an engine.
    func headline(_ kind: String, _ engine: any LanguageEngine) -> String {
        "\(kind) of \(source.name) (\(Format.count(engine.parameterCount)) parameters),"
            + " \(engine.elementTypeName) on \(engine.deviceName), \(engine.threadCount) threads, batch \(batch)"
    }

    /// Returns the first entries of the results of a benchmark.
    func header(_ kind: String, _ model: LanguageModel) -> [(String, SettingsTree)] {
        [
            ("benchmark", .string(kind)), ("model", .string(source.name)),
            ("parameters", .int(model.parameters.parameterCount)),
            ("device", .string(model.device.description)),
            ("dtype", .string(model.computeType.rawValue)), ("threads", .int(Runtime.threadCount)),
            ("batch", .int(batch)), ("repetitions", .int(repetitions)), ("warmup", .int(warmup)),
        ]
    }

    /// Returns the line above a table of results.
    func headline(_ kind: String, _ model: LanguageModel) -> String {
        "\(kind) of \(source.name) (\(Format.count(model.parameters.parameterCount)) parameters),"
            + " \(model.computeType.rawValue) on \(model.device), \(Runtime.threadCount) threads, batch \(batch)"
    }
}

extension Timings {
    /// Returns the figures of a benchmark with a number of tokens per run.
    func figures(tokenCount: Int, flopsPerToken: Double?) -> [(String, SettingsTree)] {
        let tokensPerSecond = Double(tokenCount) / median
        return [
            ("seconds_median", .double(median)), ("seconds_min", .double(minimum)),
            ("seconds_max", .double(maximum)), ("tokens_per_second", .double(tokensPerSecond)),
            ("flops_per_second", flopsPerToken.map { .double($0 * tokensPerSecond) } ?? .null),
        ]
    }

    /// Returns the same figures as rows of a table.
    func rows(tokenCount: Int, flopsPerToken: Double?) -> [[String]] {
        let tokensPerSecond = Double(tokenCount) / median
        var rows = [
            [
                "time", Format.duration(seconds: median),
                "\(Format.duration(seconds: minimum)) to \(Format.duration(seconds: maximum))",
            ],
            ["tokens per second", Format.count(tokensPerSecond), ""],
        ]
        if let flopsPerToken {
            rows.append(["FLOP per second", Format.count(flopsPerToken * tokensPerSecond), "by model FLOPs"])
        }
        return rows
    }
}

extension OpenedEngine {
    /// The engine as entries of results.
    var entries: [(String, SettingsTree)] {
        [
            ("engine", .string(engine.kind.rawValue)), ("engine_details", .string(engine.details)),
            ("engine_reason", reason.map { .string($0) } ?? .null),
            ("state_dtype", .string(engine.stateElementTypeName)),
        ]
    }
}

extension SettingsTree {
    /// Returns an object with its names in the given order.
    static func ordered(_ entries: [(String, SettingsTree)]) -> SettingsTree {
        var object = SettingsObject()
        for (key, value) in entries { object[key] = value }
        return .object(object)
    }
}
