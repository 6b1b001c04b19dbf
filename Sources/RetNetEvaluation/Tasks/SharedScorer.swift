import Foundation

/// A scorer of questions that several ranks divide: each scores its part of them, and all learn the answers to all.
///
/// All ranks have the same questions, but rank 0 alone may know answers from before: what it leaves without requests is
/// scored by none. Questions go to the rank that has least tokens so far, so that all take about as long.
public final class SharedScorer: RequestScorer {
    private let scorer: any RequestScorer
    private let ranks: any MeasuringRanks
    private let wantsStop: () -> Bool
    /// True if any rank was asked to stop; the same on all ranks after every call.
    public private(set) var isStopped = false

    /// A scorer of this rank's part, which stops with its next batch when `wantsStop` returns true.
    public init(
        _ scorer: any RequestScorer, ranks: any MeasuringRanks, wantsStop: @escaping () -> Bool = { false }
    ) {
        self.scorer = scorer
        self.ranks = ranks
        self.wantsStop = wantsStop
    }

    /// What a rank tells the others.
    private struct Part: Codable {
        struct Answer: Codable {
            var logLikelihood: Double
            var isGreedy: Bool
        }

        var answers: [[Answer?]] = []
        /// Tokens, padding, scored places and tokens of separate requests.
        var counts: [Int] = []
        var seconds = 0.0
        var processorSeconds = 0.0
        var stops = false
    }

    /// Returns the answers of all ranks; `progress` gets this rank's after every batch, and those of the others at the end.
    ///
    /// On ranks other than 0, questions without a request on rank 0 are answered by 0.
    public func score(
        _ questions: [[ScoringRequest]], cost: inout ScoringCost,
        progress: (_ finished: [(request: Int, answer: RequestScore)]) throws -> Bool
    ) throws -> [[RequestScore?]] {
        let open = try ranks.gatheredValues(
            questions.indices.filter { !questions[$0].isEmpty }, "the questions that are left")[0]
        let owners = owners(of: open, questions)
        let own = open.filter { owners[$0] == ranks.rank }
        let starts = questions.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.count) }
        // The number of each request among all of them, in the order in which this rank scores.
        let numbers = own.flatMap { question in questions[question].indices.map { starts[question] + $0 } }
        var ownCost = ScoringCost()
        let answers = try scorer.score(own.map { questions[$0] }, cost: &ownCost) { finished in
            let goesOn = try progress(finished.map { (numbers[$0.request], $0.answer) })
            return goesOn && !wantsStop()
        }
        var part = Part()
        part.answers = answers.map { question in
            question.map { answer in
                answer.map { Part.Answer(logLikelihood: $0.logLikelihood, isGreedy: $0.isGreedy) }
            }
        }
        part.counts = [
            ownCost.tokenCount, ownCost.paddingCount, ownCost.scoredCount, ownCost.separateTokenCount,
        ]
        (part.seconds, part.processorSeconds) = (ownCost.seconds, ownCost.processorSeconds)
        part.stops = wantsStop()
        let parts = try ranks.gatheredValues(part, "the answers of all ranks")
        isStopped = parts.contains(where: \.stops)
        add(parts, to: &cost)

        var result = questions.map { $0.map { _ in RequestScore?.none } }
        var others: [(request: Int, answer: RequestScore)] = []
        for (rank, part) in parts.enumerated() {
            for (question, answers) in zip(open.filter { owners[$0] == rank }, part.answers) {
                for (index, answer) in answers.enumerated() where result[question].indices.contains(index) {
                    guard let answer else { continue }
                    let score = RequestScore(
                        logLikelihood: answer.logLikelihood, isGreedy: answer.isGreedy)
                    result[question][index] = score
                    if rank != ranks.rank { others.append((starts[question] + index, score)) }
                }
            }
        }
        let isOpen = Set(open)
        for question in questions.indices where !isOpen.contains(question) {
            for index in questions[question].indices {
                let none = RequestScore(logLikelihood: 0, isGreedy: false)
                result[question][index] = none
                others.append((starts[question] + index, none))
            }
        }
        _ = try progress(others)
        return result
    }

    /// Returns the rank of every open question: the longest first, each to who has least.
    private func owners(of open: [Int], _ questions: [[ScoringRequest]]) -> [Int: Int] {
        let sizes = open.map { question in questions[question].reduce(0) { $0 + $1.inputs.count } }
        var loads = [Int](repeating: 0, count: ranks.count)
        var owners: [Int: Int] = [:]
        for index in open.indices.sorted(by: { (sizes[$1], $0) < (sizes[$0], $1) }) {
            let rank = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
            loads[rank] += sizes[index]
            owners[open[index]] = rank
        }
        return owners
    }

    private func add(_ parts: [Part], to cost: inout ScoringCost) {
        for part in parts where part.counts.count == 4 {
            cost.tokenCount += part.counts[0]
            cost.paddingCount += part.counts[1]
            cost.scoredCount += part.counts[2]
            cost.separateTokenCount += part.counts[3]
            cost.processorSeconds += part.processorSeconds
        }
        cost.seconds += parts.map(\.seconds).max() ?? 0
    }
}
