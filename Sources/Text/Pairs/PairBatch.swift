/// One step's input of an encoder-decoder: rows of source tokens beside rows of target tokens.
///
/// A row may hold several examples one after the other; segments number them from 1 on both sides. Rows end where their
/// tokens end: whoever makes tensors of them fills them up.
public struct PairBatch: Hashable, Sendable {
    /// What the encoder reads, row by row.
    public private(set) var sources: [[Int32]] = []
    /// The number of the example that each source token belongs to.
    public private(set) var sourceSegments: [[Int32]] = []
    /// What the decoder is to write.
    public private(set) var targets: [[Int32]] = []
    /// The number of the example that each target token belongs to.
    public private(set) var targetSegments: [[Int32]] = []

    /// A batch without rows.
    public init() {}

    /// One example a row.
    public init(_ examples: [TokenPair]) {
        for example in examples { addRow([example]) }
    }

    /// Adds a row of examples; their sources do not see each other, nor do their targets.
    public mutating func addRow(_ examples: [TokenPair]) {
        func numbered(_ side: (TokenPair) -> [Int32]) -> [Int32] {
            examples.enumerated().flatMap { index, example in
                [Int32](repeating: Int32(clamping: index + 1), count: side(example).count)
            }
        }
        sources.append(examples.flatMap(\.source))
        sourceSegments.append(numbered(\.source))
        targets.append(examples.flatMap(\.target))
        targetSegments.append(numbered(\.target))
    }

    /// The number of rows.
    public var rowCount: Int { sources.count }
    /// The number of source tokens.
    public var sourceCount: Int { sources.reduce(0) { $0 + $1.count } }
    /// The number of targets, all of which count.
    public var targetCount: Int { targets.reduce(0) { $0 + $1.count } }
}
