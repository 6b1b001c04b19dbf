import RetNetLayers
import RetNetTorch

extension AltUpConversion {
    /// A T5 with several blocks that computes what a dense one does; the given one is untouched.
    ///
    /// Standard AltUp repeats the embedding and the final norms, and divides the output matrix and the matrices of keys
    /// and values in cross-attention among the blocks; a tied output becomes one of its own. Throws
    /// ``AltUpConversionError`` where the result could not compute the same.
    public static func convert(_ model: T5Model, to altUp: AltUpConfiguration) throws -> T5Model {
        var configuration = model.configuration
        guard configuration.altUp == nil else { throw AltUpConversionError.hasBlocksAlready }
        // T5 has final norms, which make no difference between a sum and a mean.
        try checkKeepsFunction(altUp, hasFinalNorm: true)
        configuration.altUp = altUp
        let isWide = altUp.kind == .standard && altUp.blockCount > 1
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
        if let first = try firstValue(name, shape, altUp) { return first }
        let k = altUp.blockCount
        let isOutput = name == T5Names.output
        guard let own = dense[name] ?? (isOutput && wasTied ? dense[T5Names.embedding] : nil) else {
            throw AltUpConversionError.missing(name)
        }
        guard shape != own.shape, shape.last == k * own.size(-1) else { return try own.detached().clone() }
        let wide = try Tensor.concatenated(
            [Tensor](repeating: try own.detached(), count: k), axis: -1)
        // What reads all blocks sums K equal parts; a scaled output is divided by the root of a K times larger width.
        if isOutput { return try wide * ((isScaled ? Double(k).squareRoot() : 1) / Double(k)) }
        return name.contains("EncDecAttention") ? try wide * (1 / Double(k)) : wide
    }
}
