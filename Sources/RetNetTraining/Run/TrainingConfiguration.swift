import RetNetSettings
import RetNetTorch

/// The part of a run's configuration that every kind of model shares: how it is trained, measured and saved.
///
/// A new setting is a property and a row of ``declarations``; reading, writing, ranges and the reference follow.
public struct TrainingConfiguration: DeclaredSettings, Sendable, Equatable {
    /// The element type of passes; weights, moments, losses and states are float32 in any case.
    public enum Precision: String, Sendable, CaseIterable {
        /// bfloat16 where the processor or GPU multiplies it natively, else float32.
        case auto
        /// Single precision.
        case float32
        /// Half the memory traffic, with three digits.
        case bfloat16

        /// Returns the choice that `auto` stands for on a device, or the choice itself.
        func resolved(on device: Device) -> Precision {
            guard self == .auto else { return self }
            return Runtime.fastElementType(on: device) == .bfloat16 ? .bfloat16 : .float32
        }

        /// Returns the element type of passes on a device.
        func elementType(on device: Device) -> ElementType {
            resolved(on: device) == .bfloat16 ? .bfloat16 : .float32
        }
    }

    /// Optimizer, with the peak learning rate.
    public var optimizer = OptimizerConfiguration()
    /// Course of the learning rate.
    public var schedule = ScheduleConfiguration()
    /// Conditions under which an update is skipped.
    public var lossGuard = GuardConfiguration()
    /// Length of the run.
    public var duration = RunDuration.steps(1000)
    /// Micro-batches of one update.
    public var accumulationCount = 1
    /// Element type of passes.
    public var precision = Precision.auto
    /// Seed for initial weights, data order and dropout.
    public var seed: UInt64 = 1
    /// Exchange of gradients between ranks.
    public var distribution = DistributionConfiguration()
    /// Intervals of metrics, validation, samples and checkpoints.
    public var monitoring = MonitoringConfiguration()

    /// The RetNet paper's settings for 1,000 steps.
    public init() {}

    /// The RetNet paper's settings for 1,000 steps.
    public static let standard = TrainingConfiguration()

    /// The seed as configuration files hold it.
    private var seedNumber: Int {
        get { Int(clamping: seed) }
        set { seed = UInt64(newValue) }
    }

    /// All shared settings, at the root of a configuration file.
    public static var declarations: [Setting<Self>] {
        [
            .object("optimizer", \.optimizer), .object("schedule", \.schedule),
            .object("guard", \.lossGuard),
        ] + RunDuration.declarations(\.duration) + [
            .int("accumulation", \.accumulationCount, in: 1...1_000_000, "Micro-batches of one update."),
            .choice(
                "precision", \.precision,
                "Element type of passes; weights, moments, losses and states are float32 in any case. `auto` is"
                    + " bfloat16 where the device multiplies it natively."),
            .int("seed", \.seedNumber, in: 0...Int.max, "Seed for initial weights, data order and dropout."),
            .object("distributed", \.distribution),
        ] + Setting.inline(\.monitoring)
    }

    /// The seed of dropout: not the run's own, which the initial weights come from.
    var dropoutSeed: UInt64 { seed ^ 0x6472_6F70_6F75_7421 }
}

/// The length of a run: one of `steps`, `tokens` and `epochs` in a run's configuration.
public enum RunDuration: Sendable, Equatable {
    /// A number of updates.
    case steps(Int)
    /// A number of training tokens, rounded up to whole updates.
    case tokens(Int)
    /// Passes over the training data, rounded up to whole updates.
    case epochs(Double)

    /// Returns the number of updates of a task, at least 1.
    func stepCount(of task: some TrainingTask, passesPerStep: Int) throws -> Int {
        switch self {
        case .steps(let count): return max(1, count)
        case .tokens(let count):
            let (product, overflows) = task.tokensPerPass.multipliedReportingOverflow(by: passesPerStep)
            let perStep = overflows ? Int.max : max(1, product)
            return max(1, count / perStep + (count % perStep > 0 ? 1 : 0))
        case .epochs(let count):
            let steps = try task.stepCount(epochs: count, passesPerStep: passesPerStep).rounded(.up)
            return steps < 1 ? 1 : Int(exactly: min(steps, 0x1p53)) ?? 1
        }
    }

    /// The three settings, of which only one may be given.
    static func declarations<Root>(_ path: WritableKeyPath<Root, RunDuration>) -> [Setting<Root>] {
        func setting(
            _ key: String, values: String, _ help: String, after others: [String],
            read: @escaping (SettingsReader) -> RunDuration?,
            write: @escaping (RunDuration) -> SettingsTree?
        ) -> Setting<Root> {
            Setting(
                key, values: values, help,
                read: { reader, root in
                    guard let duration = read(reader) else { return }
                    guard !others.contains(where: { reader.has($0) }) else {
                        reader.reportContradiction(key, "only one of steps, tokens and epochs can be given")
                        return
                    }
                    root[keyPath: path] = duration
                }, write: { write($0[keyPath: path]) })
        }
        return [
            setting(
                "steps", values: "an integer from 1 to 1000000000", "Updates of the run.", after: [],
                read: { $0.optionalInt("steps", in: 1...1_000_000_000).map { .steps($0) } },
                write: { if case .steps(let count) = $0 { .int(count) } else { nil } }),
            setting(
                "tokens", values: "an integer of at least 1", "Training tokens of the run, instead of steps.",
                after: ["steps"],
                read: { $0.optionalInt("tokens", in: 1...Int.max).map { .tokens($0) } },
                write: { if case .tokens(let count) = $0 { .int(count) } else { nil } }),
            setting(
                "epochs", values: "a number greater than 0",
                "Passes over the training data, instead of steps.", after: ["steps", "tokens"],
                read: { $0.optionalDouble("epochs", in: SettingsRange.positive).map { .epochs($0) } },
                write: { if case .epochs(let count) = $0 { .double(count) } else { nil } }),
        ]
    }
}
