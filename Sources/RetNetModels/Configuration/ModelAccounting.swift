import RetNetMixers

/// What a model of some configuration weighs and costs, by arithmetic alone: instant for any size.
///
/// A multiply-add counts as two FLOPs. Nothing here depends on whether such a model exists or would fit.
public struct ModelAccounting: Sendable, Equatable {
    /// The configuration that is counted.
    public let configuration: LanguageModelConfiguration
    /// Parameters of the whole model by part.
    public let parameters: ParameterCounts
    /// Parameters in matrices of all blocks: the number that papers compare, 12 · d² · L for RetNet.
    public let blockMatrixParameterCount: Int
    /// Parameters that take part in matrix products: those of the blocks and the output matrix, tied or not.
    ///
    /// The embedding is only looked up.
    public let matrixParameterCount: Int
    /// The same as one token meets them: of experts those that it passes, of layers those that see it.
    ///
    /// A layer that sees every k-th token counts as one k-th.
    public let activeMatrixParameterCount: Int

    /// Counts; throws `SettingsError` if the configuration is not sound.
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
    /// Parameters of the whole model.
    public var parameterCount: Int { parameters.total }

    /// Parameters of one block by part, the first unless told otherwise.
    public func blockParameters(layer: Int = 0) -> ParameterCounts {
        configuration.parameters(layer: layer).reduce(into: ParameterCounts()) { $0.add($1) }
    }

    // MARK: Work

    /// Model FLOPs of a token forward: two for every matrix parameter, and the recurrent form of the mixers.
    ///
    /// Where the work of mixers grows with the tokens before, it is that in the middle of a training sequence.
    public var forwardFLOPsPerToken: Int {
        decodingFLOPsPerToken(position: (configuration.trainingLength ?? 2048) / 2)
    }

    /// Model FLOPs of a token in training: three times ``forwardFLOPsPerToken``, 6N + 12abhL for RetNet.
    ///
    /// The base of utilisation figures, for it does not depend on how the work is done.
    public var trainingFLOPsPerToken: Int { 3 * forwardFLOPsPerToken }

    /// FLOPs of a token forward in the chunkwise form, with full squares within chunks.
    public func hardwareForwardFLOPsPerToken(chunkLength: Int) -> Int {
        2 * activeMatrixParameterCount + mixerSum { $0.forwardFLOPsPerToken(chunkLength: chunkLength) }
    }

    /// FLOPs of a token in training in the chunkwise form, with full squares within chunks.
    public func hardwareTrainingFLOPsPerToken(chunkLength: Int, recomputesStates: Bool = true) -> Int {
        6 * activeMatrixParameterCount
            + mixerSum {
                $0.forwardFLOPsPerToken(chunkLength: chunkLength)
                    + $0.backwardFLOPsPerToken(chunkLength: chunkLength, recomputesStates: recomputesStates)
            }
    }

    /// FLOPs of generating a token after so many others.
    public func decodingFLOPsPerToken(position: Int) -> Int {
        2 * activeMatrixParameterCount
            + mixerSum { $0.recurrentFLOPs(position: max(0, min(position, 1 << 40))) }
    }

    // MARK: Memory

    /// Whether the state grows with the tokens seen.
    public var stateGrows: Bool { configuration.stateGrows }

    /// Numbers in the state of one sequence after so many tokens.
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

    /// Bytes of the state of one sequence in float32 after so many tokens.
    public func stateByteCount(tokenCount: Int) -> Int { 4 * stateElementCount(tokenCount: tokenCount) }

    /// Bytes of all weights, for 4 (float32) or 2 (bfloat16) bytes a parameter.
    public func weightByteCount(bytesPerParameter: Int) -> Int { parameterCount * bytesPerParameter }

    /// Bytes of float32 weights, gradients and both moments of Adam; activations come on top.
    ///
    /// Mixed precision keeps a bfloat16 copy of all matrices beside the float32 weights.
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

    /// How many of the first tokens a layer sees.
    private static func seen(_ count: Int, by stride: Int) -> Int { (count + stride - 1) / stride }
}
