import Foundation
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetStorage

/// One side of a comparison: a name and a model.
struct Contender {
    let name: String
    let configuration: LanguageModelConfiguration
    /// The name on the command line.
    let key: String
    /// Another learning rate than that of the others, where one size or architecture needs it.
    var learningRate: Double?

    /// An architecture at a size, over bytes.
    init(_ architecture: ComparedArchitecture, _ size: ModelSize, length: Int) {
        name = architecture.title
        key = architecture.rawValue
        configuration = architecture.configuration(
            width: size.width, layerCount: size.layerCount, vocabularySize: 256, trainingLength: length,
            sizes: size.sizes)
    }

    /// A variant of a model.
    init(
        name: String, configuration: LanguageModelConfiguration, key: String? = nil,
        learningRate: Double? = nil
    ) {
        self.name = name
        self.configuration = configuration
        self.key = key ?? Self.slug(name)
        self.learningRate = learningRate
    }

    /// Numbers that tell this model from every other, for the settings of an experiment.
    var fingerprint: String {
        let text = "\(name) \((try? configuration.settings.jsonText()) ?? "")"
        return Checksum.hexadecimal(Checksum.crc32(Data(text.utf8)))
    }

    /// The name as a part of a file name.
    var slug: String { Self.slug(name) }

    private static func slug(_ name: String) -> String {
        String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
    }

    /// The architectures of a comparison: those asked for by name, `all`, or the recipe's own.
    static func architectures(_ asked: [String]?, otherwise own: [ComparedArchitecture]) throws
        -> [ComparedArchitecture]
    {
        let all = ComparedArchitecture.allCases
        return asked == ["all"] ? all : try picked(asked, from: all, otherwise: own) { $0.rawValue }
    }

    /// Those of some things that were asked for by name, else the recipe's own.
    ///
    /// Throws ``ExperimentError/unusable(_:)`` for unknown names, repeated ones and an empty list.
    static func picked<T>(_ asked: [String]?, from all: [T], otherwise own: [T], name: (T) -> String) throws
        -> [T]
    {
        guard let asked else { return own }
        let known = all.map(name).joined(separator: ", ")
        guard !asked.isEmpty else {
            throw ExperimentError.unusable("no contender is named; there are \(known)")
        }
        guard Set(asked).count == asked.count else {
            throw ExperimentError.unusable("a contender is named twice in \(asked.joined(separator: ", "))")
        }
        return try asked.map { wanted in
            guard let found = all.first(where: { name($0) == wanted }) else {
                throw ExperimentError.unusable("there is no contender '\(wanted)'; there are \(known)")
            }
            return found
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
