/// The place of a batch source in its data, with what is needed to recognise the data and settings.
public struct BatchSourceState: Codable, Hashable, Sendable {
    /// Where a row of `ContiguousWindows` stands.
    public struct Row: Codable, Hashable, Sendable {
        /// The number of the piece that the row reads, or -1 before the first.
        public var piece: Int
        /// How many tokens of the piece have been handed out.
        public var offset: Int
    }

    /// The kind of source, with the settings that change what it gives.
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
    /// How many times the whole data has been handed out.
    public var epoch: Int
    /// The place of the next window or piece in the order of the epoch.
    public var index: Int
    /// The rows, where they have places of their own.
    public var rows: [Row]

    /// The place in data that is made up as it is needed: only the number of batches handed out counts.
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

    /// Throws `TextError.stateMismatch` unless both states belong to the same data and settings.
    public func check(belongsWith own: BatchSourceState) throws {
        func compare<T: Equatable>(_ name: String, _ found: T, _ expected: T) throws {
            guard found != expected else { return }
            throw TextError.stateMismatch(reason: "its \(name) is \(found), here it is \(expected)")
        }
        try compare("kind of batches", kind, own.kind)
        try compare("number of tokens in the data", tokenCount, own.tokenCount)
        try compare("fingerprint of the data", fingerprint, own.fingerprint)
        try compare("number of rows", rowCount, own.rowCount)
        try compare("window length", length, own.length)
        try compare("seed", seed, own.seed)
        try compare("number of row places", rows.count, own.rows.count)
    }
}
