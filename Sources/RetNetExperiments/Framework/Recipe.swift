import RetNetReporting
import RetNetTorch

/// A table or figure of a paper as an experiment that anyone can run.
///
/// The file of a recipe holds its plan (the initializer), its units and its report; ``Experiment`` runs it in a folder.
/// Recipes on texts share `TextComparison` and train with `TextTraining`. The recall recipe trains with ``RecallTraining``.
/// Recipes of AltUp share `AltUpComparison`, and train T5 with `T5Training`.
public protocol Recipe {
    /// The name on the command line.
    static var name: String { get }
    /// The contents in one line, with the table or figure of the paper.
    static var summary: String { get }

    /// True if models are trained or scored on the texts of the context; otherwise no text needs to be read.
    static var readsTexts: Bool { get }

    /// True if the texts may be tokens of any tokenizer instead of bytes.
    static var takesTokenizer: Bool { get }

    /// Plans the experiment for the scale and the texts of a context.
    init(_ context: ExperimentContext) throws

    /// Settings that the results depend on in addition to scale and texts; results of other settings are refused.
    var settings: [String: String] { get }
    /// Returns the units of the experiment in the order in which they are measured.
    func units() throws -> [ExperimentUnit]
    /// Returns the report on all results, which are in the order of the units.
    func report(_ results: [UnitResult]) throws -> ExperimentReport
    /// Returns the cost of the experiment at scales that take long; nil at the others.
    func estimate() throws -> ExperimentCost?
}

extension Recipe {
    /// True.
    public static var readsTexts: Bool { true }
    /// False.
    public static var takesTokenizer: Bool { false }
    /// None in addition to scale and texts.
    public var settings: [String: String] { [:] }
    /// No estimate.
    public func estimate() throws -> ExperimentCost? { nil }
}

/// A comparison of models: their training, their scores and the cost of both.
protocol RecipeComparison {
    /// Settings that the results depend on in addition to scale and texts.
    var settings: [String: String] { get }
    /// Returns the units of the experiment.
    func units() throws -> [ExperimentUnit]
    /// Returns the work of all units; nil at the smallest scale.
    func estimate() throws -> ExperimentCost?
}

/// A recipe that consists of a comparison and a report on it.
protocol ComparisonRecipe: Recipe {
    associatedtype Comparison: RecipeComparison
    var comparison: Comparison { get }
}

extension ComparisonRecipe {
    /// True for language models on text.
    public static var takesTokenizer: Bool { Comparison.self == TextComparison.self }

    /// The models and their training at the scale.
    public var settings: [String: String] { comparison.settings }

    /// Returns one unit per model and seed, and those of additional measurements.
    public func units() throws -> [ExperimentUnit] { try comparison.units() }

    /// Returns the work of all units at all scales but the smallest.
    public func estimate() throws -> ExperimentCost? { try comparison.estimate() }
}

/// The size of an experiment.
public enum ExperimentScale: String, Sendable, CaseIterable {
    /// Minutes on two cores: a check of every part, and the coarsest differences.
    case tiny
    /// One night on a desktop machine.
    case small
    /// The published settings, for those who have the hardware.
    case paper
}

/// The conditions of an experiment: its scale, its texts, its seeds and its device.
public struct ExperimentContext {
    /// The size of the experiment.
    public var scale: ExperimentScale
    /// The texts for training and scoring.
    public var texts: ExperimentTexts
    /// The seeds of the repetitions.
    public var seeds: [Int]
    /// Names of contenders that replace those of the recipe; nil for those of the recipe.
    public var contenders: [String]?
    /// The element type of forward and backward passes in training.
    public var computeType: ElementType
    /// The device of all models.
    public var device: Device
    /// Measures speed and memory in a process of its own and returns the JSON object of the figures.
    public var measure: (SpeedMeasurement) throws -> [String: Any]
    /// Learning rates by contender that replace those of the recipe.
    public var learningRates: [String: Double] = [:]
    /// Factor on the number of training steps, for tests.
    public var stepFactor = 1.0

    /// Creates a context with three seeds by default.
    public init(
        scale: ExperimentScale, texts: ExperimentTexts, seeds: [Int] = [1, 2, 3], contenders: [String]? = nil,
        computeType: ElementType, device: Device = .cpu,
        measure: @escaping (SpeedMeasurement) throws -> [String: Any] = { _ in
            throw ExperimentError.unusable("this program cannot measure speed in another process")
        }
    ) {
        self.scale = scale
        self.texts = texts
        self.seeds = seeds
        self.contenders = contenders
        self.computeType = computeType
        self.device = device
        self.measure = measure
    }

    /// The machine as far as speed depends on it; results of different machines must not be mixed.
    var machine: String { "\(device), \(Runtime.threadCount) threads" }

    /// Returns a number of steps scaled by ``stepFactor``, at least two.
    func steps(_ count: Int) -> Int { max(2, Int(Double(count) * stepFactor)) }

    /// Returns the requested contenders, all of them for `all`, or those of the recipe if none are requested.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for unknown and repeated names and for an empty list.
    func requestedContenders<T>(from all: [T], otherwise own: [T], name: (T) -> String) throws -> [T] {
        guard let contenders else { return own }
        guard contenders != ["all"] else { return all }
        let known = all.map(name).joined(separator: ", ")
        guard !contenders.isEmpty else {
            throw ExperimentError.unusable("no contender is named: choose from \(known)")
        }
        guard Set(contenders).count == contenders.count else {
            throw ExperimentError.unusable(
                "a contender is named twice in '\(contenders.joined(separator: ","))': name each one once")
        }
        return try contenders.map { wanted in
            guard let found = all.first(where: { name($0) == wanted }) else {
                throw ExperimentError.unusable("unknown contender '\(wanted)': choose from \(known)")
            }
            return found
        }
    }

    /// Throws ``ExperimentError/unusable(_:)`` if a learning rate belongs to none of the contenders.
    func checkLearningRates(of contenders: [String]) throws {
        guard let stranger = learningRates.keys.sorted().first(where: { !contenders.contains($0) }) else {
            return
        }
        throw ExperimentError.unusable(
            "the learning rate of '\(stranger)' belongs to no contender of this experiment: choose from"
                + " \(contenders.joined(separator: ", "))")
    }
}

/// The work and memory of an experiment, by arithmetic.
public struct ExperimentCost: Sendable, Equatable {
    /// Model FLOPs of all training; 0 for experiments without training.
    public var trainingFLOPs: Double
    /// Tokens of all training.
    public var tokenCount: Double
    /// Models that are trained or measured.
    public var modelCount: Int
    /// Lower bound of the bytes of the largest model; the remarks name what it leaves out.
    public var largestByteCount: Int
    /// Additional remarks, each a sentence.
    public var remarks: [String]

    /// Creates a cost from its parts.
    public init(
        trainingFLOPs: Double, tokenCount: Double, modelCount: Int, largestByteCount: Int,
        remarks: [String] = ["Activations need additional memory."]
    ) {
        self.trainingFLOPs = trainingFLOPs
        self.tokenCount = tokenCount
        self.modelCount = modelCount
        self.largestByteCount = largestByteCount
        self.remarks = remarks
    }

    /// Returns the expected time and memory in sentences, for devices of a useful number of FLOPs per second each.
    ///
    /// More than one device is arithmetic only: this program computes on one.
    public func text(flopsPerSecond: Double, deviceCount: Int = 1) -> String {
        var sentences: [String] = []
        let devices = max(1, deviceCount)
        if trainingFLOPs > 0 {
            let rate = max(1, flopsPerSecond) * Double(devices)
            sentences.append(
                "\(modelCount) models on \(Format.count(tokenCount)) tokens in total:"
                    + " \(Format.count(trainingFLOPs)) FLOPs, \(Format.duration(seconds: trainingFLOPs / rate)) on"
                    + " \(devices == 1 ? "one device" : "\(devices) devices") of"
                    + " \(Format.count(flopsPerSecond)) useful FLOPs per second.")
            if devices > 1 {
                sentences.append(
                    "This program trains on one device; the models must be divided among devices.")
            }
        }
        sentences.append("The largest model needs at least \(Format.bytes(largestByteCount)) of memory.")
        return (sentences + remarks).joined(separator: " ")
    }
}
