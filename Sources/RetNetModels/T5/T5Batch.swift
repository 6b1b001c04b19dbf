import Foundation
import RetNetArchitecture
import RetNetTorch

/// Sources and targets of a training step, padded or packed into rows.
///
/// The inputs of the decoder are the targets shifted right by one, with the start token first in every segment.
public struct T5Batch {
    /// Tokens of the sources, int64 [B, Ts].
    public let source: Tensor
    /// Segments of the sources, 0 for padding; nil if every row is one source without padding.
    public let sourceSegments: T5Segments?
    /// Inputs of the decoder, int64 [B, Tt].
    public let decoderInput: Tensor
    /// Tokens to predict, int64 [B, Tt]; -100 for padding.
    public let targets: Tensor
    /// Segments of the targets.
    public let targetSegments: T5Segments?
    /// Number of targets, padding excluded.
    public let targetCount: Int
    /// Number of tokens of the sources, padding excluded.
    public let sourceCount: Int

    /// One example per row, padded to the longest row or to given lengths.
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
    /// With `sourceAlignment` each source is moved to a multiple of that number by padding before it, as encoders
    /// whose layers see every few positions require; rows may become longer than `sourceLength` thereby. Throws
    /// ``T5Error`` as the unpacked form does, and where segments do not match their rows.
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

    /// Returns sources alone as int64 [B, T] with their segments, for encoding before decoding.
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
        // Positions of no segment are padding, whatever their token.
        tokens = zip(rows, segments).map { zip($0, $1).map { $1 == 0 ? -1 : Int64($0) } }
        self.segments = segments
        tokenCount = segments.reduce(0) { $0 + $1.reduce(0) { $0 + ($1 == 0 ? 0 : 1) } }
    }

    /// Returns rows with padding before segments that do not begin at a multiple of a number.
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

    /// Returns the rows shifted right by one, with the start token first in every segment.
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

/// The examples that the positions of packed rows belong to: int32 [B, T], 0 for padding.
///
/// Positions attend to those of the same number only.
public final class T5Segments {
    /// One number per position.
    public let values: Tensor
    private var strided: [Int: Tensor] = [:]
    private var places: [Int: Tensor] = [:]

    /// Segments as int32 [B, T].
    public init(_ values: Tensor) throws {
        guard values.rank == 2 else {
            throw T5Error.wrongShape(what: "segments", expected: "[B, T]", found: values.shape)
        }
        self.values = try values.to(.int32)
    }

    /// Returns the segments of every `stride`-th position, the first of its group.
    ///
    /// Throws ``T5Error/mixedGroup(row:position:stride:)`` where a group has positions of several segments.
    public func every(_ stride: Int) throws -> Tensor {
        guard stride > 1 else { return values }
        if let found = strided[stride] { return found }
        let (time, numbers) = (values.size(1), try values.values(as: Int32.self))
        for (index, number) in numbers.enumerated() where number != 0 {
            let position = index % time
            guard numbers[index - position % stride] == number else {
                throw T5Error.mixedGroup(row: index / time, position: position, stride: stride)
            }
        }
        let result = try values.sliced(1, 0..<values.size(1), by: stride).contiguous()
        strided[stride] = result
        return result
    }

    /// Returns the indices, among every `stride`-th position of all rows, of those that are not padding: int64 [M].
    ///
    /// Throws as ``every(_:)`` does.
    public func places(stride: Int) throws -> Tensor {
        if let found = places[stride] { return found }
        let numbers = try every(stride).values(as: Int32.self)
        let kept = numbers.indices.filter { numbers[$0] != 0 }.map(Int64.init)
        let result = try Tensor.from(kept, [kept.count], on: values.device)
        places[stride] = result
        return result
    }
}

/// An error in the inputs of a T5 model.
public enum T5Error: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// There are no rows, or a row has no tokens.
    case emptyBatch
    /// Lists that belong together have different lengths.
    case countMismatch(what: String, expected: Int, found: Int)
    /// A token is not in the vocabulary.
    case tokenOutOfRange(token: Int, vocabularySize: Int)
    /// A row is longer than the length to which rows are padded.
    case rowTooLong(row: Int, length: Int, limit: Int)
    /// The stacks of encoder and decoder have embeddings of different widths.
    case embeddingSizes(encoder: Int, decoder: Int)
    /// The pass of a decoder layer has no encoder output.
    case missingEncoderOutput
    /// A group of positions, of which a layer sees the first only, has tokens of several examples.
    case mixedGroup(row: Int, position: Int, stride: Int)
    /// A tensor has the wrong shape.
    case wrongShape(what: String, expected: String, found: [Int])

    /// The error in one sentence, with its remedy.
    public var description: String {
        switch self {
        case .emptyBatch:
            "the batch is empty: give at least one row with at least one token"
        case .countMismatch(let what, let expected, let found):
            "wrong number of \(what): expected \(expected), found \(found)"
        case .tokenOutOfRange(let token, let size):
            "token \(token) is outside the vocabulary of \(size): use the tokenizer of the model"
        case .rowTooLong(let row, let length, let limit):
            "row \(row) has \(length) tokens, more than the \(limit) to which rows are padded: shorten the row or"
                + " raise the length"
        case .embeddingSizes(let encoder, let decoder):
            "the shared embedding cannot have the widths \(encoder) and \(decoder) at once: make the stacks of"
                + " encoder and decoder equally wide"
        case .missingEncoderOutput:
            "the pass of a decoder layer has no encoder output: encode the sources first"
        case .mixedGroup(let row, let position, let stride):
            "position \(position) of row \(row) is of another example than the start of its group of \(stride):"
                + " align packed sources to multiples of \(stride) (sourceAlignment)"
        case .wrongShape(let what, let expected, let found):
            "wrong shape of \(what): expected \(expected), found \(found)"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
