import RetNetMixers

/// Sizes and costs of a language model, computed from its configuration without allocation.
///
/// A multiply-add counts as two FLOPs.
public struct ModelAccounting: Sendable, Equatable {
    /// The configuration of the model.
    public let configuration: LanguageModelConfiguration
    /// Number of parameters of the whole model by part.
    public let parameters: ParameterCounts
    /// Number of parameters in matrices of all blocks, by which papers compare: 12 · d² · L for RetNet.
    public let blockMatrixParameterCount: Int
    /// Number of parameters in matrix products: those of the blocks and the output matrix, tied or not.
    ///
    /// The embedding itself is a look-up.
    public let matrixParameterCount: Int
    /// The share of ``matrixParameterCount`` in the products of one token, on average.
    ///
    /// Of experts it contains those that a token passes; a layer that sees every k-th token counts as one k-th.
    public let activeMatrixParameterCount: Int

    /// Counts the parameters; throws `SettingsError` for an invalid configuration.
    public init(_ configuration: LanguageModelConfiguration) throws {
        try configuration.validate()
        self.configuration = configuration
        var parameters = ParameterCounts()
        var (matrices, active) = (0, 0)
        for layer in 0..<configuration.layerCount {
            for parameter in configuration.parameters(layer: layer) {
                parameters.add(parameter)
                guard parameter.isMatrix else { continue }
                matrices += parameter.elementCount
                active += parameter.activeElementCount / configuration.sequenceStride(layer: layer)
            }
        }
        for parameter in configuration.endParameters { parameters.add(parameter) }
        self.parameters = parameters
        blockMatrixParameterCount = matrices
        let output = configuration.vocabularySize * configuration.outputWidth
        matrixParameterCount = matrices + output
        activeMatrixParameterCount = active + output
    }
}

extension ModelAccounting {
    /// Number of parameters of the whole model.
    public var parameterCount: Int { parameters.total }

    /// Returns the parameters of one block by part, by default of the first.
    public func blockParameters(layer: Int = 0) -> ParameterCounts {
        configuration.parameters(layer: layer).reduce(into: ParameterCounts()) { $0.add($1) }
    }

    // MARK: Work

    /// Model FLOPs per token of a forward pass: two per matrix parameter, and the recurrent form of the mixers.
    ///
    /// Work of mixers that grows with the position is taken in the middle of a training sequence.
    public var forwardFLOPsPerToken: Int {
        decodingFLOPsPerToken(position: (configuration.trainingLength ?? 2048) / 2)
    }

    /// Model FLOPs per token in training: three times ``forwardFLOPsPerToken``, 6N + 12abhL for RetNet.
    ///
    /// The basis of utilization, since it does not depend on the form of computation.
    public var trainingFLOPsPerToken: Int { 3 * forwardFLOPsPerToken }

    /// Returns the FLOPs per token of a forward pass in the chunkwise form, with full squares within chunks.
    public func hardwareForwardFLOPsPerToken(chunkLength: Int) -> Int {
        2 * activeMatrixParameterCount + mixerSum { $0.forwardFLOPsPerToken(chunkLength: chunkLength) }
    }

    /// Returns the FLOPs per token in training in the chunkwise form, with full squares within chunks.
    public func hardwareTrainingFLOPsPerToken(chunkLength: Int, recomputesStates: Bool = true) -> Int {
        6 * activeMatrixParameterCount
            + mixerSum {
                $0.forwardFLOPsPerToken(chunkLength: chunkLength)
                    + $0.backwardFLOPsPerToken(chunkLength: chunkLength, recomputesStates: recomputesStates)
            }
    }

    /// Returns the FLOPs of generating the token at a position.
    public func decodingFLOPsPerToken(position: Int) -> Int {
        2 * activeMatrixParameterCount
            + mixerSum { $0.recurrentFLOPs(position: max(0, min(position, 1 << 40))) }
    }

    // MARK: Memory

    /// True if the state grows with the number of tokens.
    public var stateGrows: Bool { configuration.stateGrows }

    /// Returns the number of values in the state of one sequence after `tokenCount` tokens.
    public func stateElementCount(tokenCount: Int) -> Int {
        let count = max(0, min(tokenCount, 1 << 40))
        return (0..<configuration.layerCount).reduce(0) {
            $0
                + configuration.layer($1).stateElementCount(
                    hiddenSize: configuration.hiddenSize,
                    tokenCount: Self.seen(count, by: configuration.sequenceStride(layer: $1)))
                + (configuration.altUp?.extraStateElementCount(
                    layer: $1, layerCount: configuration.layerCount, hiddenSize: configuration.hiddenSize)
                    ?? 0)
        }
    }

    /// Returns the bytes of the state of one sequence in float32 after `tokenCount` tokens.
    public func stateByteCount(tokenCount: Int) -> Int { 4 * stateElementCount(tokenCount: tokenCount) }

    /// Returns the bytes of all weights, for 4 (float32) or 2 (bfloat16) bytes per parameter.
    public func weightByteCount(bytesPerParameter: Int) -> Int { parameterCount * bytesPerParameter }

    /// Returns the bytes of float32 weights, gradients and both moments of Adam, activations excluded.
    ///
    /// Mixed precision adds a bfloat16 copy of all matrices.
    public func trainingByteCount(mixedPrecision: Bool) -> Int {
        parameterCount * 16 + (mixedPrecision ? 2 * matrixParameterCount : 0)
    }

    private func mixerSum(_ count: (any MixerSpecification) -> Int) -> Int {
        (0..<configuration.layerCount).reduce(0) {
            let own = count(configuration.layer($1).mixer.architecture)
            let mix = configuration.altUp?.mixFLOPs(hiddenSize: configuration.hiddenSize) ?? 0
            return $0 + own / configuration.sequenceStride(layer: $1) + mix
        }
    }

    /// Returns the number of tokens, among the first `count`, that a layer sees.
    private static func seen(_ count: Int, by stride: Int) -> Int { (count + stride - 1) / stride }
}

/// Numbers of parameters by part of the model.
public struct ParameterCounts: Sendable, Equatable {
    /// A part of a model.
    public enum Part: String, Sendable, CaseIterable {
        /// The token embedding, which is also the output matrix of a model with tied output.
        case embedding
        /// Projections of all mixers with their biases.
        case mixers
        /// Matrices of all feed-forwards with their biases, experts and routers included.
        case feedForwards = "feed_forwards"
        /// All norms, those of heads included.
        case norms
        /// The mixes, routers and projections of AltUp.
        case altUp = "altup"
        /// The separate output matrix.
        case output
    }

    private var counts: [Part: Int] = [:]

    /// The number of parameters of one part.
    public subscript(part: Part) -> Int { counts[part, default: 0] }

    /// The number of parameters of all parts.
    public var total: Int { counts.values.reduce(0, +) }

    /// The token embedding.
    public var embedding: Int { self[.embedding] }
    /// Projections of all mixers.
    public var mixers: Int { self[.mixers] }
    /// Matrices of all feed-forwards.
    public var feedForwards: Int { self[.feedForwards] }
    /// All norms.
    public var norms: Int { self[.norms] }
    /// The mixes of AltUp; 0 without AltUp.
    public var altUp: Int { self[.altUp] }
    /// The separate output matrix; 0 where the output is tied.
    public var output: Int { self[.output] }

    mutating func add(_ parameter: LanguageModelConfiguration.Parameter) {
        counts[parameter.part, default: 0] += parameter.elementCount
    }
}

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
