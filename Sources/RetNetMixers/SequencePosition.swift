/// Where a batch row stands in its sequence.
public struct SequencePosition: Sendable, Hashable, Codable {
    /// The absolute position of the next token, which rotations use; rebasing sets it to 0.
    public var position: Int
    /// How many tokens the state has absorbed, which score normalisers use; rebasing keeps it.
    public var count: Int

    /// A place in a sequence; the start by default.
    public init(position: Int = 0, count: Int = 0) {
        self.position = position
        self.count = count
    }

    /// The place after `length` more tokens.
    public func advanced(by length: Int) -> SequencePosition {
        SequencePosition(position: position + length, count: count + length)
    }
}
