import RetNetArchitecture
import RetNetLayers
import RetNetMixers
import RetNetTorch

/// A step of generation that was recorded once: a token of every row costs one call instead of a hundred launches.
///
/// Tokens, states, and the tables of positions that layers share have fixed places. A step writes the tokens and the tables
/// there and repeats the recording, which writes the next states over the ones before.
public final class RecordedStep {
    private let model: LanguageModel
    private let tokens: Tensor  // [B, 1]
    private let layers: [any MixerState]
    private let pass: ForwardPass
    private var positions: [SequencePosition]
    private var hasMoved = true
    private var repetition: () throws -> Void = {}
    private var logits: Tensor?

    /// Records a step from a state, which is copied.
    ///
    /// On a device with graphs it is one; without `usesGraph` every step runs the same body operator by operator, on any
    /// device, which gives the same results and saves nothing: for tests. Throws `MixerError` and `TorchError`.
    public init(_ model: LanguageModel, from state: LanguageModelState, usesGraph: Bool = true) throws {
        guard model.supportsRecording else {
            throw MixerError.unsupportedForm(
                mixer: "the model", form: .recurrent, reason: "a layer's steps cannot be recorded")
        }
        self.model = model
        positions = state.positions
        layers = try state.copy().layers
        tokens = try Tensor.zeros([state.batchSize, 1], .int64, on: model.device)
        var context = ForwardContext.inference
        context.overwritesStates = true
        pass = ForwardPass(form: .recurrent, positions: state.positions, context: context, moves: true)
        // Makes the shared tables, and loads what the first step loads; its results are dropped.
        _ = try model.step(tokens, layers: state.copy().layers, pass)
        if usesGraph {
            let graph = try DeviceGraph(on: model.device) { [self] in try run() }
            repetition = { try graph.replay() }
        } else {
            repetition = { [unowned self] in try run() }
        }
    }

    deinit { pass.stopMoving() }

    /// The body: everything between the places of tokens and states, and those of logits and states.
    private func run() throws {
        let (logits, next) = try model.step(tokens, layers: layers, pass)
        for (old, new) in zip(layers, next) {
            for (place, value) in zip(old.tensors, new.tensors) where place.tensor !== value.tensor {
                try place.tensor.copy(from: value.tensor)
            }
        }
        self.logits = logits
    }

    /// Reads a token into every row; returns logits [B, V].
    public func callAsFunction(_ next: [Int32]) throws -> Tensor {
        if !hasMoved { try pass.move(to: positions) }
        try tokens.copy(from: Tensor.from(next.map(Int64.init), [next.count, 1]).to(on: model.device))
        try repetition()
        positions = positions.map { $0.advanced(by: 1) }
        hasMoved = false
        guard let logits else { throw MixerError.emptySequence }
        // The place of the logits is overwritten by the next step.
        return try logits.clone()
    }

    /// The state after the last token; the next step overwrites its tensors.
    public var state: LanguageModelState { LanguageModelState(layers: layers, positions: positions) }
}

/// Whether steps of generation are recorded.
public enum StepRecording: Sendable, Equatable {
    /// On devices that can, for models that can, once a text has some tokens.
    case automatic
    /// Never.
    case off
    /// As on a device that can, but on any, operator by operator: for tests.
    case emulated
}

/// Makes recorded steps where they save time.
public struct StepRecorder {
    private let model: LanguageModel
    private let recording: StepRecording
    private var isPossible: Bool
    private var recorded: RecordedStep?
    private var stepCount = 0
    /// Steps before one is recorded: recording costs about three.
    private static let patience = 4

    /// A recorder for a model.
    public init(_ model: LanguageModel, _ recording: StepRecording) {
        self.model = model
        self.recording = recording
        let isSupported = recording == .emulated || DeviceGraph.isSupported(on: model.device)
        isPossible = recording != .off && isSupported && model.supportsRecording
    }

    /// Forgets the recording: the next step starts from a state that it did not leave, or has other rows.
    public mutating func reset() {
        recorded = nil
        stepCount = 0
    }

    /// Reads a token into every row of a state; returns logits [B, V] and the next state, or nil if the step is to be made without
    /// a recording.
    public mutating func step(_ tokens: [Int32], from state: LanguageModelState) throws -> (
        logits: Tensor, state: LanguageModelState
    )? {
        guard isPossible else { return nil }
        if recorded == nil {
            stepCount += 1
            guard stepCount > Self.patience else { return nil }
            do {
                recorded = try RecordedStep(model, from: state, usesGraph: recording != .emulated)
            } catch  where recording != .emulated {
                // What cannot be recorded here runs as before.
                isPossible = false
                return nil
            }
        }
        guard let recorded else { return nil }
        return (try recorded(tokens), recorded.state)
    }
}
