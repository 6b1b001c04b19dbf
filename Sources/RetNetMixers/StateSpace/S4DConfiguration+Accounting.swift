import Foundation
import RetNetLayers

extension S4DConfiguration: MixerSpecification {
    /// Diagonal state spaces of these sizes; throws where the model has another width than the block `glu` needs.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try S4DMixer(scope, self, context)
    }

    /// Numbers in the state of one sequence, whatever its length: d · N.
    public func stateElementCount(tokenCount: Int) -> Int { channelCount * stateSize }

    /// 16 a complex mode: a complex product, the input and the readout; and 2 a channel for D.
    public func recurrentFLOPs(position: Int) -> Int { channelCount * (8 * stateSize + 2) }

    /// Two transforms of twice a chunk, the sums into the state and out of it: d (20 log₂ 2C + 4 N + 2).
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        let chunk = Double(min(max(1, chunkLength), 1 << 20))
        return channelCount * (Int(20 * log2(2 * chunk)) + 4 * stateSize + 2)
    }
}
