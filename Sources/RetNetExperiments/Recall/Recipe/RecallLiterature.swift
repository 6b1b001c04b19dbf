import RetNetReporting

/// Published numbers of the same kind of tasks, and the calibration that the sizes of `tiny` come from.
enum RecallLiterature {
    /// The sections for the end of a report.
    static var sections: [ExperimentReport.Section] {
        [
            .heading("Published numbers"),
            .text(
                "Other sizes, models and training than here; for orientation only. Accuracy in per cent. Last token"
                    + " of induction head and associative recall, two layers (Fu et al., 2212.14052; verified):"
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
                "Parity, 1 for perfect and 0 for guessing, trained at 3 to 40 and judged at 40 to 256, best of three"
                    + " seeds (Grazzi et al., 2411.12537; verified):"),
            .table(
                table(
                    [
                        "Transformer", "mLSTM", "sLSTM", "Mamba", "Mamba, to −1", "DeltaNet",
                        "DeltaNet, beta to 2",
                    ],
                    [["0.022", "0.087", "1.000", "0.000", "1.000", "0.017", "1.000"]])),
            .heading("The calibration of these sizes"),
            .text(
                "Ours, from a separate implementation in PyTorch with simplified layers, float32: **one seed, one"
                    + " learning rate, not tuned, no ranking**. Two layers, width 32 (64 in the third column), at"
                    + " most 2000 steps; steps to 99 % in parentheses. Not comparable in detail with the tables above."
            ),
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
