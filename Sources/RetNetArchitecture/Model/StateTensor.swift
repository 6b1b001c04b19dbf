/// A tensor of the state of one layer, as every engine keeps it and state files hold it.
///
/// Names and shapes are declared here once; in memory and in files an axis for the sequences comes first.
public struct StateTensor: Sendable, Equatable {
    /// The name, unique within its layer.
    public let name: String
    /// The shape for one sequence; 0 on the axis that grows.
    public let shape: [Int]
    /// The axis of ``shape`` that has an entry for every token that the layer has seen; nil for a fixed size.
    public let growingAxis: Int?

    /// A tensor of fixed size.
    public init(_ name: String, _ shape: [Int]) {
        self.name = name
        self.shape = shape
        growingAxis = nil
    }

    /// A tensor with an entry for every token along an axis, for which `shape` has a 0.
    public init(_ name: String, _ shape: [Int], growingAlong axis: Int) {
        self.name = name
        self.shape = shape
        growingAxis = axis
    }

    /// Returns the shape after so many tokens.
    public func shape(tokenCount: Int) -> [Int] {
        var result = shape
        if let growingAxis { result[growingAxis] = max(0, tokenCount) }
        return result
    }
}

extension MixerSpecification {
    /// Returns the number of values in the state of one sequence after so many tokens.
    public func stateElementCount(tokenCount: Int) -> Int {
        stateTensors.elementCount(tokenCount: tokenCount)
    }

    /// True if the state grows with the tokens seen.
    public var stateGrows: Bool { stateTensors.contains { $0.growingAxis != nil } }
}

extension [StateTensor] {
    /// Returns the number of values after so many tokens, which count up to 2^36.
    package func elementCount(tokenCount: Int) -> Int {
        reduce(0) { $0 + $1.shape(tokenCount: Swift.min(tokenCount, 1 << 36)).reduce(1, *) }
    }
}

extension LayerConfiguration {
    /// The name of the last inputs of the convolution before a mixer.
    package static let convolutionRingName = "convolution_ring"

    /// The tensors of the state of a block that sees all tokens.
    package func stateTensors(hiddenSize: Int) -> [StateTensor] {
        let ring = shortConvolution.map {
            [StateTensor(Self.convolutionRingName, [$0 - 1, hiddenSize])]
        }
        return (ring ?? []) + mixer.architecture.stateTensors
    }
}

extension SequenceReductionConfiguration {
    /// The name of the last token that a layer saw, and of the layer's update of it.
    package static let anchorName = "sequence_anchor"
    package static let innovationName = "sequence_innovation"
}

extension LanguageModelConfiguration {
    /// Returns the tensors of the state of a layer: those for tokens that it does not see, then those of its block.
    public func stateTensors(layer: Int) -> [StateTensor] {
        var carried: [StateTensor] = []
        if let sequence = altUp?.sequence, sequence.mode == .altup,
            sequence.layers(of: layerCount)?.contains(layer) == true
        {
            carried = [
                SequenceReductionConfiguration.anchorName, SequenceReductionConfiguration.innovationName,
            ]
            .map { StateTensor($0, [hiddenSize]) }
        }
        return carried + self.layer(layer).stateTensors(hiddenSize: hiddenSize)
    }

    /// Returns the number of tokens, among the first `count`, that a layer sees.
    public func seenTokenCount(layer: Int, of count: Int) -> Int {
        let stride = sequenceStride(layer: layer)
        return (max(0, count) + stride - 1) / stride
    }
}
