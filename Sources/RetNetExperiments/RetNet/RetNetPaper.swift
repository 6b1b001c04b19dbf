/// The numbers of the RetNet paper (arXiv 2307.08621) that its recipes are compared with.
///
/// Readings of figures are left out, because they differ from reader to reader.
public enum RetNetPaper {
    /// The texts of Tables 5 and 6 in their order; the first one is in domain.
    public static let domains = ["in-domain", "PG22", "QMSum", "GovReport", "SummScreen"]

    /// Table 5: perplexity of 200M models; four transcriptions agree.
    public static let architectures = PublishedTable(
        title: "perplexity per token of 200M models after 5 billion tokens",
        source: "RetNet (arXiv 2307.08621), Table 5", grade: .verified, columns: domains,
        rows: [
            .init("RWKV", [30.92, 51.41, 28.17, 19.80, 25.78]),
            .init("H3", [29.97, 49.17, 24.29, 19.19, 25.11]),
            .init("Hyena", [32.08, 52.75, 28.18, 20.55, 26.51]),
            .init("Linear Transformer", [40.24, 63.86, 28.45, 25.33, 32.02]),
            .init("RetNet", [26.05, 45.27, 21.33, 16.52, 22.48]),
        ])

    /// Table 6: perplexity of 200M models with one component removed each; two transcriptions agree.
    public static let ablations = PublishedTable(
        title: "perplexity per token of 200M RetNets with one component removed each",
        source: "RetNet (arXiv 2307.08621), Table 6", grade: .verified, columns: domains,
        rows: [
            .init("RetNet", [26.05, 45.27, 21.33, 16.52, 22.48]),
            .init("no gate", [27.84, 49.44, 22.52, 17.45, 23.72]),
            .init("no head norm", [27.54, 46.95, 22.61, 17.59, 23.73]),
            .init("no decay", [27.86, 47.85, 21.99, 17.49, 23.70]),
            .init("one decay", [27.02, 47.18, 22.08, 17.17, 23.38]),
            .init("small heads", [27.68, 47.72, 23.09, 17.46, 23.41]),
        ])

    /// Table 8: perplexity of the last 128 of 2,048 tokens by context length; two texts agree.
    public static let contextLength = PublishedTable(
        title: "perplexity of the last 128 tokens by length of the context in tokens",
        source: "RetNet (arXiv 2307.08621), Appendix B, Table 8", grade: .verified,
        columns: ["512", "1024", "2048"],
        rows: [.init("Transformer", [13.55, 12.56, 12.35]), .init("RetNet", [13.09, 12.14, 11.98])])

    /// The columns of Table 4.
    public static let trainingSides = ["Transformer", "Transformer, FlashAttention", "RetNet"]

    /// Table 4: words per second at length 8,192 on eight A100; confirmed by a second source.
    public static let trainingThroughput = PublishedTable(
        title: "words per second in training at length 8,192 on eight A100-80GB",
        source: "RetNet (arXiv 2307.08621), Table 4", grade: .verified, columns: trainingSides,
        rows: [
            .init("1.3B", [10_832.4, 63_965.2, 73_344.8]), .init("2.7B", [5186.0, 34_990.2, 38_921.2]),
            .init("6.7B", [2754.4, 16_230.1, 17_458.6]),
        ], decimals: 1)

    /// Table 4: the row of 13B; one transcription.
    public static let largestTrainingThroughput = PublishedTable(
        title: "words per second in training at length 8,192, the largest model",
        source: "RetNet (arXiv 2307.08621), Table 4", grade: .oneTranscription, columns: trainingSides,
        rows: [.init("13B", [1208.9, 7945.1, 8642.2])], decimals: 1)

    /// Table 4: gigabytes per device; one transcription.
    public static let trainingMemory = PublishedTable(
        title: "memory in gigabytes of the same training",
        source: "RetNet (arXiv 2307.08621), Table 4", grade: .oneTranscription, columns: trainingSides,
        rows: [
            .init("1.3B", [74.8, 38.8, 34.5]), .init("2.7B", [69.6, 42.1, 42.0]),
            .init("6.7B", [69.0, 51.4, 48.0]), .init("13B", [61.4, 46.3, 45.9]),
        ], decimals: 1)

    /// Ratios of a Transformer's costs to RetNet's at 6.7B and length 8,192, as stated in the text.
    public static let inference = PublishedTable(
        title: "RetNet against a Transformer with a cache, 6.7B at length 8,192 on one A100-80GB",
        source: "RetNet (arXiv 2307.08621), text on Figures 1 and 6", grade: .verified,
        columns: ["times less memory", "times the throughput", "times lower latency"],
        rows: [.init("6.7B", [3.4, 8.4, 15.6])], decimals: 1)

    /// The curves of Figures 5 and 6, which have no printed values.
    public static let curves = PublishedTable(
        title: "curves without printed values, whose readings differ and are not shown",
        source: "RetNet (arXiv 2307.08621), Figures 5 and 6", grade: .figureReading, columns: [], rows: [])

    /// The later version's comparison (NeurIPS, 400M), which includes a Transformer; nats per token on validation text.
    public static let laterArchitectures = PublishedTable(
        title:
            "loss in nats per token of 400M models after 10 billion tokens, from the paper's later version",
        source: "RetNet (NeurIPS version), comparison of architectures", grade: .oneTranscription,
        columns: ["validation"],
        rows: [
            .init("Transformer", [3.320]), .init("Hyena", [3.545]), .init("RWKV", [3.497]),
            .init("Mamba", [3.379]), .init("H3", [3.563]), .init("RetNet", [3.360]),
        ], decimals: 3)

    /// The later version's ablations (NeurIPS, 400M); its column is titled perplexity but seems to hold nats.
    public static let laterAblations = PublishedTable(
        title: "the same at 400M from the paper's later version, whose numbers seem to be nats per token",
        source: "RetNet (NeurIPS version), ablations", grade: .oneTranscription, columns: ["validation"],
        rows: [
            .init("RetNet", [3.360]), .init("no gate", [3.509]), .init("no head norm", [3.367]),
            .init("no decay", [3.920]), .init("one decay", [3.524]), .init("small heads", [3.397]),
        ], decimals: 3)
}
