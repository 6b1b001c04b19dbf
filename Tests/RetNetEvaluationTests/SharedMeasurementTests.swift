import Foundation
import RetNetModels
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@testable import RetNetEvaluation

/// Several ranks measure what one measures.
@Suite struct SharedMeasurementTests {
    @Test(
        "Windows of all ranks together are those of one",
        arguments: [
            EvaluationWindows.Mode.carriedWithinDocuments, .independent(rowCount: 2, overlap: 0),
            .independent(rowCount: 3, overlap: 5),
        ], [2, 3, 40])
    func windows(mode: EvaluationWindows.Mode, count: Int) throws {
        let stream = try Tiny.stream(byteCount: 3000)
        func targets(_ share: EvaluationWindows.Share) throws -> [[Int32]] {
            var windows = try EvaluationWindows(stream: stream, length: 24, mode: mode, share: share)
            var result: [[Int32]] = []
            while let batch = try windows.next() { result.append(batch.tokens + [-7] + batch.targets) }
            return result
        }
        let whole = try targets(.whole)
        let parts = try (0..<count).map { try targets(.init(rank: $0, count: count)) }
        #expect(parts.joined().map(\.description).sorted() == whole.map(\.description).sorted())
        if count < 4 {
            // About as much each.
            let sizes = parts.map { $0.joined().count }
            #expect(Double(sizes.max() ?? 0) < 2 * Double(sizes.min() ?? 0), "\(sizes)")
        }
        #expect(throws: TextError.self) {
            try EvaluationWindows(stream: stream, length: 24, share: .init(rank: 0, count: 2))
        }
    }

    @Test("Perplexities of documents and windows add up to that of the whole text")
    func perplexity() throws {
        let stream = try Tiny.stream(byteCount: 2000)
        for mode in [EvaluationWindows.Mode.carriedWithinDocuments, .independent(rowCount: 2, overlap: 3)] {
            @Sendable func measure(_ share: EvaluationWindows.Share) throws -> PerplexityResult {
                var options = PerplexityOptions(form: .chunkwise(16), windowLength: 40, mode: mode)
                options.measuresPositions = true
                options.share = share
                return try Perplexity(Tiny.model(), options: options).measure(stream)
            }
            let whole = try measure(.whole)
            let results = GatheringThread.run(3) { ranks in
                let own = try measure(.init(rank: ranks.rank, count: ranks.count))
                return try ranks.gatheredValues(own, "a test")
            }
            for result in results {
                let parts = try result.get()
                var sum = parts[0]
                for part in parts.dropFirst() { sum.add(part) }
                #expect(sum.tokenCount == whole.tokenCount && sum.byteCount == whole.byteCount)
                #expect(abs(sum.totalNats - whole.totalNats) < 1e-9 * whole.totalNats)
                let (own, expected) = (
                    try #require(sum.byPosition).buckets, try #require(whole.byPosition).buckets
                )
                #expect(own.map(\.tokenCount) == expected.map(\.tokenCount))
            }
        }
    }

    /// A scorer whose answers follow from the requests, in batches of two.
    private struct Arithmetic: RequestScorer {
        func score(
            _ questions: [[ScoringRequest]], cost: inout ScoringCost,
            progress: (_ finished: [(request: Int, answer: RequestScore)]) throws -> Bool
        ) throws -> [[RequestScore?]] {
            var result = questions.map { $0.map { _ in RequestScore?.none } }
            let places = questions.indices.flatMap { q in questions[q].indices.map { (q, $0) } }
            for start in stride(from: 0, to: places.count, by: 2) {
                var finished: [(request: Int, answer: RequestScore)] = []
                for number in start..<min(start + 2, places.count) {
                    let (question, index) = places[number]
                    let request = questions[question][index]
                    let answer = RequestScore(
                        logLikelihood: request.targets.isEmpty
                            ? -.infinity : -Double(request.inputs.reduce(0, +)) / 7,
                        isGreedy: request.inputs.count % 2 == 0)
                    result[question][index] = answer
                    cost.tokenCount += request.inputs.count
                    finished.append((number, answer))
                }
                guard try progress(finished) else { break }
            }
            return result
        }
    }

    private static func questions() -> [[ScoringRequest]] {
        (0..<11).map { question in
            (0..<question % 4).map { index in
                ScoringRequest(
                    inputs: (0...Int32(question + index)).map { $0 }, targets: index == 2 ? [] : [1])
            }
        }
    }

    @Test("Answers of all ranks are those of one, whatever rank 0 knows already", arguments: [1, 2, 3])
    func answers(count: Int) throws {
        var cost = ScoringCost()
        let questions = Self.questions()
        let expected = try Arithmetic().score(questions, cost: &cost) { _ in true }
        let tokens = cost.tokenCount
        for known in [false, true] {
            let results = GatheringThread.run(count) { ranks in
                var own = Self.questions()
                if known, ranks.rank == 0 { own[3] = [] }
                let scorer = SharedScorer(Arithmetic(), ranks: ranks)
                var cost = ScoringCost()
                var reported: [Int] = []
                let found = try scorer.score(own, cost: &cost) { finished in
                    reported += finished.map(\.request)
                    return true
                }
                // Every request once.
                #expect(reported.sorted() == Array(0..<own.joined().count))
                #expect(!scorer.isStopped)
                return (found, cost.tokenCount, ranks.rank)
            }
            for result in results {
                let (found, sum, rank) = try result.get()
                for question in questions.indices where question != 3 || !known {
                    #expect(found[question] == expected[question])
                }
                if known { #expect(found[3].count == (rank == 0 ? 0 : 3)) }
                #expect(known ? sum < tokens : sum == tokens)
            }
        }
    }

    @Test("A rank that is asked to stop stops all, with the same answers on all")
    func stopping() throws {
        let results = GatheringThread.run(2) { ranks in
            var batches = 0
            let scorer = SharedScorer(Arithmetic(), ranks: ranks) { ranks.rank == 1 && batches > 1 }
            var cost = ScoringCost()
            let found = try scorer.score(Self.questions(), cost: &cost) { _ in
                batches += 1
                return true
            }
            #expect(scorer.isStopped)
            return found
        }
        let (first, second) = (try results[0].get(), try results[1].get())
        #expect(first == second)
        let missing = first.joined().filter { $0 == nil }.count
        #expect(missing > 0 && missing < first.joined().count)
    }
}
