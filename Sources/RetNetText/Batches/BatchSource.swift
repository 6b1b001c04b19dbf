/// An endless sequence of training batches for language models, with a position that can be saved.
///
/// ``ShuffledWindows`` and ``ContiguousWindows`` cut batches from a ``TokenStream``.
public protocol BatchSource: Sendable {
    /// The position in the data, from which a source with the same data and settings continues exactly.
    var state: BatchSourceState { get }
    /// The number of inputs of each batch, padding included.
    var tokensPerBatch: Int { get }
    /// The number of completed passes over the data.
    var epoch: Int { get }

    /// Returns the next batch; throws `TextError` if a token of the data is outside the vocabulary.
    mutating func next() throws -> Batch

    /// Moves to a saved position; throws `TextError.stateMismatch` if it belongs to other data or settings.
    mutating func restore(_ state: BatchSourceState) throws
}

/// The position of a batch source in its data, with checks of the data and settings.
public struct BatchSourceState: Codable, Hashable, Sendable {
    /// The position of one row of `ContiguousWindows`, or of one task of `TextToTextMixture`.
    public struct Row: Codable, Hashable, Sendable {
        /// The piece that the row reads, or -1 before the first; of a task, its epoch.
        public var piece: Int
        /// The number of tokens read from the piece; of a task, the index in its epoch.
        public var offset: Int
    }

    /// The kind of source, with the settings that change its batches.
    public var kind: String
    /// The fingerprint of the token stream.
    public var fingerprint: UInt32
    /// The number of tokens of the stream.
    public var tokenCount: Int
    /// The number of rows of a batch.
    public var rowCount: Int
    /// The number of tokens of a row.
    public var length: Int
    /// The seed of the order.
    public var seed: UInt64
    /// The number of completed passes over the data.
    public var epoch: Int
    /// The index of the next window or piece in the order of the epoch.
    public var index: Int
    /// The positions of the rows or tasks, if they have their own.
    public var rows: [Row]

    /// Creates the position in generated data, of which only the number of batches counts.
    public init(kind: String, rowCount: Int, length: Int, seed: UInt64, index: Int) {
        self.init(
            kind: kind, fingerprint: 0, tokenCount: 0, rowCount: rowCount, length: length, seed: seed,
            epoch: 0,
            index: index, rows: [])
    }

    init(
        kind: String, fingerprint: UInt32, tokenCount: Int, rowCount: Int, length: Int, seed: UInt64,
        epoch: Int, index: Int, rows: [Row]
    ) {
        self.kind = kind
        self.fingerprint = fingerprint
        self.tokenCount = tokenCount
        self.rowCount = rowCount
        self.length = length
        self.seed = seed
        self.epoch = epoch
        self.index = index
        self.rows = rows
    }

    /// Throws `TextError.stateMismatch` if the states belong to different data or settings.
    public func check(belongsWith own: BatchSourceState) throws {
        func compare<T: Equatable>(_ name: String, _ found: T, _ expected: T) throws {
            guard found != expected else { return }
            throw TextError.stateMismatch(reason: "its \(name) is \(found), not \(expected)")
        }
        try compare("kind of batches", kind, own.kind)
        try compare("number of tokens in the data", tokenCount, own.tokenCount)
        try compare("fingerprint of the data", fingerprint, own.fingerprint)
        try compare("number of rows", rowCount, own.rowCount)
        try compare("window length", length, own.length)
        try compare("seed", seed, own.seed)
        try compare("number of row positions", rows.count, own.rows.count)
    }
}
