/// The kinds of models that AltUp is put around.
enum AltUpFamily: String, CaseIterable, Sendable {
    /// Multi-scale retention, decoder-only.
    case retnet
    /// Softmax attention with rotary positions, decoder-only.
    case transformer
    /// T5 v1.1: encoder and decoder.
    case t5

    /// The name in tables and plots.
    var title: String {
        switch self {
        case .retnet: "RetNet"
        case .transformer: "Transformer"
        case .t5: "T5"
        }
    }

    /// What its accuracy is.
    var accuracyTitle: String {
        self == .t5 ? "accuracy of the tokens of hidden spans" : "accuracy of the next byte"
    }

    /// What its loss is counted in.
    var lossTitle: String { self == .t5 ? "nats/token" : "nats/byte" }
}
