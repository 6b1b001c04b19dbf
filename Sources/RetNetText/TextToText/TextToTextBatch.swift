/// One example of an encoder-decoder: source and target tokens, end tokens included.
public struct EncodedExample: Hashable, Sendable {
    /// The input of the encoder.
    public var source: [Int32]
    /// The output that the decoder learns.
    public var target: [Int32]

    /// Creates an example.
    public init(source: [Int32], target: [Int32]) {
        self.source = source
        self.target = target
    }

    /// Creates the example of two texts, each cut to its length, the final end token included.
    ///
    /// Source: the task examples of T5 (Raffel et al., arXiv 1910.10683).
    public init(
        source: [Int32], target: [Int32], endToken: Int32, sourceLength: Int, targetLength: Int
    ) {
        self.init(
            source: source.prefix(max(0, sourceLength - 1)) + [endToken],
            target: target.prefix(max(0, targetLength - 1)) + [endToken])
    }
}

/// The input of one training or evaluation step of an encoder-decoder: rows of source and target tokens.
///
/// A row may contain several examples one after the other; segments number them from 1 on both sides, and the gaps
/// between them have segment 0. Rows are not padded: they are as long as their tokens.
public struct TextToTextBatch: Hashable, Sendable {
    /// The inputs of the encoder, one array per row.
    public private(set) var sources: [[Int32]] = []
    /// The segment of each source token.
    public private(set) var sourceSegments: [[Int32]] = []
    /// The outputs that the decoder learns, one array per row.
    public private(set) var targets: [[Int32]] = []
    /// The segment of each target token.
    public private(set) var targetSegments: [[Int32]] = []

    /// Creates a batch without rows.
    public init() {}

    /// Creates a batch with one example per row.
    public init(_ examples: [EncodedExample]) {
        for example in examples { addRow([example]) }
    }

    /// Adds a row of examples, one segment each.
    ///
    /// Sources begin at multiples of `alignment`, for encoders that process tokens in groups.
    public mutating func addRow(_ examples: [EncodedExample], alignment: Int = 1) {
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

    /// Returns some of the rows.
    public func rows(_ range: Range<Int>) -> TextToTextBatch {
        let range = range.clamped(to: 0..<rowCount)
        var result = TextToTextBatch()
        result.sources = Array(sources[range])
        result.sourceSegments = Array(sourceSegments[range])
        result.targets = Array(targets[range])
        result.targetSegments = Array(targetSegments[range])
        return result
    }

    /// Returns the number of positions to leave free after `count` source tokens.
    static func gap(after count: Int, alignment: Int) -> Int {
        alignment > 1 ? (alignment - count % alignment) % alignment : 0
    }

    /// The number of rows.
    public var rowCount: Int { sources.count }
    /// The number of source tokens, without gaps.
    public var sourceCount: Int {
        sourceSegments.reduce(0) { $0 + $1.reduce(0) { $0 + ($1 == 0 ? 0 : 1) } }
    }
    /// The number of target tokens.
    public var targetCount: Int { targets.reduce(0) { $0 + $1.count } }
}

/// An endless sequence of training batches for encoder-decoders, with a position that can be saved.
///
/// ``TextToTextWindows`` makes examples from running text, ``TextToTextMixture`` draws those of tasks.
public protocol TextToTextSource: Sendable {
    /// The position in the data, from which a source with the same data and settings continues exactly.
    var state: BatchSourceState { get }
    /// The capacity of a batch in source and target tokens.
    var tokensPerBatch: Int { get }
    /// The capacity of a batch in target tokens.
    var targetsPerBatch: Int { get }
    /// The approximate number of batches per pass over the data.
    var batchesPerEpoch: Double { get }
    /// The number of completed passes over the data; with several tasks, the largest of any task.
    var epoch: Int { get }

    /// Returns the next batch; throws `TextError` if a token of the data is outside the vocabulary.
    mutating func next() throws -> TextToTextBatch

    /// Moves to a saved position; throws `TextError.stateMismatch` if it belongs to other data or settings.
    mutating func restore(_ state: BatchSourceState) throws
}
