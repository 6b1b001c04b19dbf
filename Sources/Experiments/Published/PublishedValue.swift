/// A number that somebody else has published, with how well it is known here.
public struct PublishedValue: Sendable, Equatable {
    /// How a number came to be known here.
    public enum Grade: String, Sendable {
        /// Read in at least two independent sources that agree.
        case verified
        /// Read in one transcription only; shown as such.
        case oneTranscription = "one transcription"
    }

    /// The number.
    public let value: Double
    /// How well it is known.
    public let grade: Grade

    /// A published number.
    public init(_ value: Double, _ grade: Grade) {
        self.value = value
        self.grade = grade
    }
}
