import RetNetLayers
import RetNetTorch

/// Turns a dense model into one with several blocks that computes the same function, to be trained further.
///
/// Recycled-AltUp only adds p = I and g = 1 to every layer. Standard AltUp repeats the embedding K times, divides the
/// output matrix among the blocks and repeats the final norm. Source: arXiv 2301.13310; the second is a derivation.
public enum AltUpConversion {
    /// A new model of the same weights; the given one is untouched.
    ///
    /// Throws ``AltUpConversionError`` where the result could not compute the same.
    public static func convert(_ model: LanguageModel, to altUp: AltUpConfiguration) throws -> LanguageModel {
        let dense = model.configuration
        try check(dense, altUp)
        var configuration = dense
        configuration.altUp = altUp
        let isWide = altUp.kind == .standard && altUp.blockCount > 1
        // A wide tied table would count K times over.
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
        guard dense.altUp == nil else { throw AltUpConversionError.hasBlocksAlready }
        try checkKeepsFunction(altUp, hasFinalNorm: dense.finalNorm)
    }

    /// Throws where blocks of equal content would not give what one gives.
    static func checkKeepsFunction(_ altUp: AltUpConfiguration, hasFinalNorm: Bool) throws {
        guard altUp.kind == .recycled || altUp.kind == .standard else {
            throw AltUpConversionError.changesFunction("the kind '\(altUp.kind.rawValue)'")
        }
        guard altUp.sequence == nil else {
            throw AltUpConversionError.changesFunction("a reduction of the sequence")
        }
        guard altUp.initialization != .active || altUp.blockCount == 1 else {
            throw AltUpConversionError.changesFunction("the initialization 'active'")
        }
        guard altUp.kind == .standard || altUp.reduction == .mean || hasFinalNorm || altUp.blockCount == 1
        else {
            throw AltUpConversionError.changesFunction(
                "a sum of blocks without a final norm (take the reduction 'mean')")
        }
    }

    private static func value(
        _ name: String, _ shape: [Int], _ dense: ParameterStore, _ altUp: AltUpConfiguration, isWide: Bool
    ) throws -> Tensor {
        let k = altUp.blockCount
        if let first = try firstValue(name, shape, altUp) { return first }
        guard let own = dense[name] ?? (name == "output.weight" ? dense["embedding.weight"] : nil) else {
            throw AltUpConversionError.missing(name)
        }
        let copies = [Tensor](repeating: try own.detached(), count: k)
        guard isWide, shape.last == k * own.size(-1) else { return try own.detached().clone() }
        let wide = try Tensor.concatenated(copies, axis: -1)
        return name == "output.weight" ? try wide * (1 / Double(k)) : wide
    }

    /// p and g as they begin; nil for parameters that a dense model has too.
    static func firstValue(_ name: String, _ shape: [Int], _ altUp: AltUpConfiguration) throws -> Tensor? {
        let k = altUp.blockCount
        if name.hasSuffix("altup.prediction") {
            let identity = (0..<k * k).map { $0 / k == $0 % k ? 1.0 : 0 }
            return try altUp.initialization == .averaging
                ? Tensor.full(shape, 1 / Double(k)) : Tensor.from(identity, shape)
        }
        return name.hasSuffix("altup.correction") ? try Tensor.ones(shape) : nil
    }
}
