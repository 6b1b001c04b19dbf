import RetNetLayers

extension AFTConfiguration: MixerSpecification {
    /// An AFT layer of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try AFTLayer(scope, self, context)
    }

    /// Pieces have nothing over the whole: the kernel carries its sums along the length.
    public var trainingForm: MixerForm { .parallel }

    /// Simple 3 d, local 3 d and the last window - 1 keys and values, full all keys and values.
    ///
    /// Local counts how many keys and values there are, and biases by position how far the row has been moved.
    public func stateElementCount(tokenCount: Int) -> Int {
        switch variant {
        case .simple: 3 * channelCount
        case .local(let window, _):
            (3 + 2 * (window - 1)) * channelCount + 1 + (variant.factors == nil ? 0 : 1)
        case .full: 2 * max(0, tokenCount) * channelCount + 1
        }
    }

    /// Per channel 2 for the gate, 16 for sums of older tokens, and 6 for every token with a bias.
    ///
    /// An exponential counts as one. Factorised biases cost 2 · rank for each token.
    public func recurrentFLOPs(position: Int) -> Int {
        let seen = min(max(0, position), 1 << 30) + 1
        let biased = 6 * channelCount + 2 * (variant.factors?.rank ?? 0)
        return switch variant {
        case .simple: 18 * channelCount
        case .local(let window, _): 18 * channelCount + min(window, seen) * biased
        case .full: 2 * channelCount + seen * biased
        }
    }
}
