/// Training windows that continue each other from batch to batch, so that the state can be carried along.
///
/// Each row reads documents from beginning to end and then takes the next one from a common queue, which
/// contains all documents in a new random order in each epoch; rows that are ahead continue with the next
/// epoch. Documents longer than a row's share of the stream are cut into pieces, so that all rows have
/// different text. In each epoch every token is an input exactly once; the target after the end of a document
/// is `<bos>` or, without one, ignored.
public struct ContiguousWindows: BatchSource {
    /// The tokens from which the windows are cut.
    public let stream: TokenStream
    /// The number of rows of a batch.
    public let rowCount: Int
    /// The number of tokens of a row.
    public let length: Int
    /// The seed of the order.
    public let seed: UInt64
    /// True if a window ends at the end of its document, with padding after it.
    ///
    /// Each document then starts a window, with `resets` set. Otherwise documents follow each other in a
    /// row without a gap, and only a document that happens to start at a window's start resets the row.
    public let cutsAtDocuments: Bool
    /// The number of completed passes over the data.
    public private(set) var epoch = 0
    /// The start of each piece in the stream, and the end of the last.
    private let bounds: [Int]
    private var permutation: IndexPermutation
    private var index = 0
    private var rows: [BatchSourceState.Row]

    /// Creates the source at the start of epoch 0.
    ///
    /// Throws `TextError.corpusTooShort` if the stream has fewer than `length + 1` tokens and
    /// `TextError.invalidArgument` for invalid shapes.
    public init(
        stream: TokenStream, rowCount: Int, length: Int, seed: UInt64, cutsAtDocuments: Bool = false
    ) throws {
        try BatchBuilder.check(rowCount: rowCount, length: length)
        guard stream.tokenCount > length else {
            throw TextError.corpusTooShort(tokenCount: stream.tokenCount, neededTokenCount: length + 1)
        }
        self.stream = stream
        self.rowCount = rowCount
        self.length = length
        self.seed = seed
        self.cutsAtDocuments = cutsAtDocuments
        bounds = Self.pieces(of: stream, rowCount: rowCount, length: length)
        permutation = Self.permutation(bounds.count - 1, seed: seed, epoch: 0)
        rows = Array(repeating: BatchSourceState.Row(piece: -1, offset: 0), count: rowCount)
    }

    /// The number of inputs of each batch, padding included.
    public var tokensPerBatch: Int { rowCount * length }

    /// The position in the data.
    public var state: BatchSourceState {
        BatchSourceState(
            kind: cutsAtDocuments ? "contiguous+cut" : "contiguous", fingerprint: stream.fingerprint,
            tokenCount: stream.tokenCount, rowCount: rowCount, length: length, seed: seed, epoch: epoch,
            index: index, rows: rows)
    }

    /// Moves to a saved position; throws `TextError.stateMismatch` if it belongs to other data or settings.
    public mutating func restore(_ state: BatchSourceState) throws {
        try state.check(belongsWith: self.state)
        let pieceCount = bounds.count - 1
        guard state.epoch >= 0, state.epoch <= Int(Int32.max), state.index >= 0, state.index < pieceCount
        else {
            throw TextError.stateMismatch(
                reason: "its piece \(state.index) of epoch \(state.epoch) is outside 0..<\(pieceCount)")
        }
        for row in state.rows {
            let isFresh = row.piece == -1 && row.offset == 0
            let isInside =
                row.piece >= 0 && row.piece < pieceCount && row.offset >= 0
                && row.offset <= bounds[row.piece + 1] - bounds[row.piece]
            guard isFresh || isInside else {
                throw TextError.stateMismatch(
                    reason: "its row at token \(row.offset) of piece \(row.piece) is outside the data")
            }
        }
        permutation = Self.permutation(pieceCount, seed: seed, epoch: state.epoch)
        epoch = state.epoch
        index = state.index
        rows = state.rows
    }

    /// Returns the next batch; throws `TextError` if a token of the data is outside the vocabulary.
    public mutating func next() throws -> Batch {
        let start = self
        do {
            var builder = BatchBuilder(
                rowCount: rowCount, length: length, paddingToken: stream.paddingToken)
            for row in 0..<rowCount { try addWindow(ofRow: row, to: &builder) }
            return builder.batch()
        } catch {
            // A failed call leaves the position unchanged.
            self = start
            throw error
        }
    }

    private mutating func addWindow(ofRow rowIndex: Int, to builder: inout BatchBuilder) throws {
        var row = rows[rowIndex]
        var inputs: [Int32] = []
        var targets: [Int32] = []
        var starts: [Int] = []
        var byteCount: Int? = 0
        while inputs.count < length {
            if row.piece < 0 || bounds[row.piece] + row.offset == bounds[row.piece + 1] {
                if cutsAtDocuments, !inputs.isEmpty { break }
                row = BatchSourceState.Row(piece: takePiece(), offset: 0)
                starts.append(inputs.count)
            }
            let first = bounds[row.piece] + row.offset
            let end = min(first + length - inputs.count, bounds[row.piece + 1])
            inputs += try stream.tokens(in: first..<end)
            targets += try stream.tokens(in: (first + 1)..<end)
            targets.append(try target(at: end))
            // The target behind a document is no text.
            let textEnd = isDocumentEnd(end) ? end : end + 1
            let count = try stream.byteCount(in: (first + 1)..<textEnd)
            byteCount = byteCount.flatMap { sum in count.map { sum + $0 } }
            row.offset += end - first
        }
        rows[rowIndex] = row
        builder.add(
            tokens: inputs, targets: targets, resets: starts.first == 0, documentStarts: starts,
            byteCount: byteCount)
    }

    /// Returns the target of the input before `position`.
    private func target(at position: Int) throws -> Int32 {
        if isDocumentEnd(position) { return stream.beginToken ?? Batch.ignoredTarget }
        return try stream.tokens(in: position..<(position + 1))[0]
    }

    private func isDocumentEnd(_ position: Int) -> Bool {
        position == stream.tokenCount || stream.starts[stream.documentIndex(at: position)] == position
    }

    private mutating func takePiece() -> Int {
        let piece = permutation(index)
        index += 1
        if index >= bounds.count - 1 {
            index = 0
            epoch += 1
            permutation = Self.permutation(bounds.count - 1, seed: seed, epoch: epoch)
        }
        return piece
    }

    /// Returns the starts of all pieces: documents, and cuts of long documents.
    private static func pieces(of stream: TokenStream, rowCount: Int, length: Int) -> [Int] {
        let share = stream.tokenCount / rowCount + (stream.tokenCount % rowCount == 0 ? 0 : 1)
        let maximum = max(share, length)
        var bounds: [Int] = []
        bounds.reserveCapacity(stream.starts.count)
        for (start, end) in zip(stream.starts, stream.starts.dropFirst()) {
            // Pieces of nearly equal length rather than full ones and a short rest.
            let count = end - start
            let pieceCount = count / maximum + (count % maximum == 0 ? 0 : 1)
            for piece in 0..<pieceCount {
                bounds.append(start + (count / pieceCount) * piece + min(piece, count % pieceCount))
            }
        }
        bounds.append(stream.tokenCount)
        return bounds
    }

    private static func permutation(_ count: Int, seed: UInt64, epoch: Int) -> IndexPermutation {
        var generator = SeededGenerator(seed: seed, stream: UInt64(truncatingIfNeeded: epoch) &+ 1)
        return IndexPermutation(count: count, generator: &generator)
    }
}
