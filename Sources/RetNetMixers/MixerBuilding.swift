// Whoever makes layers needs their configurations, which stand in a target of their own because the runtime reads them too.
@_exported import RetNetArchitecture
import RetNetLayers

/// The configuration of a token mixer that makes its layer.
///
/// Making it is immediate for any size: ``makeMixer(_:_:)`` allocates only what its scope's store does.
public protocol MixerBuilding: MixerSpecification {
    /// Returns the mixer with its parameters declared in a scope.
    func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer
}

extension MixerBuilding {
    /// Returns the parameters of the layer with their names in it, in the order of declaration; matrices are [out, in].
    ///
    /// Throws ``MixerError/wrongWidth(mixer:expected:found:)`` if the mixer does not fit a model of that width.
    public func parameterShapes(hiddenSize: Int) throws -> [(name: String, shape: [Int])] {
        try ParameterStore.shapes { _ = try makeMixer($0, LayerContext(hiddenSize: hiddenSize)) }
    }
}

extension MixerConfiguration {
    /// The configuration of the mixer as what makes its layer.
    public var builder: any MixerBuilding {
        switch self {
        case .retention(let mixer): mixer
        case .attention(let mixer): mixer
        case .linearAttention(let mixer): mixer
        case .rwkv(let mixer): mixer
        case .rwkvChannelMix(let mixer): mixer
        case .aft(let mixer): mixer
        case .s4d(let mixer): mixer
        case .h3(let mixer): mixer
        case .hyena(let mixer): mixer
        case .gatedRetention(let mixer): mixer
        case .gatedLinearAttention(let mixer): mixer
        case .mamba2(let mixer): mixer
        case .gatedDeltaNet(let mixer): mixer
        }
    }
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
