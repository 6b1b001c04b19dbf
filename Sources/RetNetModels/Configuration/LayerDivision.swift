import RetNetArchitecture
import RetNetMixers

extension LanguageModelConfiguration {
    /// Returns the reason why several ranks cannot have parts of the layers each (tensor parallelism); nil where they can.
    ///
    /// Ranks divide the heads of mixers and the columns of feed-forwards. The embedding and the output matrix are divided by
    /// tokens where ``dividesVocabulary(between:)``.
    public func divisionRefusal(between rankCount: Int) -> String? {
        guard rankCount > 1 else { return nil }
        for (index, layer) in pattern.enumerated() {
            let place = pattern.count == 1 ? "" : " of layer \(index)"
            let mixer = layer.mixer.kind.rawValue
            guard let counts = layer.mixer.architecture.dividedCounts else {
                return
                    "the mixer '\(mixer)'\(place) has to be whole on every rank; retention, gated_retention,"
                    + " linear_attention and attention can be divided"
            }
            for (setting, count) in counts where count % rankCount != 0 {
                return
                    "the '\(setting)' \(count) of the mixer '\(mixer)'\(place) cannot be divided by \(rankCount);"
                    + " choose a number of ranks that divides it"
            }
            let feedForward = layer.feedForward
            guard feedForward.kind != .none else { continue }
            if feedForward.experts != nil {
                return "the experts of the feed-forward\(place) have to be whole on every rank"
            }
            if feedForward.subNorm {
                return "the 'sub_norm' of the feed-forward\(place) needs all of its columns on every rank"
            }
            guard feedForward.innerSize % rankCount == 0 else {
                return
                    "the 'inner_size' \(feedForward.innerSize) of the feed-forward\(place) cannot be divided by"
                    + " \(rankCount); choose a number of ranks that divides it"
            }
        }
        return nil
    }

    /// True if ranks have some of the rows of the embedding and the output matrix each, and all of them otherwise.
    public func dividesVocabulary(between rankCount: Int) -> Bool { vocabularySize % rankCount == 0 }
}
