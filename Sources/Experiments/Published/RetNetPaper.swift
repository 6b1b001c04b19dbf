/// The numbers of the RetNet paper (arXiv 2307.08621) that its experiments are set beside here.
///
/// Readings of figures are left out: no two readers agree on them.
public enum RetNetPaper {
    /// The texts of Tables 5 and 6 in their order; the first is in domain.
    public static let domains = ["in-domain", "PG22", "QMSum", "GovReport", "SummScreen"]

    /// Table 5: perplexity of 200M models; four transcriptions agree.
    public static let architectures: [(contender: String, values: [Double])] = [
        ("RWKV", [30.92, 51.41, 28.17, 19.80, 25.78]),
        ("H3", [29.97, 49.17, 24.29, 19.19, 25.11]),
        ("Hyena", [32.08, 52.75, 28.18, 20.55, 26.51]),
        ("Linear Transformer", [40.24, 63.86, 28.45, 25.33, 32.02]),
        ("RetNet", [26.05, 45.27, 21.33, 16.52, 22.48]),
    ]

    /// Table 6: perplexity of 200M models without one part each; two transcriptions agree.
    public static let ablations: [(contender: String, values: [Double])] = [
        ("RetNet", [26.05, 45.27, 21.33, 16.52, 22.48]),
        ("no gate", [27.84, 49.44, 22.52, 17.45, 23.72]),
        ("no head norm", [27.54, 46.95, 22.61, 17.59, 23.73]),
        ("no decay", [27.86, 47.85, 21.99, 17.49, 23.70]),
        ("one decay", [27.02, 47.18, 22.08, 17.17, 23.38]),
        ("small heads", [27.68, 47.72, 23.09, 17.46, 23.41]),
    ]

    /// Table 8: perplexity of the last 128 of 2,048 tokens with so many tokens read; two texts agree.
    public static let contextLengths = [512, 1024, 2048]
    /// The rows of Table 8.
    public static let context: [(contender: String, values: [Double])] = [
        ("Transformer", [13.55, 12.56, 12.35]), ("RetNet", [13.09, 12.14, 11.98]),
    ]

    /// Table 4: words a second at length 8,192 on eight A100; confirmed by a second source.
    public static let trainingThroughput: [(size: String, transformer: Double, flash: Double, retnet: Double)] = [
        ("1.3B", 10_832.4, 63_965.2, 73_344.8), ("2.7B", 5186.0, 34_990.2, 38_921.2),
        ("6.7B", 2754.4, 16_230.1, 17_458.6),
    ]

    /// Table 4: gigabytes a device of the same; one transcription.
    public static let trainingMemory: [(size: String, transformer: Double, flash: Double, retnet: Double)] = [
        ("1.3B", 74.8, 38.8, 34.5), ("2.7B", 69.6, 42.1, 42.0), ("6.7B", 69.0, 51.4, 48.0),
    ]

    /// Figure 1's ratios of a Transformer to RetNet at 6.7B and length 8,192, as the text states them.
    public static let inferenceRatios = (memory: 3.4, throughput: 8.4, latency: 15.6)
}
