import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetReporting
import RetNetSettings
import RetNetTorch

/// `retnet bench`: speed and memory.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure speed and memory of training, reading and generating.",
        discussion: """
            A preset is measured with random weights, which makes no difference to its speed. Every figure is the \
            median of repetitions after a warm-up, with the fastest and the slowest.
            """,
        subcommands: [
            BenchTrainCommand.self, BenchPrefillCommand.self, BenchDecodeCommand.self, BenchT5Command.self,
            BenchArchitecturesCommand.self, BenchAltUpCommand.self,
        ])
}

/// What is measured, and how often; the same options for every benchmark.
struct BenchOptions: ParsableArguments {
    @OptionGroup var source: ModelSource
    @OptionGroup var device: DeviceOptions

    @Option(help: "Rows of one batch.", transform: Arguments.positive)
    var batch = 1

    @Option(help: "How often to measure.", transform: Arguments.positive)
    var repetitions = 5

    @Option(help: "Runs that are not measured, before those that are.", transform: Arguments.nonNegative)
    var warmup = 1

    @Option(help: "The seed of random weights and data.")
    var seed: UInt64 = 0

    @Flag(help: "Print one JSON object.")
    var json = false

    /// The model to measure; presets get random weights.
    func makeModel(forTraining: Bool) throws -> LanguageModel {
        let (device, type) = try device.prepare(.fast)
        // Training keeps float32 master weights; inference keeps weights in the type it computes with.
        let stored = forTraining && type == .bfloat16 ? ElementType.float32 : type
        if let path = source.model {
            let folder = try ModelOptions.modelPath(path)
            return try ModelFolder.load(folder, elementType: stored, device: device, computeType: type).model
        }
        let configuration = try source.configuration()
        let parameters = ParameterStore(source: .random(seed: seed), elementType: stored, device: device)
        return try withoutGradients {
            try LanguageModel(configuration, parameters: parameters, computeType: type)
        }
    }

    /// Runs the body with the device idle before and after, so that only its own work is timed.
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

    /// What the results of all benchmarks begin with.
    func header(_ kind: String, _ model: LanguageModel) -> [(String, SettingsTree)] {
        [
            ("benchmark", .string(kind)), ("model", .string(source.name)),
            ("parameters", .int(model.parameters.parameterCount)),
            ("device", .string(model.device.description)),
            ("dtype", .string(model.computeType.rawValue)), ("threads", .int(Runtime.threadCount)),
            ("batch", .int(batch)), ("repetitions", .int(repetitions)), ("warmup", .int(warmup)),
        ]
    }

    /// The line that tells people what was measured.
    func headline(_ kind: String, _ model: LanguageModel) -> String {
        "\(kind) of \(source.name) (\(Format.count(model.parameters.parameterCount)) parameters),"
            + " \(model.computeType.rawValue) on \(model.device), \(Runtime.threadCount) threads, batch \(batch)"
    }
}

extension Timings {
    /// The figures of a benchmark whose every run handled so many tokens.
    func figures(tokenCount: Int, flopsPerToken: Double?) -> [(String, SettingsTree)] {
        let tokensPerSecond = Double(tokenCount) / median
        return [
            ("seconds_median", .double(median)), ("seconds_min", .double(minimum)),
            ("seconds_max", .double(maximum)), ("tokens_per_second", .double(tokensPerSecond)),
            ("flops_per_second", flopsPerToken.map { .double($0 * tokensPerSecond) } ?? .null),
        ]
    }

    /// The same figures as rows of a table for people.
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

extension SettingsTree {
    /// An object with its names in the order given.
    static func ordered(_ entries: [(String, SettingsTree)]) -> SettingsTree {
        var object = SettingsObject()
        for (key, value) in entries { object[key] = value }
        return .object(object)
    }
}
