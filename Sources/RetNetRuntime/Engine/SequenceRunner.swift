import Foundation
import RetNetArchitecture
import RetNetKernels

/// Logits of some tokens, in memory that the next call of the runner uses again.
public struct Logits {
    /// Number of tokens.
    public let count: Int
    /// V.
    public let vocabularySize: Int
    private let data: UnsafeMutablePointer<Float>

    init(_ rows: Rows) {
        count = rows.count
        vocabularySize = rows.width
        data = rows.data
    }

    /// The logits of one token; valid until the next call of the runner.
    public subscript(row: Int) -> UnsafeBufferPointer<Float> {
        precondition(row >= 0 && row < count, "the row is one of the logits")
        return UnsafeBufferPointer(start: data + row * vocabularySize, count: vocabularySize)
    }
}

/// The tokens of a call whose logits are wanted.
public enum WantedLogits: Sendable, Equatable {
    /// None: the states are all that is wanted.
    case none
    /// The last one of every sequence, in the order of the sequences.
    case last
    /// All, one sequence's after another's.
    case all
    /// Those of the last tokens of every sequence, as many as given for each, one sequence's after another's.
    case tails([Int])

    /// Returns how many of the last tokens of a sequence are wanted.
    func count(_ index: Int, of length: Int) -> Int {
        switch self {
        case .none: 0
        case .last: min(1, length)
        case .all: length
        case .tails(let counts): min(max(0, counts[index]), length)
        }
    }
}

/// What a runner makes passes of: a map from tokens of sequences to hidden states and logits, which moves states on.
protocol PassModel: AnyObject {
    /// The places of what a state holds.
    var layout: StateLayout { get }
    /// V.
    var vocabularySize: Int { get }
    /// The number of positions that the model knows; nil without a limit.
    var positionLimit: Int? { get }
    /// The matrices of which a pass reads all rows.
    var matricesOfPasses: [rn_weights] { get }

    /// Returns hidden states [rows, width] of the tokens of a pass, behind the final norm.
    func hidden(_ tokens: UnsafePointer<Int32>, _ pass: Pass) throws -> Rows
    /// Returns logits [rows, V] of hidden states, which may be written.
    func logits(_ hidden: Rows, _ pass: Pass) -> Rows
    /// Throws with what a state of the layout lacks.
    func check(_ storage: StateStorage) throws
    /// Reads all weights; throws with the first tensor that has a value that is not finite.
    func verify() throws
}

/// Runs passes over batches of sequences: worker threads and memory for intermediate values.
///
/// A call takes the next tokens of some sequences, as many of each as there are, and moves their states on. What a
/// sequence gets does not depend on the others of a call, bit for bit. One runner serves one thread at a time; after the
/// first calls nothing is allocated but the caches of attention as they grow.
///
/// ``ModelRunner`` runs language models, ``EncoderDecoderRunner`` the decoders of encoder-decoders.
public class SequenceRunner {
    let passModel: any PassModel
    let pool: OpaquePointer
    let workspace = Workspace()
    let pass: Pass
    private var tokens: [Int32] = []

    /// The longest piece of one sequence that a pass takes.
    ///
    /// Sequences are cut at multiples of it, counted from their first token. A sequence has the same bits however it is cut,
    /// but for RWKV-4, where cuts are equal to rounding.
    public static let pieceLength = 256
    /// The largest number of tokens of a pass that takes a second sequence.
    private static let rowLimit = 512
    /// Logits that are scored and then not needed are this many numbers at a time, so that the caches hold them.
    private static let logitBudget = 1 << 21

    init(_ model: any PassModel, threads: Int, instructionSet: String?) throws {
        guard let pool = rn_pool_create(Int32(clamping: max(1, threads)), instructionSet) else {
            throw RuntimeError.noThreads(
                reason: instructionSet.map { "this processor has no '\($0)'" } ?? "the system gives none")
        }
        passModel = model
        self.pool = pool
        pass = Pass(pool: pool, workspace: workspace)
        for matrix in model.matricesOfPasses { withUnsafePointer(to: matrix) { rn_map_weights(pool, $0) } }
    }

    deinit { rn_pool_destroy(pool) }

    /// The number of threads, the calling one included.
    public var threadCount: Int { Int(rn_pool_thread_count(pool)) }

    /// The instruction set of the kernels.
    public var instructionSet: String { String(cString: rn_pool_instruction_set(pool)) }

    /// Bytes of memory for intermediate values.
    public var workByteCount: Int { workspace.byteCount }

    /// Returns the bytes per second at which all threads together read fresh memory, the best of three times.
    public func readBandwidth(byteCount: Int = 1 << 28) -> Double {
        rn_read_bandwidth(pool, Int64(byteCount), 3)
    }

    /// Reads the next tokens of every sequence and moves its state on; returns the logits that are wanted.
    ///
    /// With ``WantedLogits/all`` the logits of all tokens are in memory at once. Throws ``RuntimeError``, and then leaves
    /// the states of sequences that were read already behind their tokens.
    @discardableResult
    public func read(
        _ sequences: [[Int32]], _ states: inout [SequenceState], logits wanted: WantedLogits = .last
    ) throws -> Logits? {
        try check(sequences, states)
        if case .tails(let counts) = wanted, counts.count != sequences.count {
            throw RuntimeError.wrongState(
                reason: "\(sequences.count) sequences but \(counts.count) numbers of tokens")
        }
        let counts = sequences.indices.map { wanted.count($0, of: sequences[$0].count) }
        guard
            counts.reduce(0, +) > sequences.count
                || sequences.contains(where: { $0.count > Self.pieceLength })
                || sequences.reduce(0, { $0 + $1.count }) > Self.rowLimit
        else {
            let pieces: [Piece] = sequences.indices.map { ($0, 0..<sequences[$0].count) }
            return try logits(pieces, run(pieces, sequences, &states), sequences, counts)
        }
        return try readInPasses(sequences, &states, counts)
    }

    /// Reads one more token of every sequence; the logits are those of the tokens in their order.
    public func step(_ next: [Int32], _ states: inout [SequenceState]) throws -> Logits {
        guard next.count == states.count else {
            throw RuntimeError.wrongState(reason: "\(next.count) tokens but \(states.count) states")
        }
        for token in next { try check(token) }
        prepare()
        for index in next.indices { try add(index, &states, length: 1) }
        tokens.append(contentsOf: next)
        let logits = try passModel.logits(hidden(), pass)
        for index in states.indices { states[index].place = states[index].place.advanced(by: 1) }
        return Logits(logits)
    }

    // MARK: Passes

    /// A part of a sequence that a pass reads.
    typealias Piece = (index: Int, range: Range<Int>)

    /// Reads sequences in as many passes as they need; every pass takes the next piece of as many as fit.
    ///
    /// `use` gets the pieces of each pass and the hidden states of their tokens, one piece's after another's, which are valid
    /// until it returns.
    func readInPasses(
        _ sequences: [[Int32]], _ states: inout [SequenceState],
        _ use: (_ pieces: [Piece], _ hidden: Rows) throws -> Void
    ) throws {
        try check(sequences, states)
        var done = [Int](repeating: 0, count: sequences.count)
        var first = 0
        while first < sequences.count {
            var pieces: [Piece] = []
            var rows = 0
            for index in first..<sequences.count where done[index] < sequences[index].count {
                let length = Self.pieceLength - states[index].place.count % Self.pieceLength
                let end = min(done[index] + length, sequences[index].count)
                guard pieces.isEmpty || rows + end - done[index] <= Self.rowLimit else { continue }
                pieces.append((index, done[index]..<end))
                rows += end - done[index]
                if rows == Self.rowLimit { break }
            }
            try use(pieces, run(pieces, sequences, &states))
            for piece in pieces { done[piece.index] = piece.range.upperBound }
            while first < sequences.count, done[first] == sequences[first].count { first += 1 }
        }
    }

    /// Reads sequences in passes; returns the logits of the last `wanted` tokens of each.
    private func readInPasses(_ sequences: [[Int32]], _ states: inout [SequenceState], _ wanted: [Int]) throws
        -> Logits?
    {
        let size = passModel.vocabularySize
        var starts: [Int] = []
        var total = 0
        for count in wanted {
            starts.append(total)
            total += count
        }
        kept.reserve(total * size)
        try readInPasses(sequences, &states) { pieces, hidden in
            guard let logits = logits(pieces, hidden, sequences, wanted) else { return }
            var row = 0
            for piece in pieces {
                let part = Self.wanted(wanted[piece.index], of: sequences[piece.index], in: piece.range)
                guard !part.isEmpty else { continue }
                let tail = sequences[piece.index].count - wanted[piece.index]
                kept.write(
                    logits, rows: row..<row + part.count, to: starts[piece.index] + part.lowerBound - tail)
                row += part.count
            }
        }
        return total == 0 ? nil : Logits(kept.rows(total, width: size))
    }

    /// Returns the tokens of a piece whose logits are wanted, of the last `count` of a sequence.
    private static func wanted(_ count: Int, of sequence: [Int32], in piece: Range<Int>) -> Range<Int> {
        min(max(piece.lowerBound, sequence.count - count), piece.upperBound)..<piece.upperBound
    }

    /// Runs one pass over pieces of sequences and returns the hidden states of their tokens.
    private func run(_ pieces: [Piece], _ sequences: [[Int32]], _ states: inout [SequenceState]) throws
        -> Rows
    {
        prepare()
        for piece in pieces {
            try add(piece.index, &states, length: piece.range.count)
            tokens.append(contentsOf: sequences[piece.index][piece.range])
        }
        let hidden = try hidden()
        for piece in pieces {
            states[piece.index].place = states[piece.index].place.advanced(by: piece.range.count)
        }
        return hidden
    }

    /// Returns the logits of wanted tokens of a pass, piece by piece; nil if there are none.
    private func logits(_ pieces: [Piece], _ hidden: Rows, _ sequences: [[Int32]], _ wanted: [Int]) -> Logits?
    {
        var rows: [Int] = []
        var start = 0
        for piece in pieces {
            let part = Self.wanted(wanted[piece.index], of: sequences[piece.index], in: piece.range)
            let offset = start - piece.range.lowerBound
            rows.append(contentsOf: (offset + part.lowerBound)..<(offset + part.upperBound))
            start += piece.range.count
        }
        if rows.isEmpty { return nil }
        if rows.count == hidden.count { return Logits(passModel.logits(hidden, pass)) }
        return Logits(passModel.logits(chosen(rows, of: hidden), pass))
    }

    /// Returns copies of some rows, in the work space.
    private func chosen(_ rows: some Collection<Int>, of hidden: Rows) -> Rows {
        let chosen = pass.rows(hidden.width, count: rows.count)
        for (place, row) in rows.enumerated() {
            (chosen.data + place * chosen.width).update(
                from: hidden.data + row * hidden.stride, count: hidden.width)
        }
        return chosen
    }

    /// Calls `use` with the logits of some rows of a pass, as many at a time as stay near, with the place of the first.
    func withLogits(
        of rows: [Int], _ hidden: Rows, _ use: (_ first: Int, _ logits: Rows, _ pool: OpaquePointer) -> Void
    ) {
        let step = max(32, Self.logitBudget / passModel.vocabularySize)
        for first in stride(from: 0, to: rows.count, by: step) {
            let mark = pass.workspace.mark
            let part = rows[first..<min(first + step, rows.count)]
            use(first, passModel.logits(chosen(part, of: hidden), pass), pool)
            pass.workspace.release(to: mark)
        }
    }

    func prepare() {
        pass.clear()
        workspace.reset()
        tokens.removeAll(keepingCapacity: true)
    }

    private func add(_ index: Int, _ states: inout [SequenceState], length: Int) throws {
        let found = states[index].storage.layout
        let layout = passModel.layout
        guard found.signature == layout.signature else {
            throw RuntimeError.wrongState(
                reason:
                    "it has \(found.byteCount) bytes and \(found.caches.count) caches in \(found.type.rawValue),"
                    + " not \(layout.byteCount) and \(layout.caches.count) in \(layout.type.rawValue)")
        }
        try passModel.check(states[index].storage)
        if let limit = passModel.positionLimit {
            let start = states[index].place.position
            let end = start + length
            guard start >= 0, end <= limit else { throw RuntimeError.tooLong(length: end, limit: limit) }
        }
        states[index].makeUnique()
        pass.add(states[index].storage, at: states[index].place, length: length)
    }

    private func hidden() throws -> Rows {
        try tokens.withUnsafeBufferPointer { tokens in
            guard let start = tokens.baseAddress else { throw RuntimeError.emptySequence }
            return try passModel.hidden(start, pass)
        }
    }

    private func check(_ sequences: [[Int32]], _ states: [SequenceState]) throws {
        guard sequences.count == states.count else {
            throw RuntimeError.wrongState(reason: "\(sequences.count) sequences but \(states.count) states")
        }
        guard !sequences.isEmpty, !sequences.contains(where: \.isEmpty) else {
            throw RuntimeError.emptySequence
        }
        for sequence in sequences { for token in sequence { try check(token) } }
    }

    private func check(_ token: Int32) throws {
        let size = passModel.vocabularySize
        guard token >= 0, Int(token) < size else {
            throw RuntimeError.unknownToken(Int(token), vocabularySize: size)
        }
    }

    /// Logits of several passes.
    private let kept = KeptLogits()

    private final class KeptLogits {
        private var memory = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
        deinit { memory.deallocate() }

        func reserve(_ count: Int) {
            guard count > memory.count else { return }
            memory.deallocate()
            memory = .allocate(capacity: count)
        }

        func write(_ logits: Logits, rows: Range<Int>, to place: Int) {
            for (offset, row) in rows.enumerated() {
                let start = (place + offset) * logits.vocabularySize
                _ = memory[start..<start + logits.vocabularySize].update(fromContentsOf: logits[row])
            }
        }

        func rows(_ count: Int, width: Int) -> Rows {
            // Never empty: the caller wants at least one row.
            Rows(memory.baseAddress ?? .allocate(capacity: 1), count: count, width: width)
        }
    }
}

extension SequenceRunner {
    /// The number of processor cores that are available.
    public static var defaultThreadCount: Int { ProcessInfo.processInfo.activeProcessorCount }
}

/// Runs a language model over batches of sequences.
public final class ModelRunner: SequenceRunner {
    /// The model.
    public let model: RuntimeModel

    /// A runner with worker threads, by default one per processor core, the calling one included.
    ///
    /// `instructionSet` is for tests; by default the best one that the processor has. Throws ``RuntimeError/noThreads(reason:)``.
    public init(
        _ model: RuntimeModel, threads: Int = SequenceRunner.defaultThreadCount, instructionSet: String? = nil
    ) throws {
        self.model = model
        try super.init(model, threads: threads, instructionSet: instructionSet)
    }
}
