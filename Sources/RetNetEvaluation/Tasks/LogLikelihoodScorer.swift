import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetText
import RetNetTorch

/// The answer to a request: the log-likelihood of its continuation, and whether greedy generation would give it.
public struct RequestScore: Sendable, Equatable {
    /// The sum of the log-probabilities of the tokens, in nats.
    public var logLikelihood: Double
    /// True if every token is the most probable one.
    public var isGreedy: Bool

    /// Creates an answer.
    public init(logLikelihood: Double, isGreedy: Bool) {
        self.logLikelihood = logLikelihood
        self.isGreedy = isGreedy
    }
}

/// What scoring has run, and what it would have run with every request on its own.
public struct ScoringCost: Sendable, Equatable {
    /// Tokens that the model has read, without padding.
    public var tokenCount = 0
    /// Tokens of padding that it has read besides.
    public var paddingCount = 0
    /// Places behind which the output layer has run, once for all tokens that are scored there.
    public var scoredCount = 0
    /// Tokens of all requests from their beginning.
    public var separateTokenCount = 0
    /// Wall-clock time of all passes in seconds.
    public var seconds = 0.0
    /// Processor time of all threads of the process meanwhile, in seconds.
    public var processorSeconds = 0.0

    /// Creates an empty cost.
    public init() {}

    /// How many times more tokens separate requests have.
    public var saving: Double { tokenCount > 0 ? Double(separateTokenCount) / Double(tokenCount) : 1 }

    static func += (left: inout ScoringCost, right: ScoringCost) {
        left.tokenCount += right.tokenCount
        left.paddingCount += right.paddingCount
        left.scoredCount += right.scoredCount
        left.separateTokenCount += right.separateTokenCount
        left.seconds += right.seconds
        left.processorSeconds += right.processorSeconds
    }
}

/// The scoring of continuations by a language model.
///
/// The context of a question is run once: with its choices as one tree of tokens where the model can run trees, otherwise
/// the state after it is forked for the choices. Questions run in batches. Padding stands behind a row and enters no state that
/// is used again, so that the scores depend on neither to more than rounding. Log-probabilities are computed in float32 (float64 in float64 models) and added in float64.
public struct LogLikelihoodScorer: RequestScorer {
    /// The division of the work.
    public struct Options: Sendable, Equatable {
        /// Form of every pass.
        public var form: MixerForm
        /// Largest number of tokens per pass, which bounds the memory for texts of any length.
        public var tokensPerPass: Int
        /// What requests share.
        public var sharing: Sharing

        /// What requests share; less than all is for comparison.
        public enum Sharing: Sendable, Equatable, CaseIterable {
            /// Passes and beginnings: what several requests begin with runs once.
            case beginnings
            /// Passes: every request runs from its beginning, many at a time.
            case passes
            /// Nothing: every request runs from its beginning in passes of its own.
            case nothing
        }

        /// Creates options; by default chunks of 256, at most 4,096 tokens per pass, and shared beginnings.
        public init(
            form: MixerForm = .chunkwise(256), tokensPerPass: Int = 4096, sharing: Sharing = .beginnings
        ) {
            self.form = form
            self.tokensPerPass = max(1, tokensPerPass)
            self.sharing = sharing
        }
    }

    /// A token to score: the place of the hidden state before it, and the request that it counts for.
    private struct Pick {
        var place: Int
        var target: Int32
        var request: Int
    }

    private let model: LanguageModel
    private let options: Options
    private let stateByteCount: Int
    private let isAlone: Bool
    private let sharesBeginnings: Bool
    private let runsTrees: Bool

    /// States of a batch may take this many bytes.
    private static let stateBudget = 1 << 29
    /// The states of one layer of a pass should take no more than this many, unless it has few tokens: allocators give
    /// the memory of larger tensors back each time, and clearing it anew costs more than the copies.
    private static let layerBudget = 1 << 24
    /// Logits of a slice may take this many elements; larger ones are slower, since their memory is new each time.
    private static let logitBudget = 1 << 22

    /// Creates a scorer; throws ``EvaluationError/unsupportedForm(form:reason:)`` and `TorchError`.
    public init(_ model: LanguageModel, options: Options = Options()) throws {
        if let reason = model.unsupportedReason(for: options.form) {
            throw EvaluationError.unsupportedForm(form: options.form.description, reason: reason)
        }
        self.model = model
        self.options = options
        // Other rows of a pass must not matter.
        isAlone = model.dependsOnBatch || options.sharing == .nothing
        sharesBeginnings = options.sharing == .beginnings && !model.dependsOnBatch
        // A form that was asked for is kept where it is not the usual one.
        if case .recurrent = options.form { runsTrees = false } else { runsTrees = model.supportsForests }
        stateByteCount = try model.initialState(batch: 1).byteCount
    }

    /// Returns the answers to the requests of each question, in their order.
    ///
    /// After every batch `progress` gets the answers that it has finished, with the numbers of their requests counted
    /// through all questions, and ends the scoring by returning false; the answers to the others are then nil. Throws
    /// `TorchError` and ``EvaluationError``.
    public func score(
        _ questions: [[ScoringRequest]], cost: inout ScoringCost,
        progress: (_ finished: [(request: Int, answer: RequestScore)]) throws -> Bool = { _ in true }
    ) throws -> [[RequestScore?]] {
        try cost.time { cost in try score(questions, &cost, progress) }
    }

    private func score(
        _ questions: [[ScoringRequest]], _ cost: inout ScoringCost,
        _ progress: ([(request: Int, answer: RequestScore)]) throws -> Bool
    ) throws -> [[RequestScore?]] {
        for request in questions.lazy.joined() {
            cost.separateTokenCount += request.inputs.count
            try checkVocabulary(request.inputs)
            try checkVocabulary(request.targets)
        }
        let plan = ScoringPlan(
            questions, sharing: sharesBeginnings, limits: limits(stateByteCount), trees: runsTrees)
        var sums = ScoreSums(questions)
        try withoutGradients {
            var common: LanguageModelState?
            if !plan.commonPrefix.isEmpty {
                let row = PassRow(tokens: plan.commonPrefix[...], scores: [])
                common = try run([row], from: nil, keepsState: true, &sums, &cost)
            }
            for batch in plan.treeBatches {
                try run(batch, after: common, skipping: plan.commonPrefix.count, &sums, &cost)
                guard try progress(sums.takeFinished()) else { return }
            }
            for batch in plan.batches {
                try run(batch, after: common, skipping: plan.commonPrefix.count, &sums, &cost)
                guard try progress(sums.takeFinished()) else { break }
            }
        }
        return sums.answers(to: questions)
    }

    /// Returns how large passes may be whose rows have states of a size.
    private func limits(_ stateByteCount: Int) -> ScoringPlan.Limits {
        let size = max(1, stateByteCount)
        return ScoringPlan.Limits(
            tokensPerPass: options.tokensPerPass,
            rowCount: isAlone ? 1 : max(1, min(1024, Self.stateBudget / size)),
            cheapRowCount: max(1, Self.layerBudget / max(1, size / model.configuration.layerCount)))
    }

    private func checkVocabulary(_ tokens: [Int32]) throws {
        let size = model.configuration.vocabularySize
        if let bad = tokens.first(where: { $0 < 0 || Int($0) >= size }) {
            throw EvaluationError.tokenOutOfRange(token: Int(bad), vocabularySize: size)
        }
    }

    // MARK: Passes

    /// A row of a pass: tokens to read, with what is scored at places counted from the first of them.
    private struct PassRow {
        var tokens: ArraySlice<Int32>
        var scores: [ScoringRow.Score]

        init(tokens: ArraySlice<Int32>, scores: [ScoringRow.Score]) {
            self.tokens = tokens
            self.scores = scores
        }

        init(_ row: ScoringRow, from start: Int, to end: Int) {
            tokens = row.inputs[start..<end]
            scores = row.scores.compactMap { score in
                guard (start..<end).contains(score.position) else { return nil }
                var score = score
                score.position -= start
                return score
            }
        }
    }

    private func run(
        _ batch: ScoringPlan.Batch, after common: LanguageModelState?, skipping skipped: Int,
        _ sums: inout ScoreSums, _ cost: inout ScoringCost
    ) throws {
        var state = try common.map { try $0.selecting(rows: batch.questions.map { _ in 0 }) }
        var sources = Array(batch.questions.indices)
        if batch.prefixCount > skipped {
            // All rows of a question begin with the same inputs; its first row speaks for all of them.
            let beginnings = batch.questions.map { question in
                var row = PassRow(question.rows[0], from: skipped, to: batch.prefixCount)
                for other in question.rows.dropFirst() {
                    row.scores += PassRow(other, from: skipped, to: batch.prefixCount).scores
                }
                return row
            }
            state = try run(beginnings, from: state, keepsState: true, &sums, &cost)
            sources = batch.questions.enumerated().flatMap { index, question in
                question.rows.map { _ in index }
            }
        }
        let rows = batch.questions.flatMap(\.rows).map {
            PassRow($0, from: batch.prefixCount, to: $0.inputs.count)
        }
        // Growing states may be too large for all rows at once.
        let rowBytes = state.map { max(1, $0.byteCount / $0.batchSize) } ?? 1
        for group in ScoringPlan.groups(of: rows.map(\.tokens.count), limits(rowBytes)) {
            let part = group.filter { !rows[$0].tokens.isEmpty }
            guard !part.isEmpty else { continue }
            let own = try state?.selecting(rows: part.map { sources[$0] })
            _ = try run(part.map { rows[$0] }, from: own, keepsState: false, &sums, &cost)
        }
    }

    /// Runs the beginnings of trees, and then what is behind them in one pass.
    private func run(
        _ batch: TreeBatch, after common: LanguageModelState?, skipping skipped: Int,
        _ sums: inout ScoreSums, _ cost: inout ScoringCost
    ) throws {
        var state = common
        if batch.prefixCount > skipped {
            let stems = batch.trees.map { tree in
                PassRow(
                    ScoringRow(inputs: tree.tokens, scores: tree.scores(before: batch.prefixCount)),
                    from: skipped, to: batch.prefixCount)
            }
            let start = try common.map { try $0.selecting(rows: stems.map { _ in 0 }) }
            state = try run(stems, from: start, keepsState: true, &sums, &cost)
        }
        let trees = batch.trees.map { $0.dropping(batch.prefixCount) }
        let forest = try TokenForest(parents: trees.map(\.parents))
        var tokens = [Int64](repeating: 0, count: trees.count * forest.length)
        var picks: [Pick] = []
        for (index, tree) in trees.enumerated() {
            let first = index * forest.length
            for (offset, token) in tree.tokens.enumerated() { tokens[first + offset] = Int64(token) }
            picks += tree.scores.map {
                Pick(place: first + $0.position, target: $0.target, request: $0.request)
            }
            cost.tokenCount += tree.tokens.count
            cost.paddingCount += forest.length - tree.tokens.count
        }
        let input = try Tensor.from(tokens, [trees.count, forest.length]).to(on: model.device)
        try add(picks, model.hidden(input, in: forest, state: state), &sums, &cost)
    }

    /// Runs rows from a state in windows of bounded size, and returns the state after the last token of equally long rows.
    private func run(
        _ rows: [PassRow], from state: LanguageModelState?, keepsState: Bool, _ sums: inout ScoreSums,
        _ cost: inout ScoringCost
    ) throws -> LanguageModelState? {
        var (active, state) = (rows, state)
        var start = 0
        while let longest = active.map(\.tokens.count).max(), longest > start {
            // Rows that have ended need no padding in further windows.
            if active.contains(where: { $0.tokens.count <= start }) {
                let kept = active.indices.filter { active[$0].tokens.count > start }
                state = try state?.selecting(rows: kept)
                active = kept.map { active[$0] }
            }
            var width = max(1, options.tokensPerPass / active.count)
            if width > 256 { width -= width % 256 }
            width = min(width, longest - start)
            var tokens = [Int64](repeating: 0, count: active.count * width)
            var picks: [Pick] = []
            for (index, row) in active.enumerated() {
                let window = row.tokens.dropFirst(start).prefix(width)
                for (offset, token) in window.enumerated() { tokens[index * width + offset] = Int64(token) }
                cost.tokenCount += window.count
                cost.paddingCount += width - window.count
                for score in row.scores where (start..<start + width).contains(score.position) {
                    picks.append(
                        Pick(
                            place: index * width + score.position - start, target: score.target,
                            request: score.request))
                }
            }
            let input = try Tensor.from(tokens, [active.count, width]).to(on: model.device)
            start += width
            var context = ForwardContext.inference
            context.keepsStates = keepsState || start < longest
            let (hidden, next) = try model.hidden(
                input, state: state, form: options.form, context: context)
            try add(picks, hidden, &sums, &cost)
            state = context.keepsStates ? next : nil
        }
        return state
    }

    /// Adds the log-probabilities of targets after hidden states [B, T, D], of which only the needed ones become logits.
    ///
    /// One place may have several targets, where choices part.
    private func add(
        _ picks: [Pick], _ hidden: Tensor, _ sums: inout ScoreSums, _ cost: inout ScoringCost
    ) throws {
        let flat = try hidden.reshaped([-1, hidden.size(-1)])
        let slice = max(1, Self.logitBudget / model.configuration.vocabularySize)
        var rest = picks.sorted { $0.place < $1.place }[...]
        while !rest.isEmpty {
            // The picks of the next places, as many as fit.
            var places: [Int64] = []
            var part: [(row: Int, pick: Pick)] = []
            for pick in rest {
                if places.last != Int64(pick.place) {
                    guard places.count < slice else { break }
                    places.append(Int64(pick.place))
                }
                part.append((places.count - 1, pick))
            }
            rest = rest.dropFirst(part.count)
            cost.scoredCount += places.count
            try add(part, model.logits(flat.indexSelected(0, index(places))), &sums)
        }
    }

    /// Adds the log-probabilities of targets, each in a row of logits [N, V].
    private func add(
        _ picks: [(row: Int, pick: Pick)], _ logits: Tensor, _ sums: inout ScoreSums
    ) throws {
        let vocabulary = logits.size(1)
        let targets = try index(picks.map { Int64($0.row * vocabulary) + Int64($0.pick.target) })
        let own = try logits.reshaped([-1]).indexSelected(0, targets).to(.float64).doubles()
        let largest = try logits.max([-1]).to(.float64).doubles()
        // The normalizer does not depend on the target.
        let any = try index([Int64](repeating: 0, count: logits.size(0)))
        let normalizers = try FusedOperators.tokenLosses(logits, targets: any).logNormalizers
            .to(.float64).doubles()
        for (value, (row, pick)) in zip(own, picks) {
            var isBest = value == largest[row]
            if isBest {
                // Of equal logits, which are common in half precision, the first is the model's choice.
                let first = try logits.selected(0, row).argmax(axis: -1).values(as: Int64.self)
                isBest = first == [Int64(pick.target)]
            }
            sums.add(pick.request, value - normalizers[row], isBest: isBest)
        }
    }

    private func index(_ values: [Int64]) throws -> Tensor { try Tensor.from(values).to(on: model.device) }
}
