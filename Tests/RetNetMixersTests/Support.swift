import RetNetLayers
import RetNetMixers
import RetNetTorch
import Testing

/// Relative tolerances of equal forms, by element type: the numerics contract of the package.
func tolerance(_ type: ElementType) -> Double {
    switch type {
    case .float64: 1e-10
    case .float32: 1e-4
    default: 2e-2
    }
}

/// ‖a - b‖ / ‖b‖ over all elements, in float64; infinite when either holds a value that is not finite.
func relativeError(_ a: Tensor, _ b: Tensor) throws -> Double {
    let (x, y) = (try a.to(.float64).detached(), try b.to(.float64).detached())
    guard x.shape == y.shape, try x.allFinite(), try y.allFinite() else { return .infinity }
    let norm = try (y * y).sum().item().squareRoot()
    let difference = try ((x - y) * (x - y)).sum().item().squareRoot()
    return difference == 0 ? 0 : difference / Swift.max(norm, 1e-300)
}

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
