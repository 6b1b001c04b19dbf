import Foundation
import RetNetModels
import RetNetStorage

/// One model of a comparison around AltUp.
struct AltUpRow {
    /// The model's architecture.
    enum Architecture {
        case decoder(LanguageModelConfiguration)
        case encoderDecoder(T5Configuration)
    }

    let family: AltUpFamily
    let variant: AltUpVariant
    /// The name of the size, `S`, `M` or `L`.
    let size: String
    let architecture: Architecture
    /// The learning rate in training from scratch.
    var learningRate: Double
    /// Whether the comparison has several sizes, so that names have to tell them.
    private let namesSize: Bool

    /// A variant of the dense model of a family and size; nil where there is none.
    init?(_ family: AltUpFamily, _ variant: AltUpVariant, _ size: AltUpPlan.Size, namesSize: Bool) {
        self.family = family
        self.variant = variant
        self.size = size.name
        self.namesSize = namesSize
        switch family {
        case .retnet, .transformer:
            guard let model = variant.applied(to: size.decoder(family)) else { return nil }
            architecture = .decoder(model)
            learningRate = size.decoderRate
        case .t5:
            architecture = .encoderDecoder(variant.applied(to: size.t5))
            learningRate = size.t5Rate
        }
    }

    /// The name in tables, `RetNet S, AltUp`.
    var name: String { "\(group), \(variant.title)" }
    /// The family with the size, where there are several.
    var group: String { namesSize ? "\(family.title) \(size)" : family.title }
    /// The name on the command line.
    var key: String { "\(family.rawValue)-\(variant.rawValue)" }
    /// The name in files and of measurements.
    var slug: String { namesSize ? "\(key)-\(size.lowercased())" : key }

    /// Numbers that tell this model from every other.
    var fingerprint: String {
        let settings =
            switch architecture {
            case .decoder(let model): try? model.settings.jsonText()
            case .encoderDecoder(let model): try? model.settings.jsonText()
            }
        return Checksum.hexadecimal(
            Checksum.crc32(Data("\(slug) \(learningRate) \(settings ?? "")".utf8)))
    }

    /// Parameters of the model, and of its embedding and output matrix among them.
    func parameters() throws -> (all: Int, ends: Int) {
        switch architecture {
        case .decoder(let model):
            let parameters = try ModelAccounting(model).parameters
            return (parameters.total, parameters.embedding + parameters.output)
        case .encoderDecoder(let model):
            let accounting = try T5Accounting(model)
            return (accounting.parameterCount, accounting.embeddingParameterCount)
        }
    }

    /// Bytes of weights, gradients and moments in training.
    func trainingByteCount(mixedPrecision: Bool) throws -> Int {
        switch architecture {
        case .decoder(let model):
            try ModelAccounting(model).trainingByteCount(mixedPrecision: mixedPrecision)
        case .encoderDecoder(let model):
            try T5Accounting(model).parameterCount * (mixedPrecision ? 18 : 16)
        }
    }
}
