import Foundation
import RetNetEvaluation
import RetNetInference
import RetNetKernels
import RetNetRuntime
import RetNetText

/// An engine that scores the requests of zero- and few-shot tasks.
public protocol ScoringEngine: LanguageEngine {
    /// Returns a scorer of requests; throws the errors of the engine.
    func scorer(_ options: LogLikelihoodScorer.Options) throws -> any RequestScorer
}

extension RuntimeEngine: ScoringEngine {
    /// Returns a scorer whose rows need no padding.
    public func scorer(_ options: LogLikelihoodScorer.Options) throws -> any RequestScorer {
        RuntimeScorer(runner, options: options)
    }
}

/// The scoring of continuations by the runtime.
///
/// The inputs that the requests of a question share are read once; the state after them is a value, of which every request gets
/// a copy. Rows of all lengths go through the model together without padding, and a row gets the same bits whatever the others
/// are. Logits are computed where a token is scored. Log-probabilities are added in float64.
struct RuntimeScorer: RequestScorer {
    private let runner: ModelRunner
    private let options: LogLikelihoodScorer.Options

    /// The states of a batch may take this many bytes.
    private static let stateBudget = 1 << 28
    /// The logits of a call may take this many numbers, unless one piece of a row has more.
    private static let logitBudget = 1 << 24
    /// Fewer shared inputs are not worth a pass of their own.
    private static let shortestShared = 4

    init(_ runner: ModelRunner, options: LogLikelihoodScorer.Options) {
        self.runner = runner
        self.options = options
    }

    func score(
        _ questions: [[ScoringRequest]], cost: inout ScoringCost,
        progress: (_ finished: [(request: Int, answer: RequestScore)]) throws -> Bool
    ) throws -> [[RequestScore?]] {
        let start = ContinuousClock.now
        let processorStart = clock()
        defer {
            cost.seconds += (ContinuousClock.now - start) / .seconds(1)
            cost.processorSeconds += Double(clock() - processorStart) / Double(CLOCKS_PER_SEC)
        }
        let size = runner.model.configuration.vocabularySize
        for request in questions.lazy.joined() {
            cost.separateTokenCount += request.inputs.count
            if let bad = (request.inputs + request.targets).first(where: { $0 < 0 || Int($0) >= size }) {
                throw EvaluationError.tokenOutOfRange(token: Int(bad), vocabularySize: size)
            }
        }
        var sums = Sums(questions.lazy.joined().map(\.targets.count))
        var wasFinite = true
        for batch in batches(questions) {
            try run(batch, &sums, &cost)
            // Damaged weights are named once.
            if wasFinite, !sums.areFinite {
                wasFinite = false
                try runner.model.verify()
            }
            guard try progress(sums.takeFinished()) else { break }
        }
        var scores = sums.scores[...]
        return questions.map { requests in
            defer { scores = scores.dropFirst(requests.count) }
            return Array(scores.prefix(requests.count))
        }
    }

    // MARK: Rows

    /// A token to score behind the input at `position` of a row.
    private struct Score {
        var position: Int
        var target: Int32
        var request: Int
    }

    /// Inputs to read, with what is scored at places counted from the first of them.
    private struct Row {
        var inputs: [Int32]
        var scores: [Score]

        /// The part of the row between two places.
        func part(_ range: Range<Int>) -> Row {
            Row(
                inputs: Array(inputs[range]),
                scores: scores.filter { range.contains($0.position) }.map {
                    Score(
                        position: $0.position - range.lowerBound, target: $0.target, request: $0.request)
                })
        }

        /// The number of last inputs behind which something is scored.
        var tail: Int { scores.map { inputs.count - $0.position }.max() ?? 0 }
    }

    /// The rows of a question, of which one reads for several requests where their inputs begin alike.
    private struct Question {
        var rows: [Row]
        /// First inputs that all rows share; 0 where they are too few to read them apart.
        var sharedCount: Int

        var tokenCount: Int {
            sharedCount + rows.reduce(0) { $0 + $1.inputs.count - sharedCount }
        }
    }

    /// Divides questions into batches whose states and tokens fit into memory.
    private func batches(_ questions: [[ScoringRequest]]) -> [[Question]] {
        let stateBytes = max(1, runner.model.initialState().byteCount)
        var (batches, open, states, tokens): ([[Question]], [Question], Int, Int) = ([], [], 0, 0)
        var number = 0
        for requests in questions {
            let rows = requests.map { request in
                defer { number += 1 }
                let first = request.inputs.count - request.targets.count
                return Row(
                    inputs: request.inputs,
                    scores: request.targets.enumerated().map {
                        Score(position: first + $0.offset, target: $0.element, request: number)
                    })
            }
            let parts =
                options.sharing == .beginnings
                ? [Self.question(rows)] : rows.map { Question(rows: [$0], sharedCount: 0) }
            for part in parts where !part.rows.isEmpty {
                let count = part.rows.count + (part.sharedCount > 0 ? 1 : 0)
                let isFull =
                    options.sharing == .nothing || (states + count) * stateBytes > Self.stateBudget
                    || tokens + part.tokenCount > options.tokensPerPass
                if isFull, !open.isEmpty {
                    batches.append(open)
                    (open, states, tokens) = ([], 0, 0)
                }
                open.append(part)
                states += count
                tokens += part.tokenCount
            }
        }
        if !open.isEmpty { batches.append(open) }
        return batches
    }

    private static func question(_ requests: [Row]) -> Question {
        var rows: [Row] = []
        for row in requests.sorted(by: { $0.inputs.count > $1.inputs.count }) {
            if let index = rows.firstIndex(where: { $0.inputs.starts(with: row.inputs) }) {
                rows[index].scores += row.scores
            } else {
                rows.append(row)
            }
        }
        guard rows.count > 1, let first = rows.first else { return Question(rows: rows, sharedCount: 0) }
        let shared = rows.dropFirst().reduce(first.inputs.count) { shared, row in
            min(shared, zip(first.inputs, row.inputs).prefix { $0 == $1 }.count)
        }
        return Question(rows: rows, sharedCount: shared >= shortestShared ? shared : 0)
    }

    // MARK: Passes

    private func run(_ batch: [Question], _ sums: inout Sums, _ cost: inout ScoringCost) throws {
        let forked = batch.filter { $0.sharedCount > 0 }
        // All rows of a question begin with the same inputs; its first row reads them for all.
        var shared = forked.map { question in
            var row = question.rows[0].part(0..<question.sharedCount)
            for other in question.rows.dropFirst() {
                row.scores += other.part(0..<question.sharedCount).scores
            }
            return (row: row, state: runner.model.initialState())
        }
        try run(&shared, &sums, &cost)
        var rows: [(row: Row, state: SequenceState)] = []
        var next = 0
        for question in batch {
            let state = question.sharedCount > 0 ? shared[next].state : runner.model.initialState()
            if question.sharedCount > 0 { next += 1 }
            for row in question.rows where row.inputs.count > question.sharedCount {
                rows.append((row: row.part(question.sharedCount..<row.inputs.count), state: state))
            }
        }
        // Copies of a state share its memory as long as nobody else holds it.
        shared = []
        try run(&rows, &sums, &cost)
    }

    /// Reads rows from their states, in calls whose logits fit into memory.
    private func run(
        _ rows: inout [(row: Row, state: SequenceState)], _ sums: inout Sums, _ cost: inout ScoringCost
    ) throws {
        let limit = max(
            ModelRunner.pieceLength, Self.logitBudget / runner.model.configuration.vocabularySize)
        var open: [Int] = []
        var count = 0
        for index in rows.indices {
            let tail = rows[index].row.tail
            if !open.isEmpty, count + tail > limit {
                try read(open, &rows, &sums, &cost)
                (open, count) = ([], 0)
            }
            if tail > limit {
                try readLong(index, by: limit, &rows, &sums, &cost)
            } else {
                open.append(index)
                count += tail
            }
        }
        if !open.isEmpty { try read(open, &rows, &sums, &cost) }
    }

    /// Reads a row that is scored at many places in parts, which end where the runner's pieces do.
    private func readLong(
        _ index: Int, by limit: Int, _ rows: inout [(row: Row, state: SequenceState)], _ sums: inout Sums,
        _ cost: inout ScoringCost
    ) throws {
        let row = rows[index].row
        let length = limit / ModelRunner.pieceLength * ModelRunner.pieceLength
        for start in stride(from: 0, to: row.inputs.count, by: length) {
            rows[index].row = row.part(start..<min(start + length, row.inputs.count))
            try read([index], &rows, &sums, &cost)
        }
        rows[index].row = row
    }

    private func read(
        _ indices: [Int], _ rows: inout [(row: Row, state: SequenceState)], _ sums: inout Sums,
        _ cost: inout ScoringCost
    ) throws {
        let tokens = indices.map { rows[$0].row.inputs }
        let tails = indices.map { rows[$0].row.tail }
        var states = indices.map { rows[$0].state }
        let empty = runner.model.initialState()
        for index in indices { rows[index].state = empty }
        let logits = try runner.read(tokens, &states, logits: .tails(tails))
        cost.tokenCount += tokens.reduce(0) { $0 + $1.count }
        var place = 0
        for (order, index) in indices.enumerated() {
            rows[index].state = states[order]
            let first = rows[index].row.inputs.count - tails[order]
            if let logits {
                for score in rows[index].row.scores {
                    sums.add(score.request, score.target, logits[place + score.position - first])
                }
            }
            place += tails[order]
        }
    }

    /// The sums of log-probabilities of requests.
    private struct Sums {
        private var sums: [Double]
        private var greedy: [Bool]
        private var missing: [Int]
        private var finished: [Int] = []

        init(_ counts: [Int]) {
            sums = [Double](repeating: 0, count: counts.count)
            greedy = [Bool](repeating: true, count: counts.count)
            missing = counts
        }

        mutating func add(_ request: Int, _ target: Int32, _ logits: UnsafeBufferPointer<Float>) {
            guard let start = logits.baseAddress, logits.indices.contains(Int(target)) else { return }
            let count = Int64(logits.count)
            sums[request] += Double(logits[Int(target)]) - Double(rn_log_sum(start, count))
            // Of equal logits the first is the model's choice.
            if rn_largest(start, count) != Int64(target) { greedy[request] = false }
            missing[request] -= 1
            if missing[request] == 0 { finished.append(request) }
        }

        var areFinite: Bool { sums.allSatisfy(\.isFinite) }

        /// Returns the answers that were finished since the last time.
        mutating func takeFinished() -> [(request: Int, answer: RequestScore)] {
            defer { finished = [] }
            return finished.map {
                ($0, RequestScore(logLikelihood: sums[$0], isGreedy: greedy[$0]))
            }
        }

        /// The answers; nil for requests that lack tokens.
        var scores: [RequestScore?] {
            sums.indices.map {
                missing[$0] == 0 ? RequestScore(logLikelihood: sums[$0], isGreedy: greedy[$0]) : nil
            }
        }
    }
}
