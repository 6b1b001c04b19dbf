import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// A layer that moves information between positions: [B, T, D] → [B, T, D], from a given state to a new one.
///
/// Models, and with them training, generation and evaluation, use mixers through this protocol only; the single
/// list of architectures is `MixerConfiguration`.
public protocol TokenMixer: StatefulLayer {
    /// The name used in configurations and messages.
    var name: String { get }

    /// Returns the reason why the mixer cannot run in a form, or nil if it can.
    func unsupportedReason(for form: MixerForm) -> String?

    /// True if the mixer can run a ``TokenForest`` in the parallel form.
    var supportsForests: Bool { get }

    /// True if a recurrent step can be recorded: all that depends on positions comes from ``ForwardPass/sharing(_:_:)``, the state
    /// has one size, and nothing is read back from the device.
    var supportsRecording: Bool { get }

    /// True if the mixer exchanges with the other ranks what it needs, where a pass has a part of sequences that lie on several
    /// ranks (``SequencePart``); else ``mix(_:state:_:)`` runs the ranks one after another.
    ///
    /// States that it is given and returns are then those of the whole sequences.
    var dividesSequences: Bool { get }

    /// Mixes x [B, T, D] after the tokens that `state` has absorbed; nil is the start of the sequence.
    ///
    /// Returns the output and the state after the last position. The given state is not changed. Throws
    /// ``MixerError`` if the form is not supported or the state does not fit.
    func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)

    /// Returns the state before the first token, for a batch.
    func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState

    /// Returns the state with every row's positions moved back by `offsets[row]`; outputs stay the same.
    func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState

    /// Returns a state read from saved tensors; throws ``MixerError/wrongState(expected:found:)`` if they do not fit.
    func state(from tensors: [String: Tensor]) throws -> any MixerState
}

extension TokenMixer {
    /// Nil: every form is supported.
    public func unsupportedReason(for form: MixerForm) -> String? { nil }

    /// False: most mixers know the token before only as the one at their left.
    public var supportsForests: Bool { false }

    /// False: tables of positions are made where they are used.
    public var supportsRecording: Bool { false }

    /// False: the ranks run one after another.
    public var dividesSequences: Bool { false }

    /// Returns the same state: mixers without positions have nothing to move.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState { state }
}

/// One forward pass as its mixers see it: form, positions, mode, and tables that layers share.
public final class ForwardPass {
    /// The form to compute in.
    public let form: MixerForm
    /// The place of each batch row before the first token of this pass.
    public private(set) var positions: [SequencePosition]
    /// Training or inference, and the generator of dropout.
    public let context: ForwardContext
    /// Which tokens see which, where that is not all before them; mixers that support forests alone get one.
    public let forest: TokenForest?
    private var shared: [String: [Tensor]] = [:]
    /// What makes the shared tables, in their order; only of a pass that moves.
    private var makers: [(key: String, make: () throws -> [Tensor])]?
    private var derived: [String: ForwardPass] = [:]
    private var alone: ForwardPass?

    /// A pass over a batch of `positions.count` rows.
    ///
    /// One that `moves` can be used for later positions, see ``move(to:)``.
    public init(
        form: MixerForm, positions: [SequencePosition], context: ForwardContext, forest: TokenForest? = nil,
        moves: Bool = false
    ) {
        makers = moves ? [] : nil
        self.form = form
        self.positions = positions
        self.context = context
        self.forest = forest
    }

    /// Returns the tables of a key, which the first call makes and later layers reuse.
    public func sharing(_ key: String, _ make: @escaping () throws -> [Tensor]) throws -> [Tensor] {
        if let tables = shared[key] { return tables }
        let tables = try make()
        shared[key] = tables
        makers?.append((key, make))
        return tables
    }

    /// Moves the pass to other positions: the shared tables are made again and written into the tensors that layers have.
    ///
    /// A recorded step then computes for the new positions. Throws ``MixerError/wrongState(expected:found:)`` for tables of
    /// other shapes.
    public func move(to positions: [SequencePosition]) throws {
        self.positions = positions
        for (key, make) in makers ?? [] {
            let old = shared[key] ?? []
            let new = try make()
            guard old.map(\.shape) == new.map(\.shape) else {
                throw MixerError.wrongState(
                    expected: "tables '\(key)' of \(old.map(\.shape))", found: "\(new.map(\.shape))")
            }
            for (tensor, values) in zip(old, new) { try tensor.copy(from: values) }
        }
    }

    /// Lets go of what ``move(to:)`` needs, which holds on to the pass itself.
    public func stopMoving() { makers = nil }

    /// This pass over the tokens of this rank alone, without exchanges, made once for all layers.
    public var withoutSequence: ForwardPass {
        guard context.sequence != nil else { return self }
        if let alone { return alone }
        var context = context
        context.sequence = nil
        // The next rank continues from them.
        context.keepsStates = true
        let pass = ForwardPass(form: form, positions: positions, context: context, forest: forest)
        alone = pass
        return pass
    }

    /// Returns a pass of the same form over other positions, which the first call makes and later layers reuse.
    public func deriving(_ key: String, _ positions: () -> [SequencePosition]) -> ForwardPass {
        if let pass = derived[key] { return pass }
        let pass = ForwardPass(form: form, positions: positions(), context: context)
        derived[key] = pass
        return pass
    }
}

/// A request that a mixer cannot fulfill.
public enum MixerError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case unsupportedForm(mixer: String, form: MixerForm, reason: String)
    case emptySequence
    case wrongState(expected: String, found: String)
    case wrongBatch(expected: Int, found: Int)
    case tooLong(mixer: String, length: Int, limit: Int, remedy: String)
    case cannotRebase(reason: String)
    case wrongWidth(mixer: String, expected: Int, found: Int)
    case cannotDivide(reason: String)

    /// The error in one sentence.
    public var description: String {
        switch self {
        case .unsupportedForm(let mixer, let form, let reason):
            "\(mixer) cannot run in the form '\(form)': \(reason)"
        case .emptySequence:
            "the sequence is empty: at least one token is needed"
        case .wrongState(let expected, let found):
            "the state does not belong to this model: expected \(expected), found \(found)"
        case .wrongBatch(let expected, let found):
            "the state holds \(found) rows but the batch has \(expected)"
        case .tooLong(let mixer, let length, let limit, let remedy):
            "\(mixer) reaches position \(length) but was made for \(limit) positions: \(remedy)"
        case .cannotRebase(let reason):
            "the state cannot be moved to position 0: \(reason)"
        case .wrongWidth(let mixer, let expected, let found):
            "\(mixer) is configured for \(expected) channels but the hidden size of the model is"
                + " \(found): make both the same"
        case .cannotDivide(let reason):
            "the layers cannot be divided between ranks: \(reason)"
        }
    }
    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
