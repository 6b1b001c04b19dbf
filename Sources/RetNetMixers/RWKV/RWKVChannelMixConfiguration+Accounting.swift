import RetNetLayers

extension RWKVChannelMixConfiguration: MixerSpecification {
    /// RWKV-4 channel mixing; throws where the model has another width.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try RWKVChannelMix(scope, self, context)
    }

    /// The parameters of the layer with their names within it; matrices are [out, in].
    ///
    /// 9 d² + 2 d numbers at an inner width of 4 d.
    public func parameterShapes(hiddenSize: Int) -> [(name: String, shape: [Int])] {
        [
            ("time_mix_key", [channelCount]), ("time_mix_receptance", [channelCount]),
            ("receptance.weight", [channelCount, hiddenSize]), ("key.weight", [innerSize, hiddenSize]),
            ("value.weight", [hiddenSize, innerSize]),
        ]
    }

    /// Pieces have nothing over the whole.
    public var trainingForm: MixerForm { .parallel }

    /// The previous input: d.
    public func stateElementCount(tokenCount: Int) -> Int { channelCount }

    /// 6 a channel for two token shifts and 2 for the gate, and 2 an inner channel for the squared ReLU.
    public func recurrentFLOPs(position: Int) -> Int { 8 * channelCount + 2 * innerSize }
}
