import RetNetLayers

extension RWKVChannelMixConfiguration: MixerSpecification {
    /// RWKV-4 channel mixing; throws where the model has another width.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try RWKVChannelMix(scope, self, context)
    }

    /// Pieces have nothing over the whole.
    public var trainingForm: MixerForm { .parallel }

    /// The previous input: d.
    public func stateElementCount(tokenCount: Int) -> Int { channelCount }

    /// 6 a channel for two token shifts and 2 for the gate, and 2 an inner channel for the squared ReLU.
    public func recurrentFLOPs(position: Int) -> Int { 8 * channelCount + 2 * innerSize }
}
