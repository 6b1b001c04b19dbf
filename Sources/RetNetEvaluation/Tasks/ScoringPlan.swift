/// The division of requests into rows and batches that run what requests share only once.
///
/// A question is the requests of one document. Rows are what must be run for it: a request whose inputs another request
/// begins with needs no row of its own. Rows of a question share their first tokens, which run once; the state after them is
/// then forked. So that rows of different length fit into one batch without padding in a state, a batch runs as many
/// tokens as the shortest beginning in it has; what is left of the others runs with their rows.
///
/// Models that can run trees of tokens need no forked states: there a question with choices becomes a ``ScoringTree``.
struct ScoringPlan {
    /// Questions that run together: their first `prefixCount` inputs once each, then all of their rows.
    struct Batch {
        var questions: [ScoringQuestion]
        var prefixCount: Int
    }

    private(set) var batches: [Batch] = []
    /// Questions that run as trees, before the batches.
    private(set) var treeBatches: [TreeBatch] = []
    /// The inputs that all rows begin with, to be run once for all; empty where they are not worth a pass.
    private(set) var commonPrefix: [Int32] = []

    /// Fewer common inputs are not worth a pass of their own.
    static let shortestPrefix = 16

    /// How large passes may be.
    struct Limits {
        /// Largest number of tokens per pass, unless one row has more.
        var tokensPerPass: Int
        /// Largest number of rows whose states fit into memory.
        var rowCount: Int
        /// Rows whose copied states cost little; a pass of few tokens may have more.
        var cheapRowCount: Int

        /// With fewer tokens a pass waits for the weights to be read.
        static let fewTokens = 256

        /// Returns true if one more row fits behind `count` rows of `length` tokens, padding included.
        func allow(_ count: Int, _ length: Int) -> Bool {
            count < rowCount && (count + 1) * length <= tokensPerPass
                && (count < cheapRowCount || count * length < Self.fewTokens)
        }
    }

    /// Plans the requests of questions, which are numbered through; `sharing` off runs each of them from its beginning.
    ///
    /// With `trees` questions with choices run as trees where they are not too long for it.
    init(_ questions: [[ScoringRequest]], sharing: Bool, limits: Limits, trees: Bool = false) {
        var number = 0
        var planned: [(question: ScoringQuestion, tree: ScoringTree?)] = []
        for requests in questions {
            let tree = sharing && trees ? ScoringTree(requests, from: number) : nil
            let numbered = requests.map { request in
                defer { number += 1 }
                return ScoringRow(request, number: number)
            }
            planned +=
                sharing
                ? [(ScoringQuestion(joining: numbered), tree)]
                : numbered.map { (ScoringQuestion($0), nil) }
        }
        planned.removeAll { $0.question.rows.isEmpty }
        if sharing { commonPrefix = Self.commonPrefix(planned.map(\.question)) }
        var grown: [(tree: ScoringTree, prefixCount: Int)] = []
        var others: [ScoringQuestion] = []
        for (question, tree) in planned {
            if let tree, let count = TreeBatch.prefixCount(tree, skipping: commonPrefix.count) {
                grown.append((tree, count))
            } else {
                others.append(question)
            }
        }
        treeBatches = TreeBatch.batches(grown, skipping: commonPrefix.count, limits)
        makeBatches(others, limits)
    }

    /// The common inputs of all rows before the first that is scored.
    private static func commonPrefix(_ questions: [ScoringQuestion]) -> [Int32] {
        let rows = questions.flatMap(\.rows)
        guard rows.count > 1, let first = rows.first else { return [] }
        let count = rows.reduce(first.inputs.count - 1) { count, row in
            let scored = row.scores.reduce(Int.max) { min($0, $1.position) }
            return min(count, scored, ScoringQuestion.commonCount(first.inputs, row.inputs))
        }
        return count >= shortestPrefix ? Array(first.inputs.prefix(count)) : []
    }

    // MARK: Batches

    private mutating func makeBatches(_ questions: [ScoringQuestion], _ limits: Limits) {
        let skipped = commonPrefix.count
        var (forked, plain): ([ScoringQuestion], [ScoringQuestion]) = ([], [])
        for question in questions {
            if question.rows.count > 1, question.sharedCount - skipped >= ScoringQuestion.shortestShared {
                forked.append(question)
            } else {
                plain += question.rows.map { ScoringQuestion($0) }
            }
        }
        addForked(forked, skipped, limits)
        addPlain(plain, skipped, limits)
    }

    private mutating func addForked(_ questions: [ScoringQuestion], _ skipped: Int, _ limits: Limits) {
        var open = Batch(questions: [], prefixCount: 0)
        let order = questions.sorted {
            ($0.sharedCount, $0.longestRest) < ($1.sharedCount, $1.longestRest)
        }
        for question in order {
            // What is longer than the shortest beginning is run once for each row.
            let surplus = question.sharedCount - open.prefixCount
            let fits =
                limits.allow(open.questions.count, open.prefixCount - skipped)
                && surplus <= max(2, question.sharedCount / 16)
            if open.questions.isEmpty || !fits {
                if !open.questions.isEmpty { batches.append(open) }
                open = Batch(questions: [], prefixCount: question.sharedCount)
            }
            open.questions.append(question)
        }
        if !open.questions.isEmpty { batches.append(open) }
    }

    private mutating func addPlain(_ questions: [ScoringQuestion], _ skipped: Int, _ limits: Limits) {
        var limits = limits
        // Rows that begin without a state copy none.
        if skipped == 0 { limits.cheapRowCount = limits.rowCount }
        let rests = questions.map { $0.longestRest - skipped }
        for group in Self.groups(of: rests, limits) {
            batches.append(Batch(questions: group.map { questions[$0] }, prefixCount: skipped))
        }
    }

    /// Returns the indices of rows of about the same length, longest first, for passes with little padding.
    static func groups(of lengths: [Int], _ limits: Limits) -> [[Int]] {
        var groups: [[Int]] = []
        var open: [Int] = []
        var longest = 0
        for index in lengths.indices.sorted(by: { lengths[$0] > lengths[$1] }) {
            let fits =
                limits.allow(open.count, longest)
                && longest - lengths[index] <= max(4, longest / 8)
            if !open.isEmpty, !fits {
                groups.append(open)
                open = []
            }
            if open.isEmpty { longest = lengths[index] }
            open.append(index)
        }
        if !open.isEmpty { groups.append(open) }
        return groups
    }
}

extension ScoringQuestion {
    /// Tokens of the longest row behind the shared ones.
    fileprivate var longestRest: Int { rows.reduce(0) { max($0, $1.inputs.count) } - sharedCount }
}
