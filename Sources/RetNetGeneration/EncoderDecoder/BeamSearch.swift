import Foundation

/// The search of one source: running beams and finished outputs, by the rules of Transformers 5.
struct BeamSearch {
    /// A token that could follow a beam.
    struct Candidate {
        let beam: Int
        let token: Int32
        /// The log-probability of the beam with this token.
        let score: Double
    }

    private let parameters: BeamSearchParameters
    private let endTokens: Set<Int32>
    /// The beams that go on, best first.
    private(set) var running: [(tokens: [Int32], score: Double)]
    private var finished: [BeamHypothesis] = []
    private var canImprove = true
    private var length = 0

    init(_ parameters: BeamSearchParameters, endTokens: Set<Int32>) {
        self.parameters = parameters
        self.endTokens = endTokens
        // Only the first beam counts at first: all are equal.
        running = (0..<parameters.beamCount).map { ([], $0 == 0 ? 0 : -1e9) }
    }

    /// How many candidates, best first, are needed to be left with as many beams when all others end.
    static func candidateCount(_ parameters: BeamSearchParameters, endTokenCount: Int) -> Int {
        max(2, 1 + endTokenCount) * parameters.beamCount
    }

    /// Whether nothing that follows could change the result.
    var isDone: Bool {
        length >= parameters.maxTokens || !canImprove || parameters.stopping == .full && isFull
    }

    private var isFull: Bool { finished.count == parameters.beamCount }

    /// Extends the beams by the best candidates; returns which beam each new one comes from.
    mutating func advance(_ candidates: [Candidate]) -> [Int] {
        length += 1
        let isLast = length >= parameters.maxTokens
        let open = candidates.filter { !endTokens.contains($0.token) }.prefix(parameters.beamCount)
        let old = running
        running = open.map { (old[$0.beam].tokens + [$0.token], $0.score) }
        // Candidates beyond the number of beams only keep the search supplied.
        for candidate in candidates.prefix(parameters.beamCount) {
            let ends = endTokens.contains(candidate.token)
            guard ends || isLast else { continue }
            finished.append(
                BeamHypothesis(
                    tokens: old[candidate.beam].tokens + [candidate.token],
                    score: candidate.score / pow(Double(length), parameters.lengthPenalty), isFinished: ends))
        }
        finished.sort { $0.score > $1.score }
        finished = Array(finished.prefix(parameters.beamCount))
        updateOutlook()
        return open.map(\.beam)
    }

    private mutating func updateOutlook() {
        guard isFull, let worst = finished.last?.score, let best = running.first?.score else { return }
        let longest = parameters.stopping == .never && parameters.lengthPenalty > 0
        let reach = pow(Double(longest ? parameters.maxTokens : length), parameters.lengthPenalty)
        if best / reach <= worst { canImprove = false }
    }

    /// The best outputs; beams that were still running only where too few are finished.
    func outputs() -> [BeamHypothesis] {
        var result = finished
        for beam in running where result.count < parameters.outputCount && !beam.tokens.isEmpty {
            let score = beam.score / pow(Double(beam.tokens.count), parameters.lengthPenalty)
            result.append(BeamHypothesis(tokens: beam.tokens, score: score, isFinished: false))
        }
        return Array(result.prefix(parameters.outputCount))
    }
}
