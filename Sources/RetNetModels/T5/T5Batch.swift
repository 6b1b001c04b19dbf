import RetNetTorch

/// Sources and targets of a training step, filled up or packed into rows.
///
/// The decoder reads the targets shifted right by one, with the start token at the beginning of every segment.
public struct T5Batch {
    /// Int64 [B, Ts].
    public let source: Tensor
    /// Segments of the sources, 0 for padding; nil where every position is a token of one source.
    public let sourceSegments: T5Segments?
    /// What the decoder reads, int64 [B, Tt].
    public let decoderInput: Tensor
    /// What it must predict, int64 [B, Tt]; -100 for padding.
    public let targets: Tensor
    /// Segments of the targets.
    public let targetSegments: T5Segments?
    /// Targets that count.
    public let targetCount: Int
    /// Tokens of the sources, padding not counted.
    public let sourceCount: Int

    /// One example a row, filled up with padding to the longest row or to given lengths.
    ///
    /// Throws ``T5Error`` for empty rows, tokens outside the vocabulary and rows longer than a given length.
    public init(
        sources: [[Int32]], targets: [[Int32]], configuration: T5Configuration, device: Device = .cpu,
        sourceLength: Int? = nil, targetLength: Int? = nil
    ) throws {
        try self.init(
            sources: sources, sourceSegments: sources.map { $0.map { _ in 1 } }, targets: targets,
            targetSegments: targets.map { $0.map { _ in 1 } }, configuration: configuration, device: device,
            sourceLength: sourceLength, targetLength: targetLength)
    }

    /// Packed rows: several examples one after the other, numbered from 1 in `sourceSegments` and `targetSegments`.
    ///
    /// Sources begin at multiples of `sourceAlignment`, with padding before them, as layers that see every few positions
    /// need; rows may become longer than `sourceLength` thereby.
    public init(
        sources: [[Int32]], sourceSegments: [[Int32]], targets: [[Int32]], targetSegments: [[Int32]],
        configuration: T5Configuration, device: Device = .cpu, sourceLength: Int? = nil,
        targetLength: Int? = nil, sourceAlignment: Int = 1
    ) throws {
        guard sources.count == targets.count else {
            throw T5Error.countMismatch(what: "targets", expected: sources.count, found: targets.count)
        }
        let from = try Rows(
            sources, sourceSegments, configuration, length: sourceLength, "sources",
            alignment: sourceAlignment)
        let to = try Rows(targets, targetSegments, configuration, length: targetLength, "targets")
        source = try from.tensor(from.tokens, padding: Int64(configuration.paddingToken), device)
        self.sourceSegments = try from.segmentTensor(device)
        decoderInput = try to.tensor(
            to.shifted(start: Int64(configuration.startToken)), padding: Int64(configuration.paddingToken),
            device)
        self.targets = try to.tensor(to.tokens, padding: -100, device)
        self.targetSegments = try to.segmentTensor(device)
        targetCount = to.tokenCount
        sourceCount = from.tokenCount
    }

    /// Sources alone as int64 [B, T] with their segments, for encoding before decoding.
    public static func encoderInput(
        _ sources: [[Int32]], configuration: T5Configuration, device: Device = .cpu
    ) throws -> (tokens: Tensor, segments: T5Segments?) {
        let rows = try Rows(
            sources, sources.map { $0.map { _ in 1 } }, configuration, length: nil, "sources")
        return (
            try rows.tensor(rows.tokens, padding: Int64(configuration.paddingToken), device),
            try rows.segmentTensor(device)
        )
    }
}

/// Rows of one side of a batch.
private struct Rows {
    let tokens: [[Int64]]
    let segments: [[Int32]]
    let length: Int
    let tokenCount: Int

    init(
        _ rows: [[Int32]], _ segments: [[Int32]], _ configuration: T5Configuration, length: Int?,
        _ what: String, alignment: Int = 1
    ) throws {
        guard !rows.isEmpty, rows.allSatisfy({ !$0.isEmpty }) else { throw T5Error.emptyBatch }
        guard segments.count == rows.count else {
            throw T5Error.countMismatch(
                what: "segments of \(what)", expected: rows.count, found: segments.count)
        }
        let longest = rows.reduce(0) { max($0, $1.count) }
        for (index, row) in rows.enumerated() {
            guard segments[index].count == row.count else {
                throw T5Error.countMismatch(
                    what: "segments of row \(index) of the \(what)", expected: row.count,
                    found: segments[index].count)
            }
            if let length, row.count > length {
                throw T5Error.rowTooLong(row: index, length: row.count, limit: length)
            }
            for token in row where token < 0 || Int(token) >= configuration.vocabularySize {
                throw T5Error.tokenOutOfRange(
                    token: Int(token), vocabularySize: configuration.vocabularySize)
            }
        }
        let (rows, segments) = alignment > 1 ? Self.aligned(rows, segments, alignment) : (rows, segments)
        self.length = rows.reduce(length ?? longest) { max($0, $1.count) }
        // What belongs to no segment is padding, whatever token stands there.
        tokens = zip(rows, segments).map { zip($0, $1).map { $1 == 0 ? -1 : Int64($0) } }
        self.segments = segments
        tokenCount = segments.reduce(0) { $0 + $1.reduce(0) { $0 + ($1 == 0 ? 0 : 1) } }
    }

    /// Rows with padding before segments that do not begin at a multiple of a number.
    private static func aligned(
        _ rows: [[Int32]], _ segments: [[Int32]], _ alignment: Int
    ) -> ([[Int32]], [[Int32]]) {
        var result: (rows: [[Int32]], segments: [[Int32]]) = ([], [])
        for (tokens, numbers) in zip(rows, segments) {
            var (row, marks): ([Int32], [Int32]) = ([], [])
            for (index, number) in numbers.enumerated() {
                if number != 0, index == 0 || numbers[index - 1] != number {
                    let gap = (alignment - row.count % alignment) % alignment
                    row.append(contentsOf: repeatElement(0, count: gap))
                    marks.append(contentsOf: repeatElement(0, count: gap))
                }
                row.append(tokens[index])
                marks.append(number)
            }
            result.rows.append(row)
            result.segments.append(marks)
        }
        return result
    }

    /// The rows moved right by one, with the start token first in every segment.
    func shifted(start: Int64) -> [[Int64]] {
        zip(tokens, segments).map { row, segments in
            row.indices.map { index in
                if segments[index] == 0 { return -1 }
                return index == 0 || segments[index] != segments[index - 1] ? start : row[index - 1]
            }
        }
    }

    func tensor(_ rows: [[Int64]], padding: Int64, _ device: Device) throws -> Tensor {
        var flat: [Int64] = []
        flat.reserveCapacity(rows.count * length)
        for row in rows {
            for token in row { flat.append(token < 0 ? padding : token) }
            flat.append(contentsOf: repeatElement(padding, count: length - row.count))
        }
        return try Tensor.from(flat, [rows.count, length], on: device)
    }

    func segmentTensor(_ device: Device) throws -> T5Segments? {
        if segments.allSatisfy({ $0.count == length && Set($0) == [1] }) { return nil }
        let flat = segments.flatMap { $0 + [Int32](repeating: 0, count: length - $0.count) }
        return try T5Segments(Tensor.from(flat, [segments.count, length], on: device))
    }
}
