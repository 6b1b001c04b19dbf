import RetNetLayers

/// What a model's initialisation scheme asks of mixers, which otherwise draw their first values by their own rules.
public struct MixerInitialization: Sendable {
    /// What replaces the mixers' own choice for every matrix; nil leaves the choice to them.
    public var override: Initializer?
    /// The factor of matrices that write to the residual stream: values and outputs.
    public var depthFactor: Double
    /// Another gain of retention's output matrix than its own, as torchscale had it in July 2023.
    public var retentionOutputGain: Double?

    /// The mixers' own rules, unless told otherwise.
    public init(override: Initializer? = nil, depthFactor: Double = 1, retentionOutputGain: Double? = nil) {
        self.override = override
        self.depthFactor = depthFactor
        self.retentionOutputGain = retentionOutputGain
    }

    /// The initialiser of a matrix whose own is given.
    public func matrix(_ own: Initializer) -> Initializer { override ?? own }

    /// The initialiser of a value or output matrix whose own is given.
    public func deepMatrix(_ own: Initializer) -> Initializer { override ?? own.scaled(by: depthFactor) }
}
