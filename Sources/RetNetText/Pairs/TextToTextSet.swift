/// The examples of one task in a mixture.
public struct TextToTextSet: Sendable {
    /// The name of the task.
    public let name: String
    /// All examples, none of them empty on either side.
    public let examples: [TokenPair]

    /// Named examples.
    public init(name: String, examples: [TokenPair]) {
        self.name = name
        self.examples = examples
    }
}
