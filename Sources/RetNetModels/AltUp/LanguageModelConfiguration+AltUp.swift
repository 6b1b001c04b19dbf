import RetNetSettings

extension LanguageModelConfiguration {
    /// The width of the embedding: that of the residual stream, or of all blocks of AltUp.
    public var embeddingWidth: Int { altUp?.embeddingWidth(hiddenSize: hiddenSize) ?? hiddenSize }

    /// The width of what the final norm and the output matrix read.
    public var outputWidth: Int { altUp?.outputWidth(hiddenSize: hiddenSize) ?? hiddenSize }

    /// How many tokens lie between two that a layer sees.
    func sequenceStride(layer: Int) -> Int {
        altUp?.sequence?.stride(layer: layer, layerCount: layerCount) ?? 1
    }

    /// How far apart two positions that a layer sees count as.
    func positionStride(layer: Int) -> Int {
        altUp?.sequence?.positions == .tokens ? sequenceStride(layer: layer) : 1
    }

    /// The same model over one block: without AltUp.
    public var withoutAltUp: LanguageModelConfiguration {
        var result = self
        result.altUp = nil
        return result
    }

    /// The model with another residual width and everything within mixers and feed-forwards as it is.
    ///
    /// With a factor of 2 this is AltUp's baseline Dense2X.
    public func widened(by factor: Int) -> LanguageModelConfiguration {
        var result = self
        result.hiddenSize = hiddenSize * max(1, factor)
        return result
    }

    func reportAltUpContradictions(to reader: SettingsReader) {
        guard let altUp, let own = reader.optionalObject("altup") else { return }
        if altUp.kind == .sum, tiedOutput {
            own.reportContradiction(
                "kind",
                "the summed embedding of width \(embeddingWidth) cannot be the output matrix too:"
                    + " take tied_output: false")
        }
        guard let sequence = altUp.sequence, let place = own.optionalObject("sequence") else { return }
        if let reason = sequence.causalObstacle { place.reportContradiction("mode", reason) }
        if let last = sequence.lastLayer, last >= layerCount {
            place.reportContradiction("last_layer", "the last layer of \(layerCount) is \(layerCount - 1)")
        }
        guard sequence.positions == .tokens, sequence.stride > 1 else { return }
        for layer in sequence.layers(of: layerCount).map(Array.init) ?? [] {
            let mixer = self.layer(layer).mixer
            guard !mixer.architecture.honoursPositionStride else { continue }
            place.reportContradiction(
                "positions", "'\(mixer.kind.rawValue)' counts only what it sees: take positions: anchors")
            return
        }
    }

    func reportExpertContradictions(to reader: SettingsReader) {
        for layer in pattern {
            guard let reason = layer.feedForward.experts?.causalObstacle else { continue }
            let place = reader.has("layer_pattern") ? "layer_pattern" : "feed_forward"
            reader.reportContradiction(place, reason)
            return
        }
    }
}
