import RetNetReporting

/// A claim of a paper about mixers and synthetic tasks, with the test of it.
struct RecallClaim {
    /// The result of the test of a claim.
    enum Verdict: String {
        case agrees
        case differs = "does not hold at this scale"
        case open = "not decided here"
        case absent = "not measured here"
    }

    let text: String
    let source: String
    let grade: PublishedValue.Grade
    /// Returns the accuracies that decide, each with a name; none if one was not measured.
    let evidence: (RecallScores) -> [(name: String, sample: Sample)]
    let judge: ([Sample]) -> Verdict

    /// Creates a claim about contenders in one evaluation of a task each; it is tested only if all were measured.
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

    /// Returns a table of all claims with their verdicts.
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

    /// Mean accuracy over seeds from which a task counts as solved.
    private static let solved = 0.98

    /// Agrees if the first sample is clearly above all others.
    private static func above(_ samples: [Sample]) -> Verdict {
        guard let first = samples.first else { return .absent }
        let rest = samples.dropFirst()
        if rest.allSatisfy({ $0.isClearlyBelow(first) }) { return .agrees }
        return rest.contains { first.isClearlyBelow($0) } ? .differs : .open
    }

    /// Agrees if the first `count` samples solve the task and the others do not.
    private static func solves(_ count: Int, _ samples: [Sample]) -> Verdict {
        let right = samples.enumerated().allSatisfy { index, sample in
            ((sample.mean ?? 0) >= solved) == (index < count)
        }
        return right ? .agrees : .differs
    }

    /// All claims; each can be tested at every scale.
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

/// Published numbers of similar tasks, and the calibration from which the sizes of `tiny` come.
enum RecallLiterature {
    /// The sections for the end of a report.
    static var sections: [ExperimentReport.Section] {
        [
            .heading("Published numbers"),
            .text(
                "Sizes, models and training differ from those here; for orientation only. Accuracy in percent. Last"
                    + " token of induction head and associative recall, two layers (Fu et al., 2212.14052; verified):"
            ),
            .table(
                table(
                    ["task", "guess", "S4D", "GSS", "H3", "attention"],
                    [
                        ["induction head", "5.0", "35.6", "6.8", "100.0", "100.0"],
                        ["associative recall", "25.0", "86.0", "78.0", "99.8", "100.0"],
                    ])),
            .text("Induction head trained at 256 tokens (Gu and Dao, 2312.00752; one transcription):"),
            .table(
                table(
                    ["model", "256", "512", "1024", "2048"],
                    [
                        ["attention, absolute positions", "100", "58.6", "26.6", "18.8"],
                        ["attention, RoPE", "83.6", "31.3", "18.4", "8.6"],
                        ["attention, xPos", "99.6", "67.6", "25.4", "7.0"],
                        ["H3", "100", "80.9", "39.5", "23.8"],
                        ["Hyena", "100", "44.1", "12.5", "6.6"],
                        ["Mamba", "100", "100", "100", "100"],
                    ])),
            .text(
                "Parity, 1 for perfect and 0 for guessing, trained at lengths 3 to 40 and scored at 40 to 256, best of"
                    + " three seeds (Grazzi et al., 2411.12537; verified):"),
            .table(
                table(
                    [
                        "Transformer", "mLSTM", "sLSTM", "Mamba", "Mamba, to −1", "DeltaNet",
                        "DeltaNet, beta to 2",
                    ],
                    [["0.022", "0.087", "1.000", "0.000", "1.000", "0.017", "1.000"]])),
            .heading("Calibration of the sizes"),
            .text(
                "From a separate implementation in PyTorch with simplified layers, float32: **one seed, one learning"
                    + " rate, not tuned, no ranking**. Two layers, width 32 (64 in the third column), at most 2000 steps;"
                    + " steps to 99 % in parentheses. Not comparable in detail with the tables above."),
            .table(calibration),
        ]
    }

    private static func table(_ header: [String], _ rows: [[String]]) -> MarkdownTable {
        MarkdownTable(
            header: header, rows: rows,
            alignments: [.left] + [ColumnAlignment](repeating: .right, count: header.count - 1))
    }

    private static var calibration: MarkdownTable {
        table(
            [
                "mixer", "MQAR V 40, T 32, 4 pairs", "the same with convolution", "and width 64",
                "induction at 32 / 64", "parity at 13–16 / 17–64",
            ],
            [
                ["guess", "0.25", "0.25", "0.25", "0.07", "0.50"],
                [
                    "attention (RoPE)", "0.998 (1000)", "1.000 (250)", "–", "1.00 / 0.82", "0.54 / 0.50",
                ],
                ["Linear Transformer", "0.28", "0.993 (1500)", "–", "1.00 / 0.50", "0.55 / 0.50"],
                [
                    "retention, fast decays", "0.999 (1500)", "0.30", "1.000 (500), the paper's decays",
                    "1.00 / 1.00", "0.99 / 0.52",
                ],
                ["gRet", "0.31", "0.30", "1.000 (1000)", "1.00 / 1.00", "0.80 / 0.50"],
                ["GLA", "0.52", "1.000 (750)", "–", "1.00 / 0.99", "0.96 / 0.52"],
                ["DeltaNet", "0.71", "0.998 (1000)", "–", "1.00 / 1.00", "0.99 / 0.57"],
                ["Gated DeltaNet", "0.999 (1250)", "1.000 (500)", "–", "1.00 / 1.00", "0.97 / 0.58"],
                ["DeltaNet, beta to 2", "–", "–", "–", "–", "1.00 / 1.00 (750)"],
                ["RWKV-4", "0.31", "0.30", "0.32", "1.00 / 0.97", "0.99 / 0.52"],
                ["AFT-simple", "0.31", "0.29", "0.29", "1.00 / 0.61", "0.79 / 0.50"],
                ["S4D", "0.27", "0.28", "0.30", "1.00 / 0.14", "0.99 / 0.50"],
                ["H3", "0.31", "0.31", "0.30", "1.00 / 0.54", "0.92 / 0.51"],
                ["Hyena-2", "0.22", "0.24", "0.30", "1.00 / 0.63", "0.50 / 0.50"],
            ])
    }
}
