import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetMixers

/// Initializers of every kind of parameter, for one scheme and depth.
///
/// Base distributions (torchscale `retnet.py`, HEAD 4d1e0e8): feed-forward matrices PyTorch's default, embedding
/// and output N(0, 1/d); mixers have their own. Depth factors apply to values and outputs of mixers and to the
/// feed-forward's up and down: torchscale matches names, so gates are never scaled.
struct ModelInitializers {
    let mixer: MixerInitialization
    let feedForward: Initializer
    let feedForwardGate: Initializer
    let embedding: Initializer
    let output: Initializer

    init(_ configuration: LanguageModelConfiguration) {
        let depth = Double(configuration.layerCount)
        var outputGains: [MixerConfiguration.Kind: Double] = [:]
        var depthFactor = configuration.deepNorm ? pow(8 * depth, -0.25) : 1
        switch configuration.initialization {
        case .normal(let deviation):
            let normal = Initializer.normal(standardDeviation: deviation)
            mixer = MixerInitialization(override: normal)
            feedForward = normal
            feedForwardGate = normal
            embedding = normal
            output = normal
            return
        case .torchscale:
            break
        case .torchscale2023:
            // July 2023: W_O with gain 1, and the sub-LN factor √ln(2L), which later releases dropped.
            outputGains = [.retention: 1]
            if configuration.pattern.contains(where: \.feedForward.subNorm) {
                depthFactor *= log(2 * depth).squareRoot()
            }
        case .paper:
            // The paper follows DeepNet, with a plain residual: β = (8L)^-¼ (inferred; it gives no formula).
            depthFactor = pow(8 * depth, -0.25)
        }
        mixer = MixerInitialization(depthFactor: depthFactor, outputGains: outputGains)
        feedForward = .fanInUniform(scale: depthFactor)
        feedForwardGate = .fanInUniform(scale: 1)
        embedding = .normal(standardDeviation: pow(Double(configuration.hiddenSize), -0.5))
        output = .normal(standardDeviation: pow(Double(configuration.outputWidth), -0.5))
    }
}
