import RetNetMixers
import RetNetModels

// Names and shapes of parameters, written down a second time: models must declare exactly these.

/// Parameters as text, in alphabetical order, for comparison.
func listed(_ parameters: [(name: String, shape: [Int])]) -> [String] {
    parameters.map { "\($0.name) \($0.shape)" }.sorted()
}

/// Parameters of a language model.
func expectedParameters(_ c: LanguageModelConfiguration) throws -> [(name: String, shape: [Int])] {
    func norm(_ name: String, _ size: Int, affine: Bool? = nil) -> [(name: String, shape: [Int])] {
        guard affine ?? c.norm.affine else { return [] }
        return (c.norm.kind == .layer ? ["weight", "bias"] : ["weight"]).map { ("\(name).\($0)", [size]) }
    }
    var result: [(name: String, shape: [Int])] = [("embedding.weight", [c.vocabularySize, c.embeddingWidth])]
    if c.positionEmbedding == .learned {
        result.append(("position_embedding.weight", [c.positionCount, c.hiddenSize]))
    }
    for layer in 0..<c.layerCount {
        let kind = c.layer(layer)
        var own = norm("mixer_norm", c.hiddenSize)
        if let width = kind.shortConvolution {
            own += [("short_convolution.weight", [c.hiddenSize, width])]
            own += [("short_convolution.bias", [c.hiddenSize])]
        }
        own += try kind.mixer.builder.parameterShapes(hiddenSize: c.hiddenSize).map {
            ("mixer.\($0.name)", $0.shape)
        }
        own += c.altUp.map { expectedParameters($0, layer, of: c.layerCount, c.hiddenSize) } ?? []
        if kind.feedForward.kind != .none {
            own += norm("feed_forward_norm", c.hiddenSize)
            own += expectedParameters(kind.feedForward, c.hiddenSize)
            if kind.feedForward.subNorm {
                own += norm("feed_forward.sub_norm", kind.feedForward.innerSize, affine: true)
            }
        }
        result += own.map { ("layers.\(layer).\($0.name)", $0.shape) }
    }
    result += c.altUp.map { expectedParameters($0, c.hiddenSize) } ?? []
    if c.finalNorm { result += norm("final_norm", c.outputWidth) }
    if c.embeddingNorm { result += norm("embedding_norm", c.embeddingWidth) }
    if !c.tiedOutput { result += [("output.weight", [c.vocabularySize, c.outputWidth])] }
    return result
}

/// Parameters of a feed-forward with its experts, without its norms.
private func expectedParameters(_ feedForward: FeedForwardConfiguration, _ hiddenSize: Int) -> [(
    name: String, shape: [Int]
)] {
    var result: [(name: String, shape: [Int])] = []
    func matrices(_ prefix: String, _ leading: [Int], inner: Int, isGated: Bool) {
        for name in isGated ? ["up", "gate", "down"] : ["up", "down"] {
            let shape = name == "down" ? [hiddenSize, inner] : [inner, hiddenSize]
            result.append(("\(prefix).\(name).weight", leading + shape))
            if feedForward.biases { result.append(("\(prefix).\(name).bias", leading + [shape[0]])) }
        }
    }
    let isGated = feedForward.kind == .gated
    let isPartial = feedForward.experts?.routing == .partial
    if let experts = feedForward.experts {
        result.append(("feed_forward.router.weight", [experts.count, hiddenSize]))
        matrices(
            "feed_forward.experts", [experts.count],
            inner: isPartial ? experts.innerSize ?? 16 : feedForward.innerSize,
            isGated: isGated && !isPartial)
    }
    if feedForward.experts == nil || isPartial {
        matrices("feed_forward", [], inner: feedForward.innerSize, isGated: isGated)
    }
    return result
}

/// Parameters that AltUp adds to a layer: K² + K values for a plain mix.
func expectedParameters(_ altUp: AltUpConfiguration, _ layer: Int, of layerCount: Int, _ hiddenSize: Int)
    -> [(name: String, shape: [Int])]
{
    var result: [(name: String, shape: [Int])] = []
    let k = altUp.streamCount
    switch altUp.kind {
    case .standard, .recycled:
        result = [("altup.prediction", [k, k]), ("altup.correction", [k])]
    case .gemma:
        result = [
            ("altup.router_norm.weight", [hiddenSize]), ("altup.router.weight", [k, hiddenSize]),
            ("altup.prediction_coefficients.weight", [k * k, k]),
            ("altup.correction_coefficients.weight", [k, k]),
        ]
    case .sum, .none:
        break
    }
    if let sequence = altUp.sequence, sequence.mode == .altup,
        sequence.layers(of: layerCount)?.contains(layer) == true
    {
        result.append(("sequence_altup.coefficients", [3]))
    }
    return result
}

/// Parameters that AltUp adds to a stack: Gemma's projections.
func expectedParameters(_ altUp: AltUpConfiguration, _ hiddenSize: Int) -> [(name: String, shape: [Int])] {
    guard altUp.kind == .gemma else { return [] }
    return ["expand", "collapse"].flatMap { side in
        (1..<altUp.streamCount).map { ("altup.\(side).\($0).weight", [hiddenSize, hiddenSize]) }
    }
}

/// Parameters of a T5, of given widths outside the layers if its stacks are not those of the configuration.
func expectedParameters(_ c: T5Configuration, widths: T5Widths? = nil) -> [(name: String, shape: [Int])] {
    let widths = widths ?? c.widths
    let (d, inner) = (c.hiddenSize, c.attentionSize)
    var result: [(name: String, shape: [Int])] = [("shared.weight", [c.vocabularySize, widths.embedding])]
    func attention(_ prefix: String, source: Int, isFirst: Bool) {
        result += [("q", [inner, d]), ("k", [inner, source]), ("v", [inner, source]), ("o", [d, inner])]
            .map { ("\(prefix).\($0.0).weight", $0.1) }
        guard isFirst else { return }
        result.append(("\(prefix).relative_attention_bias.weight", [c.bucketCount, c.headCount]))
    }
    for (side, count) in [("encoder", c.encoderLayerCount), ("decoder", c.decoderLayerCount)] {
        let isDecoder = side == "decoder"
        for layer in 0..<count {
            let prefix = "\(side).block.\(layer).layer."
            attention("\(prefix)0.SelfAttention", source: d, isFirst: layer == 0)
            if isDecoder {
                attention("\(prefix)1.EncDecAttention", source: widths.encoderOutput, isFirst: false)
            }
            for sublayer in 0..<(isDecoder ? 3 : 2) {
                result.append(("\(prefix)\(sublayer).layer_norm.weight", [d]))
            }
            result += expectedFeedForward(c, layer: layer, isDecoder: isDecoder).map {
                ("\(prefix)\(isDecoder ? 2 : 1).DenseReluDense.\($0.name).weight", $0.shape)
            }
        }
        let width = isDecoder ? widths.decoderOutput : widths.encoderOutput
        result.append(("\(side).final_layer_norm.weight", [width]))
    }
    if !c.tiedOutput { result.append(("lm_head.weight", [c.vocabularySize, widths.decoderOutput])) }
    return result + (c.altUp.map { expectedParameters($0, of: c) } ?? [])
}

private func expectedFeedForward(_ c: T5Configuration, layer: Int, isDecoder: Bool) -> [(
    name: String, shape: [Int]
)] {
    var result: [(name: String, shape: [Int])] = []
    var experts: ExpertsConfiguration?
    if let own = c.experts, own.sides == .both || (own.sides == .decoder) == isDecoder,
        (layer + 1) % own.period == 0
    {
        experts = own.experts
    }
    let isPartial = experts?.routing == .partial
    if let experts {
        let inner = isPartial ? experts.innerSize ?? 16 : c.innerSize
        result.append(("router", [experts.count, c.hiddenSize]))
        for name in c.feedForward.isGated && !isPartial ? ["up", "gate"] : ["up"] {
            result.append(("experts.\(name)", [experts.count, inner, c.hiddenSize]))
        }
        result.append(("experts.down", [experts.count, c.hiddenSize, inner]))
    }
    if experts == nil || isPartial {
        for name in c.feedForward.isGated ? ["wi_0", "wi_1"] : ["wi"] {
            result.append((name, [c.innerSize, c.hiddenSize]))
        }
        result.append(("wo", [c.hiddenSize, c.innerSize]))
    }
    return result
}

/// Parameters that AltUp adds to a T5 in addition to wider matrices.
func expectedParameters(_ altUp: AltUpConfiguration, of c: T5Configuration) -> [(name: String, shape: [Int])]
{
    var decoding = altUp
    decoding.sequence = nil
    let sides = [("encoder", c.encoderLayerCount, altUp), ("decoder", c.decoderLayerCount, decoding)]
    return sides.flatMap { side, count, altUp in
        expectedParameters(altUp, c.hiddenSize).map { ("\(side).\($0.name)", $0.shape) }
            + (0..<count).flatMap { layer in
                expectedParameters(altUp, layer, of: count, c.hiddenSize).map {
                    ("\(side).block.\(layer).\($0.name)", $0.shape)
                }
            }
    }
}
