/// One step's input of an encoder-decoder: rows of source tokens beside rows of target tokens.
///
/// A row may hold several examples one after the other; segments number them from 1 on both sides, and 0 is what fills
/// gaps between them. Rows end where their tokens end: whoever makes tensors of them fills them up.
public struct TextToTextBatch: Hashable, Sendable {
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
    ///
    /// Sources begin at multiples of `alignment`, as encoders need it that see tokens in groups.
    public mutating func addRow(_ examples: [TokenPair], alignment: Int = 1) {
        var (row, segments): ([Int32], [Int32]) = ([], [])
        for (index, example) in examples.enumerated() {
            let gap = Self.gap(after: row.count, alignment: alignment)
            row += [Int32](repeating: 0, count: gap) + example.source
            segments += [Int32](repeating: 0, count: gap)
            segments += [Int32](repeating: Int32(clamping: index + 1), count: example.source.count)
        }
        sources.append(row)
        sourceSegments.append(segments)
        targets.append(examples.flatMap(\.target))
        targetSegments.append(
            examples.enumerated().flatMap { index, example in
                [Int32](repeating: Int32(clamping: index + 1), count: example.target.count)
            })
    }

    /// The places to leave free after so many.
    static func gap(after count: Int, alignment: Int) -> Int {
        alignment > 1 ? (alignment - count % alignment) % alignment : 0
    }

    /// The number of rows.
    public var rowCount: Int { sources.count }
    /// The number of source tokens, gaps left out.
    public var sourceCount: Int {
        sourceSegments.reduce(0) { $0 + $1.reduce(0) { $0 + ($1 == 0 ? 0 : 1) } }
    }
    /// The number of targets, all of which count.
    public var targetCount: Int { targets.reduce(0) { $0 + $1.count } }
}
