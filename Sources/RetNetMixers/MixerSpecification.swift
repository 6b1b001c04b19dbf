import RetNetLayers
import RetNetSettings

/// What the configuration of every token mixer provides: its shape, its costs, and the mixer itself.
///
/// Everything is arithmetic, at once for any size: ``makeMixer(_:_:)`` allocates only what its scope's store does.
public protocol MixerSpecification: Sendable, Equatable, SettingsRepresentable {
    /// The mixer with its parameters declared in a scope.
    func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer

    /// Why mixers of this configuration cannot run in a form, or nil when they can.
    func unsupportedReason(for form: MixerForm) -> String?

    /// The form in which training is fastest.
    var trainingForm: MixerForm { get }

    /// Whether mixers measure distances in positions of the sequence where they see only some of them.
    ///
    /// See ``LayerContext/positionStride``.
    var honoursPositionStride: Bool { get }

    /// Numbers in the state of one sequence after so many tokens.
    func stateElementCount(tokenCount: Int) -> Int

    /// FLOPs of one more token after `position` tokens, beside the projections; a multiply-add is two.
    func recurrentFLOPs(position: Int) -> Int

    /// FLOPs of a position beside the projections, forward in the chunkwise form, full squares within chunks.
    func forwardFLOPsPerToken(chunkLength: Int) -> Int

    /// FLOPs of a position beside the projections, backward in the chunkwise form.
    func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int
}

extension MixerSpecification {
    /// The parameters of the layer with their names within it, in the order of declaration; matrices are [out, in].
    ///
    /// Throws ``MixerError/wrongWidth(mixer:expected:found:)`` where the mixer cannot stand in a model of that width.
    public func parameterShapes(hiddenSize: Int) throws -> [(name: String, shape: [Int])] {
        try ParameterStore.shapes { _ = try makeMixer($0, LayerContext(hiddenSize: hiddenSize)) }
    }

    /// Every form.
    public func unsupportedReason(for form: MixerForm) -> String? { nil }

    /// Chunks of 128, or parallel where there are no chunks.
    public var trainingForm: MixerForm {
        unsupportedReason(for: .chunkwise(128)) == nil ? .chunkwise(128) : .parallel
    }

    /// No: distances are counted in what the mixer sees.
    public var honoursPositionStride: Bool { false }

    /// As in the recurrent form in the middle of a chunk.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        recurrentFLOPs(position: max(1, min(chunkLength, 1 << 20)) / 2)
    }

    /// Twice the forward pass.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        2 * forwardFLOPsPerToken(chunkLength: chunkLength)
    }

    /// Whether the state grows with the tokens seen.
    public var stateGrows: Bool { stateElementCount(tokenCount: 4096) > stateElementCount(tokenCount: 2048) }
}
