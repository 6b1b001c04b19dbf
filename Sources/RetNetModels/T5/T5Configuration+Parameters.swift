/// The names of T5's parameters, which are those of Hugging Face's checkpoints.
enum T5Names {
    static let embedding = "shared.weight"
    static let output = "lm_head.weight"
    /// The names under which checkpoints may hold the embedding once more.
    static let embeddingAliases = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
    /// A table that some old checkpoints carry and no version uses.
    static let unused = ["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"]
}

extension T5Configuration {
    /// Names that a checkpoint may have besides: copies of the embedding, and a table that is never used.
    public static var toleratedNames: (embeddingAliases: [String], unused: [String]) {
        (T5Names.embeddingAliases, T5Names.unused)
    }
    /// The name of the embedding.
    public static var embeddingName: String { T5Names.embedding }
    /// The name of the output matrix, which tied models do not have.
    public static var outputName: String { T5Names.output }

    /// Every parameter with its name in files and its shape; matrices are [out, in].
    ///
    /// `widths` are those that the configuration asks for unless given; what AltUp adds comes last.
    public func parameterShapes(_ widths: T5Widths? = nil) -> [(name: String, shape: [Int])] {
        let widths = widths ?? self.widths
        var result = [(T5Names.embedding, [vocabularySize, widths.embedding])]
        for (stack, count) in [("encoder", encoderLayerCount), ("decoder", decoderLayerCount)] {
            let isDecoder = stack == "decoder"
            for layer in 0..<max(0, count) {
                let prefix = "\(stack).block.\(layer).layer."
                result += attention("\(prefix)0.SelfAttention", memory: hiddenSize, isFirst: layer == 0)
                result.append(("\(prefix)0.layer_norm.weight", [hiddenSize]))
                if isDecoder {
                    result += attention(
                        "\(prefix)1.EncDecAttention", memory: widths.encoderOutput, isFirst: false)
                    result.append(("\(prefix)1.layer_norm.weight", [hiddenSize]))
                }
                result += feedForward(
                    "\(prefix)\(isDecoder ? 2 : 1)",
                    experts: experts?.experts(layer: layer, isDecoder: isDecoder))
            }
            let width = isDecoder ? widths.decoderOutput : widths.encoderOutput
            result.append(("\(stack).final_layer_norm.weight", [width]))
        }
        if !tiedOutput { result.append((T5Names.output, [vocabularySize, widths.decoderOutput])) }
        return result + (altUp?.t5ParameterShapes(self) ?? [])
    }

    /// Widths outside the layers: those of all blocks where AltUp keeps them apart.
    public var widths: T5Widths {
        altUp?.t5Widths(hiddenSize: hiddenSize) ?? T5Widths(hiddenSize)
    }

    private func attention(_ prefix: String, memory: Int, isFirst: Bool) -> [(String, [Int])] {
        let inner = attentionSize
        var result = [
            ("\(prefix).q.weight", [inner, hiddenSize]), ("\(prefix).k.weight", [inner, memory]),
            ("\(prefix).v.weight", [inner, memory]), ("\(prefix).o.weight", [hiddenSize, inner]),
        ]
        if isFirst { result.append(("\(prefix).relative_attention_bias.weight", [bucketCount, headCount])) }
        return result
    }

    private func feedForward(_ prefix: String, experts: ExpertsConfiguration?) -> [(String, [Int])] {
        let place = "\(prefix).DenseReluDense"
        var result: [(String, [Int])] = []
        if let experts {
            let inner = experts.expertInnerSize(innerSize)
            let isGated = feedForward.isGated && !experts.keepsFeedForward
            result.append(("\(place).router.weight", [experts.count, hiddenSize]))
            for name in isGated ? ["up", "gate"] : ["up"] {
                result.append(("\(place).experts.\(name).weight", [experts.count, inner, hiddenSize]))
            }
            result.append(("\(place).experts.down.weight", [experts.count, hiddenSize, inner]))
        }
        if experts?.keepsFeedForward ?? true {
            for name in feedForward.isGated ? ["wi_0", "wi_1"] : ["wi"] {
                result.append(("\(place).\(name).weight", [innerSize, hiddenSize]))
            }
            result.append(("\(place).wo.weight", [hiddenSize, innerSize]))
        }
        result.append(("\(prefix).layer_norm.weight", [hiddenSize]))
        return result
    }
}
