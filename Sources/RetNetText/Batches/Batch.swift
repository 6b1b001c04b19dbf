/// The input of one training or evaluation step of a language model: rows of tokens with their next tokens.
///
/// Made by the sources of batches (``ShuffledWindows``, ``ContiguousWindows``) and by ``EvaluationWindows``.
public struct Batch: Hashable, Sendable {
    /// The target at positions without a prediction: -100.
    public static let ignoredTarget: Int32 = -100

    /// The number of rows (B).
    public let rowCount: Int
    /// The number of tokens of each row (T).
    public let length: Int
    /// The input tokens, row after row [B, T].
    public let tokens: [Int32]
    /// The token after each input, or `ignoredTarget` [B, T].
    public let targets: [Int32]
    /// For each row, true if the carried state has to be reset before this batch [B].
    public let resets: [Bool]
    /// For each row, the positions at which a document or a piece of one starts, in order [B].
    ///
    /// Position 0 is listed only if a start falls on it; `resets` says whether to reset the state there.
    public let documentStarts: [[Int]]
    /// The bytes of source text of all targets that are not ignored; `nil` for tokens without a text, or if the token
    /// file does not say.
    public let targetByteCount: Int?

    /// Creates rows without a carried state from B times T tokens and targets each, for generated tokens without a text.
    public init(rowCount: Int, length: Int, tokens: [Int32], targets: [Int32]) {
        self.init(
            rowCount: rowCount, length: length, tokens: tokens, targets: targets,
            resets: Array(repeating: true, count: rowCount),
            documentStarts: Array(repeating: [0], count: rowCount), targetByteCount: nil)
    }

    init(
        rowCount: Int, length: Int, tokens: [Int32], targets: [Int32], resets: [Bool],
        documentStarts: [[Int]], targetByteCount: Int?
    ) {
        self.rowCount = rowCount
        self.length = length
        self.tokens = tokens
        self.targets = targets
        self.resets = resets
        self.documentStarts = documentStarts
        self.targetByteCount = targetByteCount
    }

    /// Returns some of the rows; the bytes of their targets are not known.
    public func rows(_ range: Range<Int>) -> Batch {
        let range = range.clamped(to: 0..<rowCount)
        let places = range.lowerBound * length..<range.upperBound * length
        return Batch(
            rowCount: range.count, length: length, tokens: Array(tokens[places]),
            targets: Array(targets[places]), resets: Array(resets[range]),
            documentStarts: Array(documentStarts[range]), targetByteCount: nil)
    }

    /// Returns some of the positions of all rows; the bytes of their targets are not known.
    public func positions(_ range: Range<Int>) -> Batch {
        let range = range.clamped(to: 0..<length)
        func slice(_ values: [Int32]) -> [Int32] {
            (0..<rowCount).flatMap { row in
                values[row * length + range.lowerBound..<row * length + range.upperBound]
            }
        }
        return Batch(
            rowCount: rowCount, length: range.count, tokens: slice(tokens), targets: slice(targets),
            resets: resets,
            documentStarts: documentStarts.map { starts in
                starts.filter(range.contains).map { $0 - range.lowerBound }
            }, targetByteCount: nil)
    }

    /// The number of targets that are not ignored.
    public var targetCount: Int {
        targets.reduce(0) { $0 + ($1 == Self.ignoredTarget ? 0 : 1) }
    }
}

/// Assembles a batch row by row.
struct BatchBuilder {
    private let length: Int
    private let paddingToken: Int32
    private var tokens: [Int32] = []
    private var targets: [Int32] = []
    private var resets: [Bool] = []
    private var documentStarts: [[Int]] = []
    private var targetByteCount: Int? = 0

    init(rowCount: Int, length: Int, paddingToken: Int32) {
        self.length = length
        self.paddingToken = paddingToken
        tokens.reserveCapacity(rowCount * length)
        targets.reserveCapacity(rowCount * length)
    }

    /// Adds a row, padded to the length; `byteCount` is that of its targets that are not ignored.
    mutating func add(
        tokens row: some Collection<Int32>, targets rowTargets: some Collection<Int32>, resets isReset: Bool,
        documentStarts starts: [Int], byteCount: Int?
    ) {
        tokens.append(contentsOf: row)
        targets.append(contentsOf: rowTargets)
        tokens.append(contentsOf: repeatElement(paddingToken, count: length - row.count))
        targets.append(contentsOf: repeatElement(Batch.ignoredTarget, count: length - rowTargets.count))
        resets.append(isReset)
        documentStarts.append(starts)
        targetByteCount = targetByteCount.flatMap { sum in byteCount.map { sum + $0 } }
    }

    func batch() -> Batch {
        Batch(
            rowCount: resets.count, length: length, tokens: tokens, targets: targets, resets: resets,
            documentStarts: documentStarts, targetByteCount: targetByteCount)
    }

    /// Throws `TextError.invalidArgument` if a batch cannot have this shape.
    static func check(rowCount: Int, length: Int) throws {
        guard rowCount > 0 else {
            throw TextError.invalidArgument(
                name: "rowCount", reason: "\(rowCount) is out of range; use at least 1")
        }
        guard length > 0 else {
            throw TextError.invalidArgument(
                name: "length", reason: "\(length) is out of range; use at least 1")
        }
        let (count, overflows) = rowCount.multipliedReportingOverflow(by: length)
        guard !overflows, count <= Int(Int32.max) else {
            throw TextError.invalidArgument(
                name: "rowCount",
                reason:
                    "\(rowCount) rows of \(length) tokens exceed \(Int32.max) tokens; use fewer or shorter rows"
            )
        }
    }
}
