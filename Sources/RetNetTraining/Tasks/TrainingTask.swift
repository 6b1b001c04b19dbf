import RetNetDistributed
import RetNetLayers
import RetNetSettings
import RetNetText
import RetNetTorch

/// A model with its data and its loss: the part of a training run that depends on the kind of model.
///
/// A ``Trainer`` needs the parameters, the gradients and the state of the data; a ``TrainingRun`` also makes the task
/// from a configuration, validates it, and writes its model.
public protocol TrainingTask: AnyObject {
    /// The task's part of a run's configuration.
    associatedtype Configuration: TaskConfiguration

    // MARK: Steps

    /// The parameters that are trained.
    var parameters: ParameterStore { get }
    /// Tokens of one pass, which durations in tokens count.
    var tokensPerPass: Int { get }

    /// Returns the steps, not rounded, of the given number of passes over the data.
    ///
    /// Throws ``TrainingError/unknownEpochLength`` for data without end.
    func stepCount(epochs: Double, passesPerStep: Int) throws -> Double

    /// Takes the next batches and adds the gradients of their mean loss to the parameters.
    ///
    /// Losses of passes are weighted by their targets, so that several passes equal one large batch. Where ranks share the
    /// step, counts are those of all of it, and the loss is this rank's part of the mean: the sum over the ranks is the
    /// mean.
    func accumulateGradients(_ passes: StepPasses) throws -> StepLoss

    /// Returns the reason why every sequence cannot lie on so many ranks, a part on each; nil if it can.
    func reasonAgainstDividingSequences(over rankCount: Int) -> String?

    // MARK: State

    /// The place in the data.
    var dataState: BatchSourceState { get }
    /// True if rows of a batch continue those of the one before.
    var carriesState: Bool { get }
    /// True if the next batch continues from a state of the model.
    var hasCarriedState: Bool { get }

    /// Moves to a saved place in the data; throws `TextError.stateMismatch`.
    func restoreData(_ state: BatchSourceState) throws
    /// Drops the state that the next batch would continue from.
    func forgetCarriedState()
    /// Writes that state into the folder of a checkpoint.
    func writeCarriedState(into folder: String) throws
    /// Reads that state from the folder of a checkpoint; the rows of one rank where several share a step.
    func readCarriedState(from folder: String, share: BatchShare) throws
    /// Brings the rows of all ranks to rank 0, which then writes the carried state of all.
    func gatherCarriedState(_ replicas: Replicas) throws

    // MARK: Runs in a folder

    /// Makes the task of a run: reads the data, and makes the model or loads that of a checkpoint.
    ///
    /// With `replicas`, the model is this rank's part of it. Throws ``TrainingError`` where configuration, data, tokenizer and
    /// model do not fit each other.
    init(
        _ configuration: RunConfiguration<Self>, tokenizer: any Tokenizer, checkpoint: String?,
        device: Device, replicas: Replicas?) throws

    /// Measures data that is never trained on, after the given step; nil where there is none.
    func validate(step: Int) throws -> ValidationRecord?
    /// What the user of a run should know about its data before it begins.
    var warnings: [String] { get }
    /// Generates a text, the same for the same weights, without effect on the course of the run.
    func sample() throws -> String?
    /// Writes the files of a model folder; `whole` are the parameters of which this rank's model has a part, by name.
    func writeModel(into folder: String, whole: [String: Tensor]) throws
}

extension TrainingTask {
    /// A reason: only layers that pass through a sequence in one direction can have parts of it.
    public func reasonAgainstDividingSequences(over rankCount: Int) -> String? {
        "the layers of this kind of model see a sequence as a whole; use the axis 'data'"
    }
    /// False: every batch starts from an empty state.
    public var carriesState: Bool { false }
    /// False: every batch starts from an empty state.
    public var hasCarriedState: Bool { false }
    /// Does nothing.
    public func forgetCarriedState() {}
    /// Does nothing.
    public func writeCarriedState(into folder: String) throws {}
    /// Does nothing.
    public func readCarriedState(from folder: String, share: BatchShare) throws {}
    /// Does nothing.
    public func gatherCarriedState(_ replicas: Replicas) throws {}
    /// None.
    public var warnings: [String] { [] }
}

/// The task's part of a run's configuration: the model, the data and the loss.
///
/// Its settings stand at the root of the configuration file, with those of ``TrainingConfiguration``.
public protocol TaskConfiguration: DeclaredSettings, Sendable, Equatable {
    /// Settings, or beginnings of their paths, that may change when a run is resumed.
    static var changeableKeys: [String] { get }

    /// Returns the reason why ranks cannot have parts of the model's layers or of its sequences as a mesh says; nil where they
    /// can.
    func refusal(of mesh: MeshRequest) -> String?

    /// Returns the settings that those of `model` are laid over; nil where the architecture is written out.
    ///
    /// Throws `SettingsError` with the place of a name that is not known.
    static func baseModel(of document: SettingsDocument) throws -> SettingsTree?
    /// Returns the configuration that the settings of a document are laid over.
    static func defaults(for document: SettingsDocument) throws -> (
        task: Self, training: TrainingConfiguration
    )

    /// Files and folders of text that a run reads.
    var textPaths: [String] { get }
    /// The tokenizer that the configuration names, or the recipe of one; nil for the standard one.
    var tokenizerName: String? { get }
    /// Sentinels that a SentencePiece tokenizer gets.
    var sentinelCount: Int { get }
    /// The special tokens of a tokenizer that is trained for a run.
    var specialTokens: SpecialTokenLayout { get }
    /// Passes the text that a run trains on, and no other, to the trainer of its tokenizer.
    func readTrainingText(into trainer: TokenizerTrainer, seed: UInt64) throws
    /// Returns the tokenizer of a run whose configuration names none.
    func standardTokenizer() throws -> any Tokenizer
    /// Returns the configuration with absolute paths and every automatic choice made.
    ///
    /// Throws `SettingsError` when the model is not sound.
    func resolved() throws -> Self
}

extension Setting {
    /// The object `model`: an architecture, with the name of the preset that its settings are laid over.
    static func model<Model: SettingsRepresentable>(_ path: WritableKeyPath<Root, Model>, _ help: String)
        -> Setting
    {
        let preset = SettingsRow(
            path: "preset", values: "the name of a preset",
            help: "Preset that the other settings of `model` are laid over.")
        let rows = (Model.self as? any SettingsDocumented.Type)?.settingsRows ?? []
        return Setting(
            "model", values: "an object", help, nestedRows: rows.isEmpty ? [] : [preset] + rows,
            read: { reader, root in
                let inner = reader.object("model")
                // A known name, which is not reported: the preset has been laid under the other settings already.
                _ = inner.has("preset")
                root[keyPath: path] = Model(reading: inner)
            }, write: { $0[keyPath: path].settings })
    }
}

/// The loss of one step over all its passes.
public struct StepLoss: Sendable, Equatable {
    /// Mean cross entropy in nats per target.
    public var mean: Double
    /// Targets that counted.
    public var targetCount: Int
    /// Bytes of source text of those targets; nil where they are not a text from start to end, or not known.
    public var byteCount: Int?
    /// Share of targets that had the largest logit; nil where that is not counted.
    public var accuracy: Double?
    /// Terms added to the loss and other measurements of the layers, by name.
    public var auxiliary: [String: Double]

    /// The given figures.
    public init(
        mean: Double, targetCount: Int, byteCount: Int? = nil, accuracy: Double? = nil,
        auxiliary: [String: Double] = [:]
    ) {
        self.mean = mean
        self.targetCount = targetCount
        self.byteCount = byteCount
        self.accuracy = accuracy
        self.auxiliary = auxiliary
    }
}
