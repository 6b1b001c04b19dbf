import RetNetLayers
import RetNetMixers
import RetNetTorch
import Testing

/// Random heads: queries, keys, values and, where wanted, a state.
struct Heads {
    let q: Tensor
    let k: Tensor
    let v: Tensor
    let state: Tensor?

    init(
        batch: Int = 2, heads: Int = 3, time: Int, keySize: Int = 4, valueSize: Int = 6, carried: Bool,
        type: ElementType = .float64, seed: UInt64 = 1
    ) throws {
        let generator = try Generator(seed: seed)
        func normal(_ shape: [Int]) throws -> Tensor { try generator.normal(shape, .float64).to(type) }
        q = try normal([batch, heads, time, keySize])
        k = try normal([batch, heads, time, keySize])
        v = try normal([batch, heads, time, valueSize])
        state =
            carried
            ? try generator.normal([batch, heads, keySize, valueSize], .float64).to(type.accumulator) : nil
    }

    var inputs: [Tensor] { [q, k, v] + (state.map { [$0] } ?? []) }
    func requireGradients() throws { for input in inputs { try input.requiringGradient() } }
}

/// A small retention layer whose parameters are float64 unless said otherwise.
func makeLayer(
    _ configuration: RetentionConfiguration, hiddenSize: Int = 12, type: ElementType = .float64,
    seed: UInt64 = 3
) throws -> (layer: MultiScaleRetention, parameters: ParameterStore) {
    let store = ParameterStore(source: .random(seed: seed), elementType: type)
    let wide = Initializer.normal(standardDeviation: 0.4)
    let layer = try MultiScaleRetention(
        store.root, configuration,
        LayerContext(hiddenSize: hiddenSize, initialization: MixerInitialization(override: wide)))
    return (layer, store)
}
