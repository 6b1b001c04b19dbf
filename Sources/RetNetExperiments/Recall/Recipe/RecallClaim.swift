import RetNetReporting

/// Something that papers say about mixers and synthetic tasks, and whether it holds here.
struct RecallClaim {
    /// How a claim fares against results.
    enum Verdict: String {
        case agrees
        case differs = "does not hold at this scale"
        case open = "cannot be told apart here"
        case absent = "not measured here"
    }

    let text: String
    let source: String
    let grade: PublishedValue.Grade
    /// The accuracies that decide, each with what it is; empty where something was not measured.
    let evidence: (RecallScores) -> [(name: String, sample: Sample)]
    let judge: ([Sample]) -> Verdict

    /// A claim about contenders in one evaluation of a task each; judged only when all were measured.
    init(
        _ text: String, _ source: String, _ grade: PublishedValue.Grade,
        _ measured: [(task: String, contender: String, evaluation: Int)],
        _ judge: @escaping ([Sample]) -> Verdict
    ) {
        self.text = text
        self.source = source
        self.grade = grade
        self.judge = judge
        evidence = { scores in
            let found = measured.compactMap { item -> (name: String, sample: Sample)? in
                guard
                    let sample = scores.accuracy(item.task, item.contender, evaluation: item.evaluation),
                    let contender = scores.contenders.first(where: { $0.name == item.contender }),
                    let plan = scores.plan(item.task)
                else { return nil }
                let split = plan.task.evaluations[item.evaluation].name
                return ("\(contender.title), \(split)", sample)
            }
            return found.count == measured.count ? found : []
        }
    }

    /// All claims with what was found.
    static func table(_ scores: RecallScores) -> MarkdownTable {
        var table = MarkdownTable(
            header: ["claim", "source", "grade", "verdict", "accuracy here"],
            alignments: [.left, .left, .left, .left, .left])
        for claim in all {
            let evidence = claim.evidence(scores)
            let verdict = evidence.isEmpty ? Verdict.absent : claim.judge(evidence.map(\.sample))
            table.append([
                claim.text, claim.source, claim.grade.rawValue, verdict.rawValue,
                evidence.map { "\($0.name): \($0.sample.text(decimals: 2))" }.joined(separator: "; "),
            ])
        }
        return table
    }

    // MARK: Judging

    /// What counts as solved in the mean of seeds.
    private static let solved = 0.98

    /// Whether the first is above all others by more than the spreads.
    private static func above(_ samples: [Sample]) -> Verdict {
        guard let first = samples.first else { return .absent }
        let rest = samples.dropFirst()
        if rest.allSatisfy({ $0.isClearlyBelow(first) }) { return .agrees }
        return rest.contains { first.isClearlyBelow($0) } ? .differs : .open
    }

    /// Whether the first so many solve the task and the others do not.
    private static func solves(_ count: Int, _ samples: [Sample]) -> Verdict {
        let right = samples.enumerated().allSatisfy { index, sample in
            ((sample.mean ?? 0) >= solved) == (index < count)
        }
        return right ? .agrees : .differs
    }

    /// All claims that can be tested at every scale.
    static var all: [RecallClaim] {
        [
            RecallClaim(
                "Attention solves MQAR", "Arora et al., 2312.04927", .verified, [("mqar", "attention", 0)]
            ) { solves(1, $0) },
            RecallClaim(
                "H3, Hyena and RWKV-4 stay below attention of the same width in MQAR",
                "Arora et al., 2312.04927", .verified,
                [
                    ("mqar", "attention", 0), ("mqar", "h3", 0), ("mqar", "hyena", 0), ("mqar", "rwkv", 0),
                ], above),
            RecallClaim(
                "RetNet beats Hyena and RWKV-4 in MQAR", "Yang et al., 2312.06635", .oneTranscription,
                [("mqar", "retention", 0), ("mqar", "hyena", 0), ("mqar", "rwkv", 0)], above),
            RecallClaim(
                "GLA beats Hyena and RWKV-4 in MQAR", "Yang et al., 2312.06635", .oneTranscription,
                [("mqar", "gla", 0), ("mqar", "hyena", 0), ("mqar", "rwkv", 0)], above),
            RecallClaim(
                "GLA beats RetNet in MQAR", "Yang et al., 2312.06635", .oneTranscription,
                [("mqar", "gla", 0), ("mqar", "retention", 0)], above),
            RecallClaim(
                "Attention and H3 solve the induction head at the training length, S4D does not",
                "Fu et al., 2212.14052", .verified,
                [("induction", "attention", 0), ("induction", "h3", 0), ("induction", "s4d", 0)]
            ) { solves(2, $0) },
            RecallClaim(
                "Attention with RoPE loses the induction head at twice the training length",
                "Gu and Dao, 2312.00752", .oneTranscription,
                [("induction", "attention", 0), ("induction", "attention", 1)], above),
            RecallClaim(
                "H3 loses the induction head at twice the training length", "Gu and Dao, 2312.00752",
                .oneTranscription, [("induction", "h3", 0), ("induction", "h3", 1)], above),
            RecallClaim(
                "Hyena loses the induction head at twice the training length", "Gu and Dao, 2312.00752",
                .oneTranscription, [("induction", "hyena", 0), ("induction", "hyena", 1)], above),
            RecallClaim(
                "Beyond the training length DeltaNet tracks parity with beta to 2 but not to 1, and attention does not",
                "Grazzi et al., 2411.12537", .verified,
                [
                    ("parity", "deltanet-negative", 0), ("parity", "deltanet", 0), ("parity", "attention", 0),
                ]
            ) { solves(1, $0) },
            RecallClaim(
                "Linear recurrences without negative eigenvalues cannot track parity (retention, GLA, Mamba-2)",
                "Grazzi et al., 2411.12537", .verified,
                [("parity", "retention", 0), ("parity", "gla", 0), ("parity", "mamba2", 0)]
            ) { solves(0, $0) },
        ]
    }
}
