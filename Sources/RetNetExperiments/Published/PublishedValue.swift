/// A number that somebody else has published, with how well it is known here.
public struct PublishedValue: Sendable, Equatable {
    /// How a number came to be known here.
    public enum Grade: String, Sendable, CaseIterable {
        /// Read in at least two independent sources that agree.
        case verified
        /// Stated by the authors in words of their own, outside of tables.
        case stated = "stated by the authors"
        /// Read in one transcription only; shown as such.
        case oneTranscription = "one transcription"
        /// Read off the curve of a figure; readers disagree, so such numbers are never shown beside measured ones.
        case figureReading = "reading of a figure"

        /// What the grade means, for the foot of a report.
        public var explanation: String {
            switch self {
            case .verified: "read in at least two independent sources that agree"
            case .stated: "read in a text by the authors themselves"
            case .oneTranscription: "read in one transcription only and not confirmed"
            case .figureReading: "read off a curve without printed values; not shown as a fact"
            }
        }
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
