import Foundation
import Layers
import Mixers

/// First values of every kind of parameter, for one initialisation scheme and depth.
///
/// Base distributions (torchscale `multiscale_retention.py`, `retnet.py`, HEAD 4d1e0e8):
/// W_Q, W_K, W_V, W_G xavier-uniform with gain 2^-2.5, W_O with gain 2^-1, feed-forward matrices PyTorch's
/// default, embedding and output N(0, 1/d). Depth factors reach W_V, W_O and the feed-forward's up and down:
/// torchscale matches names, so gates are never scaled.
struct ModelInitializers {
    let retention: RetentionInitializers
    let feedForward: Initializer
    let feedForwardGate: Initializer
    let embedding: Initializer

    init(_ configuration: LanguageModelConfiguration) {
        let depth = Double(configuration.layerCount)
        let gain = pow(2, -2.5)
        var outputGain = 0.5
        var depthFactor = configuration.deepNorm ? pow(8 * depth, -0.25) : 1
        switch configuration.initialization {
        case .normal(let deviation):
            let normal = Initializer.normal(standardDeviation: deviation)
            retention = RetentionInitializers(queryKey: normal, value: normal, gate: normal, output: normal)
            feedForward = normal
            feedForwardGate = normal
            embedding = normal
            return
        case .torchscale:
            break
        case .torchscale2023:
            // July 2023: W_O with gain 1, and the sub-LN factor √ln(2L), which later releases dropped.
            outputGain = 1
            if configuration.feedForward.subNorm { depthFactor *= log(2 * depth).squareRoot() }
        case .paper:
            // The paper follows DeepNet, with a plain residual: β = (8L)^-¼ (inferred; it gives no formula).
            depthFactor = pow(8 * depth, -0.25)
        }
        retention = RetentionInitializers(
            queryKey: .xavierUniform(gain: gain), value: .xavierUniform(gain: gain * depthFactor),
            gate: .xavierUniform(gain: gain), output: .xavierUniform(gain: outputGain * depthFactor))
        feedForward = .fanInUniform(scale: depthFactor)
        feedForwardGate = .fanInUniform(scale: 1)
        embedding = .normal(standardDeviation: pow(Double(configuration.hiddenSize), -0.5))
    }
}
