import Mixers
import Models

/// One side of a comparison: a name and a model.
struct Contender {
    let name: String
    let configuration: LanguageModelConfiguration
    /// Another learning rate than that of the others, where one architecture needs it.
    var learningRate: Double?

    /// An architecture at a size, over bytes.
    init(_ architecture: ComparedArchitecture, _ size: ModelSize, length: Int) {
        name = architecture.title
        configuration = architecture.configuration(
            width: size.width, layerCount: size.layerCount, vocabularySize: 256, trainingLength: length,
            sizes: size.sizes)
    }

    /// A variant of a model.
    init(name: String, configuration: LanguageModelConfiguration) {
        self.name = name
        self.configuration = configuration
    }

    /// The name as a part of a file name.
    var slug: String {
        String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
    }

    /// The architectures of a comparison: those asked for by name, else the recipe's own.
    static func architectures(_ asked: [String]?, otherwise own: [ComparedArchitecture]) throws
        -> [ComparedArchitecture]
    {
        guard let asked else { return own }
        return try asked.map { name in
            guard let architecture = ComparedArchitecture(rawValue: name) else {
                let known = ComparedArchitecture.allCases.map(\.rawValue).joined(separator: ", ")
                throw ExperimentError.unusable("there is no contender '\(name)'; there are \(known)")
            }
            return architecture
        }
    }
}

/// Width and depth of a model, and the sizes within its mixers.
struct ModelSize: Sendable {
    var width: Int
    var layerCount: Int
    var sizes = ComparedSizes()

    /// Heads of retention that see windows of different lengths, at widths where 256 would leave one.
    static func small(width: Int, layerCount: Int) -> ModelSize {
        ModelSize(
            width: width, layerCount: layerCount,
            sizes: ComparedSizes(retentionKeySize: max(16, min(64, width / 4)), headSize: 32))
    }
}
