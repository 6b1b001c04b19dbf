import Foundation

/// Inputs to read, with what is scored behind some of them, by position.
package struct ScoringRow {
    /// A token to score: `target` after input `position` counts for a request.
    package struct Score: Equatable {
        package var position: Int
        package var target: Int32
        package var request: Int

        package init(position: Int, target: Int32, request: Int) {
            self.position = position
            self.target = target
            self.request = request
        }
    }

    package var inputs: [Int32]
    package var scores: [Score]

    package init(inputs: [Int32], scores: [Score]) {
        self.inputs = inputs
        self.scores = scores
    }

    /// Creates the row of one request.
    package init(_ request: ScoringRequest, number: Int) {
        let first = request.firstScored
        inputs = request.inputs
        scores = request.targets.enumerated().map {
            Score(position: first + $0.offset, target: $0.element, request: number)
        }
    }
}

/// Rows of one question and the number of their common first inputs.
package struct ScoringQuestion {
    package var rows: [ScoringRow]
    package var sharedCount: Int

    /// Fewer common inputs, such as a begin token, do not pay for a pass of their own.
    package static let shortestShared = 4

    /// Creates the question of one row, which shares nothing.
    package init(_ row: ScoringRow) {
        rows = [row]
        sharedCount = 0
    }

    /// Joins the rows of requests: one whose inputs another one begins with needs no row of its own.
    package init(joining requests: [ScoringRow]) {
        var rows: [ScoringRow] = []
        for row in requests.sorted(by: { $0.inputs.count > $1.inputs.count }) {
            if let index = rows.firstIndex(where: { $0.inputs.starts(with: row.inputs) }) {
                rows[index].scores += row.scores
            } else {
                rows.append(row)
            }
        }
        self.rows = rows
        sharedCount = 0
        guard rows.count > 1 else { return }
        sharedCount = rows.dropFirst().reduce(rows[0].inputs.count) { shared, row in
            min(shared, Self.commonCount(rows[0].inputs, row.inputs))
        }
    }

    /// Returns the number of tokens that both begin with.
    static func commonCount(_ a: [Int32], _ b: [Int32]) -> Int {
        var count = 0
        while count < a.count, count < b.count, a[count] == b[count] { count += 1 }
        return count
    }
}

/// The sums of log-probabilities of requests whose tokens come in any order.
package struct ScoreSums {
    private var sums: [Double]
    private var greedy: [Bool]
    private var missing: [Int]
    /// Requests with all of their tokens that were not taken yet.
    private var finished: [Int] = []

    /// Creates empty sums of the requests of all questions, which are numbered through.
    package init(_ questions: [[ScoringRequest]]) {
        missing = questions.lazy.joined().map(\.targets.count)
        sums = [Double](repeating: 0, count: missing.count)
        greedy = [Bool](repeating: true, count: missing.count)
    }

    /// Adds the log-probability of one token; `isBest` says if it is the model's choice.
    package mutating func add(_ request: Int, _ value: Double, isBest: Bool) {
        sums[request] += value
        if !isBest { greedy[request] = false }
        missing[request] -= 1
        if missing[request] == 0 { finished.append(request) }
    }

    /// True if no sum is infinite or NaN.
    package var areFinite: Bool { sums.allSatisfy(\.isFinite) }

    /// Returns the answers that were finished since the last time.
    package mutating func takeFinished() -> [(request: Int, answer: RequestScore)] {
        defer { finished = [] }
        return finished.map { ($0, answer($0)) }
    }

    /// Returns the answers to the requests of each question; nil for requests that lack tokens.
    package func answers(to questions: [[ScoringRequest]]) -> [[RequestScore?]] {
        var number = 0
        return questions.map { requests in
            defer { number += requests.count }
            return (number..<number + requests.count).map { missing[$0] == 0 ? answer($0) : nil }
        }
    }

    private func answer(_ request: Int) -> RequestScore {
        RequestScore(logLikelihood: sums[request], isGreedy: greedy[request])
    }
}

extension ScoringCost {
    /// Adds the time of a body.
    package mutating func time<Result>(_ body: (inout ScoringCost) throws -> Result) rethrows -> Result {
        let start = ContinuousClock.now
        let processorStart = clock()
        defer {
            seconds += (ContinuousClock.now - start) / .seconds(1)
            processorSeconds += Double(clock() - processorStart) / Double(CLOCKS_PER_SEC)
        }
        return try body(&self)
    }
}
