/// What kind of memory a mixer keeps of the past: what recall is expected to depend on.
public enum MixerFamily: String, Sendable, CaseIterable {
    /// All keys and values.
    case softmax = "all keys and values"
    /// A matrix a head that is read by queries.
    case matrix = "matrix a head"
    /// A few numbers a channel, weighed by keys.
    case elementWise = "numbers a channel"
    /// Convolutions whose filters do not depend on the input.
    case convolution = "fixed filters"
}
