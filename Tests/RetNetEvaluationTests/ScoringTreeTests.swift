import RetNetText
import Testing

@testable import RetNetEvaluation

/// The joining of requests into trees and their division into passes.
@Suite struct ScoringTreeTests {
    private func request(_ inputs: [Int32], _ targets: [Int32]) -> ScoringRequest {
        ScoringRequest(inputs: inputs, targets: targets)
    }

    @Test("Equal beginnings are there once, and every request finds its places") func joining() {
        let tree = ScoringTree(
            [
                request([1, 2, 3, 4], [4, 9]), request([1, 2, 3, 5, 6], [5, 6, 7]), request([1, 2, 3], [8]),
                request([1, 2, 3, 5, 6], [5, 6, 8]),
            ], from: 10)
        #expect(tree.tokens == [1, 2, 3, 4, 5, 6])
        #expect(tree.parents == [-1, 0, 1, 2, 2, 4])
        #expect(tree.stemCount == 3 && !tree.isPath)
        #expect(tree.scores.filter { $0.request == 10 }.map(\.position) == [2, 3])
        #expect(tree.scores.filter { $0.request == 11 }.map(\.position) == [2, 4, 5])
        #expect(tree.scores.filter { $0.request == 12 }.map(\.position) == [2])
        #expect(tree.scores.filter { $0.request == 13 }.map(\.target) == [5, 6, 8])
        let rest = tree.dropping(2)
        #expect(rest.tokens == [3, 4, 5, 6] && rest.parents == [-1, 0, 0, 2] && rest.stemCount == 1)
        #expect(rest.scores.count == tree.scores.count && tree.scores(before: 2).isEmpty)
        #expect(tree.dropping(3).parents == [-1, -1, 1])
        #expect(tree.dropping(3).scores.count == tree.scores.count - tree.scores(before: 3).count)
    }

    @Test("Requests that begin with one another are a path") func paths() {
        #expect(ScoringTree([request([1, 2, 3], [4]), request([1, 2], [9])], from: 0).isPath)
        let grown = ScoringTree([request([1, 2], [9]), request([1, 2, 3], [4])], from: 0)
        #expect(grown.isPath && grown.stemCount == 3)
        let two = ScoringTree([request([1], [9]), request([2], [4])], from: 0)
        #expect(!two.isPath && two.stemCount == 0 && two.parents == [-1, -1])
    }

    @Test("Long contexts run before their trees, and trees of one length together") func batches() {
        func question(_ length: Int32, _ branch: Int) -> [ScoringRequest] {
            let context = (0..<length).map { $0 == 0 ? length % 90 : $0 % 90 }
            return (0..<2).map { choice in
                let rest = [Int32](repeating: Int32(95 + choice), count: branch)
                return request(context + rest, Array(rest.dropFirst()) + [0])
            }
        }
        let limits = ScoringPlan.Limits(tokensPerPass: 512, rowCount: 3, cheapRowCount: 3)
        let questions = [30, 31, 500, 505, 510, 511, 512].map { question($0, 20) } + [question(40, 300)]
        let plan = ScoringPlan(questions, sharing: true, limits: limits, trees: true)
        #expect(plan.commonPrefix.isEmpty)
        // 500 to 511 tokens are cut at 448; states of three rows fit.
        #expect(plan.treeBatches.map(\.prefixCount) == [0, 448, 448, 512])
        #expect(plan.treeBatches.map(\.trees.count) == [2, 3, 1, 1])
        // Long choices behind a short context run from forked states.
        #expect(plan.batches.flatMap(\.questions).map(\.rows.count) == [2])
        let forked = ScoringPlan(questions, sharing: true, limits: limits)
        #expect(forked.treeBatches.isEmpty && forked.batches.flatMap(\.questions).count == 8)
    }
}
