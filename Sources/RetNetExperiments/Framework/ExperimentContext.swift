import RetNetTorch

/// What every recipe is given: how large to be, what to read, and how to measure.
public struct ExperimentContext {
    /// How large the experiment is made.
    public var scale: ExperimentScale
    /// The texts.
    public var texts: ExperimentTexts
    /// The seeds of repetitions.
    public var seeds: [Int]
    /// Contenders to take part instead of the recipe's own, by name; nil for its own.
    public var contenders: [String]?
    /// The element type of passes in training.
    public var computeType: ElementType
    /// Where models live.
    public var device: Device
    /// Runs `retnet` with arguments in a process of its own and returns the JSON object that it prints.
    ///
    /// Memory can only be measured in a fresh process.
    public var measure: (_ arguments: [String]) throws -> [String: Any]
    /// Learning rates by contender that replace the recipe's, for architectures that need another.
    public var learningRates: [String: Double] = [:]
    /// Factor on the number of training steps, for tests.
    public var stepFactor = 1.0

    /// A context; three seeds unless told otherwise.
    public init(
        scale: ExperimentScale, texts: ExperimentTexts, seeds: [Int] = [1, 2, 3], contenders: [String]? = nil,
        computeType: ElementType, device: Device = .cpu,
        measure: @escaping (_ arguments: [String]) throws -> [String: Any] = { _ in
            throw ExperimentError.unusable("this program cannot measure in another process")
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

    /// The machine as far as speed depends on it: results of others must not be mixed with its own.
    var machine: String { "\(device), \(Runtime.threadCount) threads" }

    /// A number of steps, at least two.
    func steps(_ count: Int) -> Int { max(2, Int(Double(count) * stepFactor)) }
}
