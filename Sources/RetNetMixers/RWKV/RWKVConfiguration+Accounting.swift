import Foundation
import RetNetLayers

extension RWKVConfiguration: MixerSpecification {
    /// RWKV-4 time mixing; throws where the model has another width.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try RWKVTimeMix(scope, self, context)
    }

    /// The parameters of the layer with their names within it; matrices are [out, in].
    ///
    /// 4 d² + 5 d numbers.
    public func parameterShapes(hiddenSize: Int) -> [(name: String, shape: [Int])] {
        let vectors = ["time_mix_key", "time_mix_value", "time_mix_receptance", "time_decay", "time_first"]
        let matrices = ["receptance", "key", "value"]
        return vectors.map { ($0, [channelCount]) }
            + matrices.map { ("\($0).weight", [channelCount, hiddenSize]) }
            + [("output.weight", [hiddenSize, channelCount])]
    }

    /// Pieces have nothing over the whole: the kernel's work is linear in the length.
    public var trainingForm: MixerForm { .parallel }

    /// Numerator, denominator, exponent and the previous input: 4 d.
    public func stateElementCount(tokenCount: Int) -> Int { 4 * channelCount }

    /// 27 a channel: 9 for the three token shifts, 16 for reading and writing the sums, 2 for the gate.
    ///
    /// An exponential counts as one.
    public func recurrentFLOPs(position: Int) -> Int { 27 * channelCount }

    /// First values of the five vectors in a layer.
    func firstValues(layer: Int, layerCount: Int) -> FirstValues {
        let d = Double(channelCount)
        let depth = layerCount > 1 ? Double(layer) / Double(layerCount - 1) : 0
        let shallow = 1 - Double(layer) / Double(max(1, layerCount))
        var values = FirstValues()
        for i in 0..<channelCount {
            let context = channelCount > 1 ? Double(i) / (d - 1) : 0
            values.decay.append(-5 + 8 * pow(context, 0.7 + 1.3 * depth))
            values.bonus.append(log(0.3) + 0.5 * Double((i + 1) % 3 - 1))
            values.mixKey.append(pow(Double(i) / d, shallow))
            values.mixValue.append(pow(Double(i) / d, shallow) + 0.3 * depth)
            values.mixReceptance.append(pow(Double(i) / d, 0.5 * shallow))
        }
        return values
    }
}
