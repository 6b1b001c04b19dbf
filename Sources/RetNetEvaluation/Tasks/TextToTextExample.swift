/// One example of a text-to-text task: what the model reads and what it should write.
public struct TextToTextExample: Sendable, Hashable {
    /// The text that the model reads, task name first.
    public var input: String
    /// The text that the model learns to write.
    public var target: String
    /// All texts that count as right, the target among them.
    public var answers: [String]

    /// An example with one right text unless told otherwise.
    public init(input: String, target: String, answers: [String]? = nil) {
        self.input = input
        self.target = target
        self.answers = answers ?? [target]
    }
}
