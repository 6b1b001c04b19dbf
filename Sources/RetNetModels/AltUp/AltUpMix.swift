import RetNetLayers
import RetNetTorch

/// The mix of K blocks around one layer.
protocol BlockMix {
    /// The block that the layer computes on.
    var active: Int { get }
    /// The new blocks, given a layer that computes on one of width d; what else it returns is passed on.
    func callAsFunction<Rest>(_ blocks: [Tensor], _ layer: (Tensor) throws -> (Tensor, Rest)) throws
        -> ([Tensor], Rest)
}

/// AltUp's mix around one layer: predict and correct in one native pass.
public struct AltUpMix: BlockMix {
    /// The block that the layer computes on.
    public let active: Int
    /// p, [K, K].
    public let prediction: Tensor
    /// g, [K].
    public let correction: Tensor
    private let layerInput: AltUpConfiguration.LayerInput

    /// Declares `prediction` and `correction`, which weight decay leaves alone.
    public init(_ scope: ParameterScope, _ configuration: AltUpConfiguration, layer: Int) throws {
        let k = configuration.blockCount
        let active = configuration.activeBlock(layer: layer)
        let identity = (0..<k * k).map { $0 / k == $0 % k ? 1.0 : 0 }
        prediction = try scope.parameter(
            "prediction", [k, k],
            configuration.initialization == .averaging ? .constant(1 / Double(k)) : .values(identity),
            decays: false)
        correction = try scope.parameter(
            "correction", [k],
            configuration.initialization == .active
                ? .values((0..<k).map { $0 == active ? 1 : 0 }) : .constant(1), decays: false)
        self.active = active
        layerInput = configuration.layerInput
    }

    /// The new blocks after a layer that maps the active one, [B, T, D] → [B, T, D].
    public func callAsFunction<Rest>(_ blocks: [Tensor], _ layer: (Tensor) throws -> (Tensor, Rest)) throws
        -> ([Tensor], Rest)
    {
        let input =
            layerInput == .old
            ? blocks[active]
            : try FusedOperators.altUpPrediction(blocks, prediction: prediction, active: active)
        let (output, rest) = try layer(input)
        let mixed = try FusedOperators.altUpMix(
            blocks, layerOutput: output, prediction: prediction, correction: correction, active: active)
        return (mixed, rest)
    }
}
