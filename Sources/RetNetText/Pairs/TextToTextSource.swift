/// An endless supply of pairs of texts for encoder-decoders, whose place can be saved and found again exactly.
public protocol TextToTextSource: Sendable {
    /// The place in the data, from which a source with the same data and settings continues.
    var state: BatchSourceState { get }
    /// The number of source and target tokens that a batch has room for.
    var tokensPerBatch: Int { get }
    /// The number of targets that a batch has room for.
    var targetsPerBatch: Int { get }
    /// The number of batches, about, that hand out the whole data once.
    var batchesPerEpoch: Double { get }
    /// How many times the whole data has been handed out; with several sets of data, the one seen most often.
    var epoch: Int { get }

    /// The next batch; throws `TextError` if the data is damaged.
    mutating func next() throws -> TextToTextBatch

    /// Goes to a saved place; throws `TextError.stateMismatch` if it belongs to other data or settings.
    mutating func restore(_ state: BatchSourceState) throws
}
