extension LanguageModelConfiguration {
    /// A parameter of the model.
    struct Parameter {
        var part: ParameterCounts.Part
        var name: String
        var shape: [Int]

        /// The share of the values that one token meets: of experts, those that it passes.
        var activeShare = 1.0

        var elementCount: Int { shape.reduce(1, *) }
        var isMatrix: Bool { shape.count >= 2 && part != .altUp }
        var activeElementCount: Int {
            activeShare == 1 ? elementCount : Int((Double(elementCount) * activeShare).rounded())
        }
    }

    /// Every parameter with its name in files and its shape, in a fixed order; matrices are [out, in].
    ///
    /// `embedding.weight`, then of every layer `layers.{i}.mixer_norm`, `layers.{i}.mixer.{query, key, value,
    /// gate, output}`, `layers.{i}.mixer.head_norm`, `layers.{i}.feed_forward_norm`,
    /// `layers.{i}.feed_forward.{up, gate, down}`, `layers.{i}.feed_forward.sub_norm`, then `final_norm`,
    /// `embedding_norm` and `output.weight`, each with `.weight` and, where it has one, `.bias`. Of the two inner
    /// branches of a gated feed-forward, `up` is the activated one and `gate` the linear one.
    public func parameterShapes() -> [(name: String, shape: [Int])] {
        let layers = (0..<max(0, layerCount)).flatMap { layer in
            parameters(layer: layer).map { ("layers.\(layer).\($0.name)", $0.shape) }
        }
        let ends = endParameters.map { ($0.name, $0.shape) }
        return ends.prefix(1) + layers + ends.dropFirst()
    }

    /// The parameters of one block, with their names within it.
    func parameters(layer: Int) -> [Parameter] {
        var result = parameters(of: norm, "mixer_norm", size: hiddenSize)
        let kind = self.layer(layer)
        for (name, shape) in kind.mixerParameterShapes(hiddenSize: hiddenSize) {
            let part: ParameterCounts.Part = name.contains("norm.") ? .norms : .mixers
            result.append(Parameter(part: part, name: name, shape: shape))
        }
        let altUpShapes =
            altUp?.parameterShapes(layer: layer, layerCount: layerCount, hiddenSize: hiddenSize) ?? []
        result += altUpShapes.map { Parameter(part: .altUp, name: $0.name, shape: $0.shape) }
        let feedForward = kind.feedForward
        guard feedForward.kind != .none else { return result }
        result += parameters(of: norm, "feed_forward_norm", size: hiddenSize)
        let inner = feedForward.innerSize
        if let experts = feedForward.experts { result += parameters(of: experts, feedForward) }
        guard feedForward.experts.map(\.keepsFeedForward) ?? true else { return result }
        func linear(_ name: String, from: Int, to: Int) {
            let prefix = "feed_forward.\(name)"
            result.append(Parameter(part: .feedForwards, name: "\(prefix).weight", shape: [to, from]))
            guard feedForward.biases else { return }
            result.append(Parameter(part: .feedForwards, name: "\(prefix).bias", shape: [to]))
        }
        linear("up", from: hiddenSize, to: inner)
        if feedForward.kind == .gated { linear("gate", from: hiddenSize, to: inner) }
        linear("down", from: inner, to: hiddenSize)
        if feedForward.subNorm {
            // Its weights are there even where other norms have none: they are the point of sub-norms.
            let subNorm = NormConfiguration(kind: norm.kind, epsilon: norm.epsilon, affine: true)
            result += parameters(of: subNorm, "feed_forward.sub_norm", size: inner)
        }
        return result
    }

    /// The router and the experts of a feed-forward.
    private func parameters(of experts: ExpertsConfiguration, _ feedForward: FeedForwardConfiguration)
        -> [Parameter]
    {
        var result = [
            Parameter(
                part: .feedForwards, name: "feed_forward.router.weight", shape: [experts.count, hiddenSize])
        ]
        let inner = experts.expertInnerSize(feedForward.innerSize)
        func matrix(_ name: String, from: Int, to: Int) {
            func add(_ kind: String, _ shape: [Int]) {
                result.append(
                    Parameter(
                        part: .feedForwards, name: "feed_forward.experts.\(name).\(kind)",
                        shape: [experts.count] + shape, activeShare: experts.activeShare))
            }
            add("weight", [to, from])
            if feedForward.biases { add("bias", [to]) }
        }
        matrix("up", from: hiddenSize, to: inner)
        if feedForward.kind == .gated, experts.routing != .partial {
            matrix("gate", from: hiddenSize, to: inner)
        }
        matrix("down", from: inner, to: hiddenSize)
        return result
    }

    /// The parameters outside the blocks, the embedding first.
    var endParameters: [Parameter] {
        var result = [
            Parameter(part: .embedding, name: "embedding.weight", shape: [vocabularySize, embeddingWidth])
        ]
        for (name, shape) in altUp?.parameterShapes(hiddenSize: hiddenSize) ?? [] {
            result.append(Parameter(part: .altUp, name: name, shape: shape))
        }
        if finalNorm { result += parameters(of: norm, "final_norm", size: outputWidth) }
        if embeddingNorm { result += parameters(of: norm, "embedding_norm", size: embeddingWidth) }
        if !tiedOutput {
            result.append(
                Parameter(part: .output, name: "output.weight", shape: [vocabularySize, outputWidth]))
        }
        return result
    }

    private func parameters(of norm: NormConfiguration, _ name: String, size: Int) -> [Parameter] {
        norm.parameterShapes(size: size).map {
            Parameter(part: .norms, name: "\(name).\($0.name)", shape: $0.shape)
        }
    }
}
