import RetNetLayers
import RetNetSettings

/// The configuration of a token mixer: its settings, its costs, and the mixer itself.
///
/// Everything is arithmetic, immediate for any size: ``makeMixer(_:_:)`` allocates only what its scope's store does.
public protocol MixerSpecification: Sendable, Equatable, DeclaredSettings {
    /// The case of ``MixerConfiguration`` with this specification.
    var configuration: MixerConfiguration { get }

    /// Returns the mixer with its parameters declared in a scope.
    func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer

    /// Returns the reason why mixers of this configuration cannot run in a form, or nil if they can.
    func unsupportedReason(for form: MixerForm) -> String?

    /// The fastest form for training.
    var trainingForm: MixerForm { get }

    /// True if mixers measure distances in positions of the sequence even where they see only some of them.
    ///
    /// See ``LayerContext/positionStride``.
    var honorsPositionStride: Bool { get }

    /// Returns the number of values in the state of one sequence after so many tokens.
    func stateElementCount(tokenCount: Int) -> Int

    /// Returns FLOPs of one more token after `position` tokens, without projections; a multiply-add is two.
    func recurrentFLOPs(position: Int) -> Int

    /// Returns forward FLOPs per position in the chunkwise form, without projections, full squares within chunks.
    func forwardFLOPsPerToken(chunkLength: Int) -> Int

    /// Returns backward FLOPs per position in the chunkwise form, without projections.
    func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int
}

extension MixerSpecification {
    /// Returns the parameters of the layer with their names in it, in the order of declaration; matrices are [out, in].
    ///
    /// Throws ``MixerError/wrongWidth(mixer:expected:found:)`` if the mixer does not fit a model of that width.
    public func parameterShapes(hiddenSize: Int) throws -> [(name: String, shape: [Int])] {
        try ParameterStore.shapes { _ = try makeMixer($0, LayerContext(hiddenSize: hiddenSize)) }
    }

    /// Nil: every form is supported.
    public func unsupportedReason(for form: MixerForm) -> String? { nil }

    /// Chunks of 128, or parallel if there are no chunks.
    public var trainingForm: MixerForm {
        unsupportedReason(for: .chunkwise(128)) == nil ? .chunkwise(128) : .parallel
    }

    /// False: distances are counted in the positions that the mixer sees.
    public var honorsPositionStride: Bool { false }

    /// Returns FLOPs of the recurrent form in the middle of a chunk.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        recurrentFLOPs(position: MixerCosts.bounded(chunkLength) / 2)
    }

    /// Returns twice the FLOPs of the forward pass.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        2 * forwardFLOPsPerToken(chunkLength: chunkLength)
    }

    /// True if the state grows with the tokens seen.
    public var stateGrows: Bool { stateElementCount(tokenCount: 4096) > stateElementCount(tokenCount: 2048) }
}

/// The layer of a model for which a mixer is made, and the rules for its initial values.
public struct LayerContext: Sendable {
    /// D, the width of the residual stream.
    public var hiddenSize: Int
    /// The index of the layer, from 0; two blocks that are halves of one layer have the same.
    public var layer: Int
    /// The number of layers.
    public var layerCount: Int
    /// The model's scheme of initial values.
    public var initialization: MixerInitialization
    /// The number of positions of the sequence from one that the mixer sees to the next: 1 unless the layer skips some.
    ///
    /// Mixers that honor it decay and rotate by positions of the sequence.
    public var positionStride: Int

    /// A layer; the only one of a model by default.
    public init(
        hiddenSize: Int, layer: Int = 0, layerCount: Int = 1, initialization: MixerInitialization = .init(),
        positionStride: Int = 1
    ) {
        self.hiddenSize = hiddenSize
        self.layer = layer
        self.layerCount = layerCount
        self.initialization = initialization
        self.positionStride = positionStride
    }
}

/// The part of a model's initialization scheme that concerns mixers, which otherwise follow their own rules.
public struct MixerInitialization: Sendable {
    /// The initializer of every matrix; nil for the mixers' own.
    public var override: Initializer?
    /// The factor of matrices that write to the residual stream: values and outputs.
    public var depthFactor: Double
    /// Gains of Xavier-uniform output matrices, by mixer; each mixer's own where none is given.
    public var outputGains: [MixerConfiguration.Kind: Double]

    /// The mixers' own rules by default.
    public init(
        override: Initializer? = nil, depthFactor: Double = 1,
        outputGains: [MixerConfiguration.Kind: Double] = [:]
    ) {
        self.override = override
        self.depthFactor = depthFactor
        self.outputGains = outputGains
    }

    /// Returns the initializer of a matrix, given the mixer's own.
    public func matrix(_ own: Initializer) -> Initializer { override ?? own }

    /// Returns the initializer of a matrix that writes to the residual stream, given the mixer's own.
    public func deepMatrix(_ own: Initializer) -> Initializer { override ?? own.scaled(by: depthFactor) }
}

/// FLOPs of mixers whose state is a matrix per head, without projections; a multiply-add is two.
enum MixerCosts {
    /// Returns the chunk length, at least 1 and at most 2^20 so that products of it do not overflow.
    static func bounded(_ chunkLength: Int) -> Int { min(max(1, chunkLength), 1 << 20) }

    /// 2C(K+V)H + 4KVH: scores and their values, reading the state and writing to it.
    static func chunkwise(_ chunkLength: Int, headCount: Int, keySize: Int, valueSize: Int) -> Int {
        2 * bounded(chunkLength) * (keySize + valueSize) * headCount + 4 * headCount * keySize * valueSize
    }

    /// 2C(3K+2V)H + 8KVH, and 2KVH for computing the states again.
    static func backward(
        _ chunkLength: Int, headCount: Int, keySize: Int, valueSize: Int, recomputesStates: Bool
    ) -> Int {
        2 * bounded(chunkLength) * (3 * keySize + 2 * valueSize) * headCount
            + (recomputesStates ? 10 : 8) * headCount * keySize * valueSize
    }
}
