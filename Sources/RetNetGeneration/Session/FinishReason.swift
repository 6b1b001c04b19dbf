/// Why a row's text ended.
public enum FinishReason: String, Sendable, Codable {
    /// A stop string was generated.
    case stop
    /// The number of tokens asked for was generated.
    case length
    /// An end token was generated.
    case endToken = "end_token"
    /// The caller asked to stop.
    case cancelled
}
