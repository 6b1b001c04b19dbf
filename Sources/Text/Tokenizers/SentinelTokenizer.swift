/// A tokenizer with sentinels: tokens that stand for what was cut out of a text.
public protocol SentinelTokenizer: Tokenizer {
    /// The sentinels in the order of their use.
    var sentinels: [Int32] { get }
}
