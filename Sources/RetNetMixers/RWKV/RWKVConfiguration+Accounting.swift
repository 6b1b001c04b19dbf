import RetNetLayers

extension RWKVConfiguration: MixerSpecification {
    /// RWKV-4 time mixing; throws where the model has another width.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try RWKVTimeMix(scope, self, context)
    }

    /// Pieces have nothing over the whole: the kernel's work is linear in the length.
    public var trainingForm: MixerForm { .parallel }

    /// Numerator, denominator, exponent and the previous input: 4 d.
    public func stateElementCount(tokenCount: Int) -> Int { 4 * channelCount }

    /// 27 a channel: 9 for the three token shifts, 16 for reading and writing the sums, 2 for the gate.
    ///
    /// An exponential counts as one.
    public func recurrentFLOPs(position: Int) -> Int { 27 * channelCount }
}
