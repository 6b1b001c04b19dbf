import Foundation
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetStorage

/// A model that takes part in a comparison of text recipes.
struct Contender {
    let name: String
    var configuration: LanguageModelConfiguration
    /// The name by which it is selected.
    let key: String
    /// The learning rate, if it differs from that of the comparison.
    var learningRate: Double?

    /// Creates a contender from an architecture and a size, over bytes.
    init(_ architecture: ComparedArchitecture, _ size: ModelSize, length: Int) {
        name = architecture.title
        key = architecture.rawValue
        configuration = architecture.configuration(
            width: size.width, layerCount: size.layerCount, vocabularySize: 256, trainingLength: length,
            sizes: size.sizes)
    }

    /// Creates a contender from a model.
    init(
        name: String, configuration: LanguageModelConfiguration, key: String? = nil,
        learningRate: Double? = nil
    ) {
        self.name = name
        self.configuration = configuration
        self.key = key ?? Self.slug(name)
        self.learningRate = learningRate
    }

    /// A checksum of the model for the settings of an experiment.
    var fingerprint: String {
        let text = "\(name) \((try? configuration.settings.jsonText()) ?? "")"
        return Checksum.hexadecimal(Checksum.crc32(Data(text.utf8)))
    }

    /// The name as part of a file name.
    var slug: String { Self.slug(name) }

    private static func slug(_ name: String) -> String {
        String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
    }
}

extension ExperimentContext {
    /// Returns the requested architectures, or those of the recipe if none are requested.
    func architectures(otherwise own: [ComparedArchitecture]) throws -> [ComparedArchitecture] {
        try requestedContenders(from: ComparedArchitecture.allCases, otherwise: own) { $0.rawValue }
    }
}

/// Width and depth of a model, with the sizes of its mixers.
struct ModelSize: Sendable {
    var width: Int
    var layerCount: Int
    var sizes = ComparedSizes()

    /// Returns a size with several heads of retention at widths for which key size 256 would leave only one.
    static func small(width: Int, layerCount: Int) -> ModelSize {
        ModelSize(
            width: width, layerCount: layerCount,
            sizes: ComparedSizes(retentionKeySize: max(16, min(64, width / 4)), headSize: 32))
    }
}
