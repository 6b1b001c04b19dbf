import RetNetArchitecture
import RetNetLayers
import RetNetMixers

/// Sizes and costs of a language model, computed from its configuration without allocating it.
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

    private let blocks: [ParameterCounts]

    /// Counts the parameters that the model declares; throws as ``LanguageModel`` does for such a configuration.
    public init(_ configuration: LanguageModelConfiguration) throws {
        let shapes = try configuration.parameterShapes()
        var parameters = ParameterCounts()
        var blocks = [ParameterCounts](repeating: ParameterCounts(), count: configuration.layerCount)
        var (matrices, active) = (0, 0)
        for (name, shape) in shapes {
            let parameter = DeclaredParameter(name, shape)
            parameters.add(parameter)
            guard let layer = parameter.layer else { continue }
            blocks[layer].add(parameter)
            guard parameter.isMatrix else { continue }
            let experts = parameter.isOfExpert ? configuration.layer(layer).feedForward.experts : nil
            matrices += parameter.elementCount
            active +=
                parameter.activeElementCount(experts) / configuration.sequenceStride(layer: layer)
        }
        self.configuration = configuration
        self.parameters = parameters
        self.blocks = blocks
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
    public func blockParameters(layer: Int = 0) -> ParameterCounts { blocks[layer] }

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
                + configuration.stateTensors(layer: $1).elementCount(
                    tokenCount: configuration.seenTokenCount(layer: $1, of: count))
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
}

/// Numbers of parameters by part of the model.
public struct ParameterCounts: Sendable, Equatable {
    /// A part of a model.
    public enum Part: String, Sendable, CaseIterable {
        /// The embeddings of tokens, which are also the output matrix of a model with tied output, and of positions.
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

    fileprivate mutating func add(_ parameter: DeclaredParameter) {
        counts[parameter.part, default: 0] += parameter.elementCount
    }
}

/// A parameter as a model declares it, with its part of the model by its name.
private struct DeclaredParameter {
    let part: ParameterCounts.Part
    /// Index of the block; nil for parameters outside the blocks.
    let layer: Int?
    let isOfExpert: Bool
    private let shape: [Int]

    init(_ name: String, _ shape: [Int]) {
        self.shape = shape
        var path = name[...]
        if name.hasPrefix("layers."), let end = name.dropFirst(7).firstIndex(of: ".") {
            layer = Int(name.dropFirst(7)[..<end])
            path = name[name.index(after: end)...]
        } else {
            layer = nil
        }
        isOfExpert = path.hasPrefix("feed_forward.experts.")
        part =
            if path.hasPrefix("altup.") || path.hasPrefix("sequence_altup.") {
                .altUp
            } else if path.contains("norm.") {
                .norms
            } else if path.hasPrefix("feed_forward.") {
                .feedForwards
            } else if layer != nil {
                .mixers
            } else {
                path.hasPrefix("embedding.") || path.hasPrefix("position_embedding.") ? .embedding : .output
            }
    }

    var elementCount: Int { shape.reduce(1, *) }

    var isMatrix: Bool { shape.count >= 2 && part != .altUp }

    /// Returns the number of values in the products of one token, on average.
    func activeElementCount(_ experts: ExpertsConfiguration?) -> Int {
        experts.map { Int((Double(elementCount) * $0.activeShare).rounded()) } ?? elementCount
    }
}

extension LanguageModelConfiguration {
    /// Returns every parameter of the model with its name in files and its shape, in order of declaration.
    ///
    /// Matrices are [out, in]. Outside the blocks the names are `embedding`, `position_embedding`, `embedding_norm`,
    /// `final_norm` and `output`; within block i `layers.{i}.mixer_norm`, `layers.{i}.mixer.{query, key, value, gate, output}`,
    /// `layers.{i}.mixer.head_norm`, `layers.{i}.feed_forward_norm`, `layers.{i}.feed_forward.{up, gate, down}` and
    /// `layers.{i}.feed_forward.sub_norm`, each with `.weight` and, where it has one, `.bias`. Of the two inner
    /// branches of a gated feed-forward, `up` is the activated one and `gate` the linear one. Throws as
    /// ``LanguageModel`` does for such a configuration.
    public func parameterShapes() throws -> [(name: String, shape: [Int])] {
        let store = ParameterStore(source: .shapes)
        _ = try LanguageModel(self, parameters: store, computeType: .float32)
        return store.entries.map { ($0.name, $0.tensor.shape) }
    }
}
