import RetNetEvaluation
import RetNetInference
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

    init(_ runner: ModelRunner, options: LogLikelihoodScorer.Options) {
        self.runner = runner
        self.options = options
    }

    func score(
        _ questions: [[ScoringRequest]], cost: inout ScoringCost,
        progress: (_ finished: [(request: Int, answer: RequestScore)]) throws -> Bool
    ) throws -> [[RequestScore?]] {
        try cost.time { cost in try score(questions, &cost, progress) }
    }

    private func score(
        _ questions: [[ScoringRequest]], _ cost: inout ScoringCost,
        _ progress: ([(request: Int, answer: RequestScore)]) throws -> Bool
    ) throws -> [[RequestScore?]] {
        let size = runner.model.configuration.vocabularySize
        for request in questions.lazy.joined() {
            cost.separateTokenCount += request.inputs.count
            if let bad = (request.inputs + request.targets).first(where: { $0 < 0 || Int($0) >= size }) {
                throw EvaluationError.tokenOutOfRange(token: Int(bad), vocabularySize: size)
            }
        }
        var sums = ScoreSums(questions)
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
        return sums.answers(to: questions)
    }

    // MARK: Rows

    /// Divides questions into batches whose states and tokens fit into memory.
    private func batches(_ questions: [[ScoringRequest]]) -> [[ScoringQuestion]] {
        let stateBytes = max(1, runner.model.initialState().byteCount)
        var (batches, open, states, tokens): ([[ScoringQuestion]], [ScoringQuestion], Int, Int) = (
            [], [], 0, 0
        )
        var number = 0
        for requests in questions {
            let rows = requests.map { request in
                defer { number += 1 }
                return ScoringRow(request, number: number)
            }
            let parts =
                options.sharing == .beginnings
                ? [Self.question(rows)] : rows.map { ScoringQuestion($0) }
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

    private static func question(_ requests: [ScoringRow]) -> ScoringQuestion {
        var question = ScoringQuestion(joining: requests)
        if question.sharedCount < ScoringQuestion.shortestShared { question.sharedCount = 0 }
        return question
    }

    // MARK: Passes

    private func run(_ batch: [ScoringQuestion], _ sums: inout ScoreSums, _ cost: inout ScoringCost) throws {
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
        var rows: [(row: ScoringRow, state: SequenceState)] = []
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

    /// Reads rows from their states.
    private func run(
        _ rows: inout [(row: ScoringRow, state: SequenceState)], _ sums: inout ScoreSums,
        _ cost: inout ScoringCost
    ) throws {
        guard !rows.isEmpty else { return }
        var states = rows.map(\.state)
        // Nobody else holds the states meanwhile, or reading would copy them.
        let empty = runner.model.initialState()
        for index in rows.indices { rows[index].state = empty }
        let targets = rows.map { $0.row.scores.map { TokenTarget(position: $0.position, token: $0.target) } }
        let scores = try runner.score(targets, reading: rows.map(\.row.inputs), &states)
        for index in rows.indices {
            rows[index].state = states[index]
            let row = rows[index].row
            cost.tokenCount += row.inputs.count
            cost.scoredCount += Set(row.scores.map(\.position)).count
            for (wanted, score) in zip(row.scores, scores[index]) {
                sums.add(wanted.request, score.logProbability, isBest: score.isLargest)
            }
        }
    }
}

extension ScoringRow {
    /// The part of the row between two places.
    fileprivate func part(_ range: Range<Int>) -> ScoringRow {
        ScoringRow(
            inputs: Array(inputs[range]),
            scores: scores.filter { range.contains($0.position) }.map {
                Score(position: $0.position - range.lowerBound, target: $0.target, request: $0.request)
            })
    }
}

extension ScoringQuestion {
    fileprivate var tokenCount: Int {
        sharedCount + rows.reduce(0) { $0 + $1.inputs.count - sharedCount }
    }
}
