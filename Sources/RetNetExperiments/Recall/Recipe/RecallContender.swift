import RetNetMixers
import RetNetModels

/// A mixer that takes part in the synthetic tasks.
public struct RecallContender: Sendable {
    /// The sizes that a mixer is made for.
    public struct Place: Sendable, Equatable {
        /// d, the width of the model.
        public var width: Int
        /// The number of heads, where there are heads.
        public var headCount: Int
        /// The longest example.
        public var maximumLength: Int

        /// A place of given sizes.
        public init(width: Int, headCount: Int, maximumLength: Int) {
            self.width = width
            self.headCount = headCount
            self.maximumLength = maximumLength
        }

        /// The width of a head.
        public var headSize: Int { max(1, width / max(1, headCount)) }
    }

    /// The name on the command line and in file names.
    public let name: String
    /// The name in tables and plots.
    public let title: String
    /// What kind of memory it has.
    public let family: MixerFamily
    /// The mixer for a place.
    public let mixer: @Sendable (Place) -> MixerConfiguration

    /// A contender of given parts.
    public init(
        _ name: String, _ title: String, _ family: MixerFamily,
        mixer: @escaping @Sendable (Place) -> MixerConfiguration
    ) {
        self.name = name
        self.title = title
        self.family = family
        self.mixer = mixer
    }

    /// The model: pre-norms, tied output and the same width, depth and convolution for all.
    public func configuration(_ place: Place, _ shape: TaskModel, task: any SyntheticTask)
        -> LanguageModelConfiguration
    {
        LanguageModelConfiguration(
            vocabularySize: task.vocabularySize, hiddenSize: place.width, layerCount: shape.layerCount,
            mixer: mixer(place),
            feedForward: shape.feedForwardFactor > 0
                ? FeedForwardConfiguration(
                    kind: .plain, activation: .gelu, innerSize: shape.feedForwardFactor * place.width)
                : .none,
            shortConvolution: shape.convolutionWidth, norm: NormConfiguration(kind: .rms, epsilon: 1e-6),
            embeddingScale: .squareRoot, tiedOutput: true, trainingLength: task.training.lengths.upperBound)
    }

    /// The contenders of some names, all for nil; throws ``ExperimentError/unusable(_:)`` for an unknown one.
    public static func named(_ names: [String]?) throws -> [RecallContender] {
        guard let names else { return all }
        return try names.map { name in
            guard let contender = all.first(where: { $0.name == name }) else {
                throw ExperimentError.unusable(
                    "there is no contender '\(name)' in this recipe; there are "
                        + all.map(\.name).joined(separator: ", "))
            }
            return contender
        }
    }
}
