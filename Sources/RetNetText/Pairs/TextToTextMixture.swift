/// Examples of several tasks, drawn at random by their shares, each task's own in random order.
///
/// Every example of a task is handed out once before any comes again. With packing, a row takes examples until the next
/// one does not fit, which then begins the following row; segments keep them apart.
public struct TextToTextMixture: TextToTextSource {
    /// The tasks.
    public let sets: [TextToTextSet]
    /// How often each task is drawn; they add up to 1.
    public let shares: [Double]
    /// The number of rows of a batch.
    public let rowCount: Int
    /// The number of source tokens that a row has room for.
    public let inputLength: Int
    /// The number of target tokens that a row has room for.
    public let targetLength: Int
    /// Whether a row holds as many examples as fit into it, or only one.
    public let isPacked: Bool
    /// Sources in a packed row begin at multiples of this, as encoders need it that see tokens in groups.
    public let alignment: Int
    /// The seed of the order.
    public let seed: UInt64
    private let fingerprint: UInt32
    private let exampleCount: Int
    private var drawCount = 0
    private var places: [Place]

    /// Where a task stands.
    private struct Place {
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
            if index >= count { self = Place(count: count, seed: seed, epoch: epoch + 1) }
            return example
        }
    }

    /// Creates the source at the start of the first epoch of every task.
    ///
    /// Throws `TextError.invalidArgument` without examples, for an example that is empty or too long for a row, and
    /// for impossible shapes and shares.
    public init(
        sets: [TextToTextSet], shares: [Double], rowCount: Int, inputLength: Int, targetLength: Int,
        isPacked: Bool, alignment: Int = 1, seed: UInt64
    ) throws {
        try BatchBuilder.check(rowCount: rowCount, length: max(inputLength, targetLength))
        guard !sets.isEmpty, sets.allSatisfy({ !$0.examples.isEmpty && $0.examples.count < 1 << 31 }) else {
            throw TextError.invalidArgument(name: "tasks", reason: "every task needs examples")
        }
        guard shares.count == sets.count, shares.allSatisfy({ $0 >= 0 && $0.isFinite }),
            abs(shares.reduce(0, +) - 1) < 1e-6
        else {
            throw TextError.invalidArgument(
                name: "shares", reason: "they are not one a task, or do not add up to 1")
        }
        for set in sets {
            for (index, example) in set.examples.enumerated() {
                let lengths = (example.source.count, example.target.count)
                guard (1...inputLength).contains(lengths.0), (1...targetLength).contains(lengths.1) else {
                    throw TextError.invalidArgument(
                        name: "examples of \(set.name)",
                        reason:
                            "number \(index) has \(lengths.0) source and \(lengths.1) target tokens, and a"
                            + " row has room for \(inputLength) and \(targetLength)")
                }
            }
        }
        self.sets = sets
        self.shares = shares
        self.rowCount = rowCount
        self.inputLength = inputLength
        self.targetLength = targetLength
        self.isPacked = isPacked
        self.alignment = max(1, alignment)
        self.seed = seed
        fingerprint = Self.checksum(sets)
        exampleCount = sets.reduce(0) { $0 + $1.examples.count }
        places = sets.indices.map {
            Place(count: sets[$0].examples.count, seed: seed &+ UInt64($0), epoch: 0)
        }
    }

    private static func checksum(_ sets: [TextToTextSet]) -> UInt32 {
        sets.reduce(0) { sum, set in
            set.examples.reduce(TokenStream.checksum(identity: set.name, numbers: [Int(sum)])) {
                sum, example in
                let tokens = example.source.map { Int($0) } + [-1] + example.target.map { Int($0) }
                return TokenStream.checksum(identity: "", numbers: [Int(sum)] + tokens)
            }
        }
    }

    /// The number of source and target tokens that a batch has room for.
    public var tokensPerBatch: Int { rowCount * (inputLength + targetLength) }
    /// The number of targets that a batch has room for.
    public var targetsPerBatch: Int { rowCount * targetLength }
    /// How many times the task that was seen most often has been handed out.
    public var epoch: Int { places.reduce(0) { max($0, $1.epoch) } }

    /// The number of batches, about, in which as many examples are drawn as all tasks have together.
    public var batchesPerEpoch: Double {
        guard isPacked else { return Double(exampleCount) / Double(rowCount) }
        func mean(_ side: (TokenPair) -> Int) -> Double {
            zip(sets, shares).reduce(0) { sum, pair in
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

    /// The next batch.
    public mutating func next() throws -> TextToTextBatch {
        var batch = TextToTextBatch()
        for _ in 0..<rowCount {
            var row = [draw()]
            var (sources, targets) = (row[0].source.count, row[0].target.count)
            while isPacked {
                let before = (drawCount, places)
                let example = draw()
                sources += TextToTextBatch.gap(after: sources, alignment: alignment) + example.source.count
                targets += example.target.count
                guard sources <= inputLength, targets <= targetLength else {
                    (drawCount, places) = before
                    break
                }
                row.append(example)
            }
            batch.addRow(row, alignment: alignment)
        }
        return batch
    }

    private mutating func draw() -> TokenPair {
        var generator = SeededGenerator(
            seed: seed ^ 0x6472_6177, stream: UInt64(truncatingIfNeeded: drawCount) &+ 1)
        drawCount += 1
        var rest = generator.unitDouble()
        var set = shares.lastIndex { $0 > 0 } ?? 0
        for (index, share) in shares.enumerated() {
            if rest < share {
                set = index
                break
            }
            rest -= share
        }
        return sets[set].examples[places[set].next()]
    }

    // MARK: State

    /// The place in the data.
    public var state: BatchSourceState {
        BatchSourceState(
            kind: "mixture\(isPacked ? "+packed \(alignment)" : "") \(shares) \(targetLength)",
            fingerprint: fingerprint,
            tokenCount: exampleCount, rowCount: rowCount, length: inputLength, seed: seed, epoch: epoch,
            index: drawCount, rows: places.map { .init(piece: $0.epoch, offset: $0.index) })
    }

    /// Goes to a saved place; throws `TextError.stateMismatch` if it belongs to other data or settings.
    public mutating func restore(_ state: BatchSourceState) throws {
        try state.check(belongsWith: self.state)
        guard state.index >= 0,
            zip(state.rows, sets).allSatisfy({ row, set in
                (0...Int(Int32.max)).contains(row.piece) && set.examples.indices.contains(row.offset)
            })
        else {
            throw TextError.stateMismatch(reason: "its place in the examples is impossible")
        }
        drawCount = state.index
        for (index, row) in state.rows.enumerated() {
            places[index] = Place(
                count: sets[index].examples.count, seed: seed &+ UInt64(index), epoch: row.piece)
            places[index].index = row.offset
        }
    }
}
