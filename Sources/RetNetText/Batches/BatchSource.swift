/// An endless supply of training batches whose place can be saved and found again exactly.
public protocol BatchSource: Sendable {
    /// The place in the data, from which a source with the same data and settings continues.
    var state: BatchSourceState { get }
    /// The number of inputs of each batch, padding included.
    var tokensPerBatch: Int { get }
    /// How many times the whole data has been handed out.
    var epoch: Int { get }

    /// The next batch; throws `TextError` if a token of the data is damaged.
    mutating func next() throws -> Batch

    /// Goes to a saved place; throws `TextError.stateMismatch` if it belongs to other data or settings.
    mutating func restore(_ state: BatchSourceState) throws
}
