/// One way of drawing examples of a task: how long they are, and what of them is scored.
public struct TaskSplit: Sendable, Hashable {
    /// The name in tables and result files.
    public var name: String
    /// The tokens of an example; all examples of a batch have the same length, drawn from these.
    public var lengths: ClosedRange<Int>
    /// The first position whose answer counts, from 0; earlier ones have no target.
    public var firstScored: Int

    /// A split with examples of one or several lengths, all answers of which count unless told otherwise.
    public init(name: String, lengths: ClosedRange<Int>, firstScored: Int = 0) {
        self.name = name
        self.lengths = lengths
        self.firstScored = firstScored
    }

    /// A split with examples of one length.
    public init(name: String, length: Int, firstScored: Int = 0) {
        self.init(name: name, lengths: length...length, firstScored: firstScored)
    }
}
