import Foundation
import RetNetLayers

extension HyenaConfiguration: MixerSpecification {
    /// Hyena of these sizes.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try HyenaMixer(scope, self, context)
    }

    /// The inputs of every long filter, n d each, and the last inputs of the short convolution.
    public func stateElementCount(tokenCount: Int) -> Int {
        filterCount * channelCount * tokenCount + (shortSize - 1) * (order + 1) * channelCount
    }

    /// 2 (n + 1) a channel and long filter, the short convolution, gates and skips.
    public func recurrentFLOPs(position: Int) -> Int {
        channelCount * (filterCount * (2 * (position + 1) + 4) + 2 * shortSize * (order + 1))
    }

    /// One piece: pieces would meet the whole past again.
    public var trainingForm: MixerForm { .parallel }

    /// Two transforms of twice the length a channel and long filter, and the network at every position.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        let length = Double(min(max(1, chunkLength), maximumLength))
        return channelCount * (filterCount * Int(20 * log2(2 * length)) + 2 * shortSize * (order + 1))
    }
}
