import RetNetLayers
import RetNetText
import RetNetTorch

/// The part of every step that one of several ranks computes.
///
/// Every rank draws the batches of the whole step, which costs next to nothing, and computes its part of them: whole
/// passes where their number can be divided and no row carries a state, otherwise its rows of every pass. So the data, its
/// order and the weight of every target are those of one rank.
public struct BatchShare: Sendable, Equatable {
    /// The number of this rank.
    public var rank: Int
    /// The number of ranks.
    public var count: Int

    /// The share of one of several ranks.
    public init(rank: Int, count: Int) {
        self.rank = rank
        self.count = max(1, count)
    }

    /// Everything.
    public static let whole = BatchShare(rank: 0, count: 1)

    /// Returns this rank's rows of a pass; the first ranks have one more where the number cannot be divided.
    public func rows(of rowCount: Int) -> Range<Int> {
        let (least, rest) = rowCount.quotientAndRemainder(dividingBy: count)
        let start = rank * least + min(rank, rest)
        return start..<start + least + (rank < rest ? 1 : 0)
    }

    /// Returns this rank's part of the passes of a step; with `keepsRows`, a row stays on its rank from step to step.
    func parts<Pass>(_ passes: [Pass], keepsRows: Bool, slice: (Pass, BatchShare) -> Pass) -> [Pass] {
        if count == 1 { return passes }
        if dividesPasses(passes.count, keepsRows: keepsRows) {
            let size = passes.count / count
            return Array(passes[rank * size..<(rank + 1) * size])
        }
        return passes.map { slice($0, self) }
    }

    private func dividesPasses(_ passCount: Int, keepsRows: Bool) -> Bool {
        !keepsRows && passCount % count == 0
    }

    /// Throws ``TrainingError/tooManyRanks(rankCount:rowCount:)`` if a rank would have nothing to compute.
    func check(passCount: Int, rowCount: Int, keepsRows: Bool) throws {
        guard count == 1 || dividesPasses(passCount, keepsRows: keepsRows) || rowCount >= count else {
            throw TrainingError.tooManyRanks(rankCount: count, rowCount: rowCount)
        }
    }
}

/// What the passes of one step need.
public struct StepPasses {
    /// The passes of the step, those of all ranks together.
    public var count: Int
    /// The source of dropout's random numbers.
    public var generator: Generator
    /// The part of them that this rank computes.
    public var share = BatchShare.whole
    /// The ranks that have the other parts of the sequences of these rows; nil where this rank has all of them.
    public var sequence: (any RankGroup)?
    /// Called before the last backward pass of this rank.
    public var beforeLastBackward: () -> Void = {}

    /// All passes of a step.
    public init(count: Int, generator: Generator) {
        self.count = count
        self.generator = generator
    }

    /// Returns this rank's part of sequences of some length, nil for all of them; throws ``TrainingError`` where they are too short.
    func part(ofSequencesOf length: Int) throws -> SequencePart? {
        guard let sequence else { return nil }
        guard let part = SequencePart(of: length, on: sequence) else {
            throw TrainingError.unsuitableMesh(
                mesh: "sequence=\(sequence.count)",
                reason: "a window of \(length) tokens cannot be divided over \(sequence.count) ranks")
        }
        return part
    }
}
