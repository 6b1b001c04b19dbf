import Foundation

/// Counts and times of an engine since it started.
public struct ServingFigures: Sendable {
    /// Number of finished choices by reason, `error` for those that failed.
    public var finished: [String: Int] = [:]
    /// Number of requests that were refused because the queue was full.
    public var refused = 0
    /// Tokens of prompts, those taken from states included.
    public var promptTokens = 0
    /// Tokens of prompts that were not read because a state behind them was at hand.
    public var cachedTokens = 0
    /// Generated tokens.
    public var generatedTokens = 0
    /// Passes of the model.
    public var passes = 0
    /// Rows of all passes that chose tokens.
    public var decodedRows = 0
    /// Sequences of a pass: texts, and prompts of which it reads a piece.
    public var batchSize = Histogram(bounds: Histogram.sizes)
    /// Seconds of a pass.
    public var step = Histogram(bounds: Histogram.gaps)
    /// Seconds from the arrival of a request to its first token.
    public var firstToken = Histogram(bounds: Histogram.latencies)
    /// Seconds between two tokens of one text.
    public var betweenTokens = Histogram(bounds: Histogram.gaps)
    /// Seconds from the arrival of a request to its end.
    public var wholeRequest = Histogram(bounds: Histogram.latencies)
    /// Seconds that a request waited in the queue.
    public var queueing = Histogram(bounds: Histogram.latencies)

    /// Figures of nothing.
    public init() {}
}

/// Counts of values by upper bounds, as Prometheus has them.
public struct Histogram: Sendable, Equatable {
    /// The upper bounds in seconds, ascending; a last one is infinite.
    public let bounds: [Double]
    /// Number of values up to each bound that are above the one before, and of those above all.
    public private(set) var counts: [Int]
    /// Sum of all values.
    public private(set) var sum = 0.0

    /// The bounds of times from a hundredth of a second to ten minutes.
    public static let latencies: [Double] = [
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
    ]
    /// The bounds of numbers of sequences.
    public static let sizes: [Double] = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    /// The bounds of times from a millisecond to ten seconds.
    public static let gaps: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10,
    ]

    /// An empty histogram.
    public init(bounds: [Double]) {
        self.bounds = bounds
        counts = [Int](repeating: 0, count: bounds.count + 1)
    }

    /// Number of values.
    public var count: Int { counts.reduce(0, +) }

    /// Counts a value.
    public mutating func record(_ value: Double) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += value
    }
}

/// Figures that threads share.
public final class ServingMetrics: @unchecked Sendable {
    // Sendable: read and written under the lock.
    private let lock = NSLock()
    private var figures = ServingFigures()

    /// Figures of nothing.
    public init() {}

    /// The figures now.
    public var current: ServingFigures { lock.withLock { figures } }

    func update(_ change: (inout ServingFigures) -> Void) { lock.withLock { change(&figures) } }
}
