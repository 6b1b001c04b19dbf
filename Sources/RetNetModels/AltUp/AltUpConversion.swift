import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// Conversion of a dense model into one with several streams that computes the same function, for further training.
///
/// Recycled-AltUp only adds p = I and g = 1 to every layer. Standard AltUp repeats the embedding K times, divides the
/// output matrix among the streams and repeats the final norm. Source: arXiv 2301.13310 for the first; the second
/// follows by derivation.
public enum AltUpConversion {
    /// Returns a new model with the weights of the given one, which stays unchanged.
    ///
    /// Throws ``AltUpConversionError`` if the result would compute another function.
    public static func convert(_ model: LanguageModel, to altUp: AltUpConfiguration) throws -> LanguageModel {
        let dense = model.configuration
        try check(dense, altUp)
        var configuration = dense
        configuration.altUp = altUp
        let isWide = altUp.kind == .standard && altUp.streamCount > 1
        // A wide tied table would add K equal products.
        if isWide { configuration.tiedOutput = false }
        let store = ParameterStore(
            source: .provided { name, shape in
                try value(name, shape, model.parameters, altUp, isWide: isWide)
            }, elementType: model.parameters.elementType, device: model.device)
        return try withoutGradients {
            try LanguageModel(configuration, parameters: store, computeType: model.computeType)
        }
    }

    private static func check(_ dense: LanguageModelConfiguration, _ altUp: AltUpConfiguration) throws {
        guard dense.altUp == nil else { throw AltUpConversionError.hasAltUpAlready }
        try checkKeepsFunction(altUp, hasFinalNorm: dense.finalNorm)
    }

    /// Throws ``AltUpConversionError`` if K equal streams would give another result than one.
    static func checkKeepsFunction(_ altUp: AltUpConfiguration, hasFinalNorm: Bool) throws {
        guard altUp.kind == .recycled || altUp.kind == .standard else {
            throw AltUpConversionError.changesFunction("the kind '\(altUp.kind.rawValue)'")
        }
        guard altUp.sequence == nil else {
            throw AltUpConversionError.changesFunction("a reduction of the sequence")
        }
        guard altUp.initialization != .active || altUp.streamCount == 1 else {
            throw AltUpConversionError.changesFunction("the initialization 'active'")
        }
        guard altUp.kind == .standard || altUp.reduction == .mean || hasFinalNorm || altUp.streamCount == 1
        else {
            throw AltUpConversionError.changesFunction(
                "a sum of streams without a final norm (use the reduction 'mean')")
        }
    }

    private static func value(
        _ name: String, _ shape: [Int], _ dense: ParameterStore, _ altUp: AltUpConfiguration, isWide: Bool
    ) throws -> Tensor {
        let k = altUp.streamCount
        if let initial = try initialValue(name, shape, altUp) { return initial }
        guard let own = dense[name] ?? (name == "output.weight" ? dense["embedding.weight"] : nil) else {
            throw AltUpConversionError.missing(name)
        }
        let copies = [Tensor](repeating: try own.detached(), count: k)
        guard isWide, shape.last == k * own.size(-1) else { return try own.detached().clone() }
        let wide = try Tensor.concatenated(copies, axis: -1)
        return name == "output.weight" ? try wide * (1 / Double(k)) : wide
    }

    /// Returns the initial values of p and g; nil for parameters that a dense model has too.
    static func initialValue(_ name: String, _ shape: [Int], _ altUp: AltUpConfiguration) throws -> Tensor? {
        let k = altUp.streamCount
        if name.hasSuffix("altup.prediction") {
            let identity = (0..<k * k).map { $0 / k == $0 % k ? 1.0 : 0 }
            return try altUp.initialization == .averaging
                ? Tensor.full(shape, 1 / Double(k)) : Tensor.from(identity, shape)
        }
        return name.hasSuffix("altup.correction") ? try Tensor.ones(shape) : nil
    }
}

extension AltUpConversion {
    /// Returns a T5 with several streams and the weights of the given one, which stays unchanged.
    ///
    /// Standard AltUp repeats the embedding and the final norms, and divides the output matrix and the matrices of keys
    /// and values in cross-attention among the streams; a tied output becomes one of its own. Throws
    /// ``AltUpConversionError`` if the result would compute another function.
    public static func convert(_ model: T5Model, to altUp: AltUpConfiguration) throws -> T5Model {
        var configuration = model.configuration
        guard configuration.altUp == nil else { throw AltUpConversionError.hasAltUpAlready }
        // T5 has final norms, which make no difference between a sum and a mean.
        try checkKeepsFunction(altUp, hasFinalNorm: true)
        configuration.altUp = altUp
        let isWide = altUp.kind == .standard && altUp.streamCount > 1
        let wasTied = configuration.tiedOutput
        if isWide { configuration.tiedOutput = false }
        let dense = model.parameters
        let store = ParameterStore(
            source: .provided { name, shape in
                try wideValue(
                    name, shape, dense, altUp, wasTied: wasTied, isScaled: configuration.scaledOutput)
            }, elementType: dense.elementType, device: model.device)
        return try withoutGradients {
            try T5Model(configuration, parameters: store, computeType: model.computeType)
        }
    }

    private static func wideValue(
        _ name: String, _ shape: [Int], _ dense: ParameterStore, _ altUp: AltUpConfiguration, wasTied: Bool,
        isScaled: Bool
    ) throws -> Tensor {
        if let initial = try initialValue(name, shape, altUp) { return initial }
        let k = altUp.streamCount
        let isOutput = name == T5Configuration.outputName
        guard let own = dense[name] ?? (isOutput && wasTied ? dense[T5Configuration.embeddingName] : nil)
        else {
            throw AltUpConversionError.missing(name)
        }
        guard shape != own.shape, shape.last == k * own.size(-1) else { return try own.detached().clone() }
        let wide = try Tensor.concatenated(
            [Tensor](repeating: try own.detached(), count: k), axis: -1)
        // A matrix over all streams sums K equal parts; a scaled output is divided by the root of a K times larger width.
        if isOutput { return try wide * ((isScaled ? Double(k).squareRoot() : 1) / Double(k)) }
        return name.contains("EncDecAttention") ? try wide * (1 / Double(k)) : wide
    }
}

/// An error in the conversion of a dense model into one with several streams.
public enum AltUpConversionError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The model has AltUp already.
    case hasAltUpAlready
    /// With this choice the result would compute another function.
    case changesFunction(String)
    /// The model has no parameter of that name.
    case missing(String)

    /// The error in one sentence, with its remedy.
    public var description: String {
        switch self {
        case .hasAltUpAlready:
            "the model has an 'altup' setting already: convert a dense model"
        case .changesFunction(let choice):
            "with \(choice) the converted model would compute another function than the dense one: train such a"
                + " model from random initial values"
        case .missing(let name):
            "the dense model has no parameter '\(name)': check that its files are complete"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
