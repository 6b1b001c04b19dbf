import Foundation

/// Examples of several tasks for encoder-decoders, drawn at random in given shares.
///
/// Each task's examples come in a random order that changes every epoch, each once per epoch. With packing, a row takes
/// examples until the next one does not fit, which then begins the following row; segments keep them apart.
public struct TextToTextMixture: TextToTextSource {
    /// The examples of one task.
    public struct Task: Sendable {
        /// The name of the task.
        public let name: String
        /// All examples, none of them empty on either side.
        public let examples: [EncodedExample]

        /// Creates a task.
        public init(name: String, examples: [EncodedExample]) {
            self.name = name
            self.examples = examples
        }
    }

    /// The tasks.
    public let tasks: [Task]
    /// The probability of each task; the sum is 1.
    public let shares: [Double]
    /// The number of rows of a batch.
    public let rowCount: Int
    /// The capacity of a row in source tokens.
    public let inputLength: Int
    /// The capacity of a row in target tokens.
    public let targetLength: Int
    /// True if a row contains as many examples as fit into it; otherwise one.
    public let isPacked: Bool
    /// The multiple at which sources in a packed row begin, for encoders that process tokens in groups.
    public let alignment: Int
    /// The seed of the order.
    public let seed: UInt64
    private let fingerprint: UInt32
    private let exampleCount: Int
    private var drawCount = 0
    private var positions: [Position]

    /// The position in one task.
    private struct Position {
        let count: Int
        let seed: UInt64
        var epoch: Int
        var index = 0
        var order: IndexPermutation

        init(count: Int, seed: UInt64, epoch: Int) {
            self.count = count
            self.seed = seed
            self.epoch = epoch
            var generator = SeededGenerator(seed: seed, stream: UInt64(truncatingIfNeeded: epoch) &+ 1)
            order = IndexPermutation(count: count, generator: &generator)
        }

        mutating func next() -> Int {
            let example = order(index)
            index += 1
            if index >= count { self = Position(count: count, seed: seed, epoch: epoch + 1) }
            return example
        }
    }

    /// Creates the source at the start of the first epoch of every task.
    ///
    /// Throws `TextError.invalidArgument` without examples, for an example that is empty or too long for a row, and
    /// for invalid shapes and shares.
    public init(
        tasks: [Task], shares: [Double], rowCount: Int, inputLength: Int, targetLength: Int,
        isPacked: Bool, alignment: Int = 1, seed: UInt64
    ) throws {
        try BatchBuilder.check(rowCount: rowCount, length: max(inputLength, targetLength))
        guard !tasks.isEmpty, tasks.allSatisfy({ !$0.examples.isEmpty && $0.examples.count < 1 << 31 }) else {
            throw TextError.invalidArgument(name: "tasks", reason: "every task needs at least one example")
        }
        guard shares.count == tasks.count, shares.allSatisfy({ $0 >= 0 && $0.isFinite }),
            abs(shares.reduce(0, +) - 1) < 1e-6
        else {
            throw TextError.invalidArgument(
                name: "shares", reason: "there must be one per task, with the sum 1")
        }
        for task in tasks {
            for (index, example) in task.examples.enumerated() {
                let lengths = (example.source.count, example.target.count)
                guard (1...inputLength).contains(lengths.0), (1...targetLength).contains(lengths.1) else {
                    throw TextError.invalidArgument(
                        name: "examples of \(task.name)",
                        reason:
                            "number \(index) has \(lengths.0) source and \(lengths.1) target tokens, but a"
                            + " row has room for 1 to \(inputLength) and 1 to \(targetLength)")
                }
            }
        }
        self.tasks = tasks
        self.shares = shares
        self.rowCount = rowCount
        self.inputLength = inputLength
        self.targetLength = targetLength
        self.isPacked = isPacked
        self.alignment = max(1, alignment)
        self.seed = seed
        fingerprint = Self.checksum(tasks)
        exampleCount = tasks.reduce(0) { $0 + $1.examples.count }
        positions = tasks.indices.map {
            Position(count: tasks[$0].examples.count, seed: seed &+ UInt64($0), epoch: 0)
        }
    }

    private static func checksum(_ tasks: [Task]) -> UInt32 {
        tasks.reduce(0) { sum, task in
            task.examples.reduce(TokenStream.checksum(identity: task.name, numbers: [Int(sum)])) {
                sum, example in
                let tokens = example.source.map { Int($0) } + [-1] + example.target.map { Int($0) }
                return TokenStream.checksum(identity: "", numbers: [Int(sum)] + tokens)
            }
        }
    }

    /// The capacity of a batch in source and target tokens.
    public var tokensPerBatch: Int { rowCount * (inputLength + targetLength) }
    /// The capacity of a batch in target tokens.
    public var targetsPerBatch: Int { rowCount * targetLength }
    /// The largest number of completed passes over the examples of any task.
    public var epoch: Int { positions.reduce(0) { max($0, $1.epoch) } }

    /// The approximate number of batches with as many examples as all tasks have together.
    public var batchesPerEpoch: Double {
        guard isPacked else { return Double(exampleCount) / Double(rowCount) }
        func mean(_ side: (EncodedExample) -> Int) -> Double {
            zip(tasks, shares).reduce(0) { sum, pair in
                let total = pair.0.examples.reduce(0) { $0 + side($1) }
                return sum + pair.1 * Double(total) / Double(pair.0.examples.count)
            }
        }
        let perRow = min(
            Double(inputLength) / max(1, mean { $0.source.count }),
            Double(targetLength) / max(1, mean { $0.target.count }))
        return Double(exampleCount) / (max(1, perRow) * Double(rowCount))
    }

    // MARK: Batches

    /// Returns the next batch.
    public mutating func next() throws -> TextToTextBatch {
        var batch = TextToTextBatch()
        for _ in 0..<rowCount {
            var row = [draw()]
            var (sources, targets) = (row[0].source.count, row[0].target.count)
            while isPacked {
                let before = (drawCount, positions)
                let example = draw()
                sources += TextToTextBatch.gap(after: sources, alignment: alignment) + example.source.count
                targets += example.target.count
                guard sources <= inputLength, targets <= targetLength else {
                    (drawCount, positions) = before
                    break
                }
                row.append(example)
            }
            batch.addRow(row, alignment: alignment)
        }
        return batch
    }

    private mutating func draw() -> EncodedExample {
        var generator = SeededGenerator(
            seed: seed ^ 0x6472_6177, stream: UInt64(truncatingIfNeeded: drawCount) &+ 1)
        drawCount += 1
        var rest = generator.unitDouble()
        var task = shares.lastIndex { $0 > 0 } ?? 0
        for (index, share) in shares.enumerated() {
            if rest < share {
                task = index
                break
            }
            rest -= share
        }
        return tasks[task].examples[positions[task].next()]
    }

    // MARK: State

    /// The position in the data.
    public var state: BatchSourceState {
        BatchSourceState(
            kind: "mixture\(isPacked ? "+packed \(alignment)" : "") \(shares) \(targetLength)",
            fingerprint: fingerprint,
            tokenCount: exampleCount, rowCount: rowCount, length: inputLength, seed: seed, epoch: epoch,
            index: drawCount, rows: positions.map { .init(piece: $0.epoch, offset: $0.index) })
    }

    /// Moves to a saved position; throws `TextError.stateMismatch` if it belongs to other data or settings.
    public mutating func restore(_ state: BatchSourceState) throws {
        try state.check(belongsWith: self.state)
        guard state.index >= 0,
            zip(state.rows, tasks).allSatisfy({ row, task in
                (0...Int(Int32.max)).contains(row.piece) && task.examples.indices.contains(row.offset)
            })
        else {
            throw TextError.stateMismatch(reason: "its position in the examples is out of range")
        }
        drawCount = state.index
        for (index, row) in state.rows.enumerated() {
            positions[index] = Position(
                count: tasks[index].examples.count, seed: seed &+ UInt64(index), epoch: row.piece)
            positions[index].index = row.offset
        }
    }
}

// MARK: Shares

extension TextToTextMixture {
    /// Returns the shares of tasks of different sizes: min(size, limit)^(1/temperature), normalized to the sum 1.
    ///
    /// A temperature of 1 draws in proportion to size; higher ones bring the shares closer to each other. Source: Raffel
    /// et al., arXiv 1910.10683, section 3.5.2.
    public static func shares(sizes: [Int], limit: Int? = nil, temperature: Double = 1) -> [Double] {
        let weights = sizes.map { pow(Double(min($0, limit ?? $0)), 1 / max(temperature, 1e-6)) }
        let sum = weights.reduce(0, +)
        return sum > 0 ? weights.map { $0 / sum } : weights
    }
}
