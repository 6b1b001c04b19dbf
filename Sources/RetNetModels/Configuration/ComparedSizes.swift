/// Sizes within the mixers of a comparison, which a width does not decide.
public struct ComparedSizes: Sendable, Equatable {
    /// The width of a retention head's keys; its values are twice as wide.
    public var retentionKeySize: Int
    /// The width of a head of softmax attention and of other mixers with heads.
    public var headSize: Int

    /// Heads of 256 and 64: the paper's for retention and the usual ones for attention.
    public init(retentionKeySize: Int = 256, headSize: Int = 64) {
        self.retentionKeySize = retentionKeySize
        self.headSize = headSize
    }

    /// The number of heads of about a size that share a width equally; at least one.
    func heads(_ width: Int, of size: Int) -> Int {
        let wanted = max(1, width / max(1, size))
        return (1...wanted).last { width % $0 == 0 && (width / $0) % 2 == 0 } ?? 1
    }
}
