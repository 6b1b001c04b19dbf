import RetNetStories

/// How many things told earlier in stories a model still knew when they came back.
public struct RecallResult: Sendable, Equatable {
    /// Counts of one group of answers.
    public struct Count: Sendable, Equatable {
        /// How many answers there were.
        public var total = 0
        /// How many were fully right.
        public var correct = 0

        /// Nothing counted yet.
        public init() {}

        /// The share of right answers, from 0 to 1; NaN without answers.
        public var accuracy: Double { total > 0 ? Double(correct) / Double(total) : .nan }

        mutating func add(_ isCorrect: Bool) {
            total += 1
            if isCorrect { correct += 1 }
        }
    }

    /// Answers told about equally far back.
    public struct Bucket: Sendable, Equatable {
        /// How many bytes back the answers were told.
        public var distances: Range<Int>
        /// The answers of these distances.
        public var count: Count
    }

    /// All answers.
    public private(set) var overall = Count()
    /// The answers by what is to be remembered.
    public private(set) var byKind: [Recall.Kind: Count] = [:]
    private var byExponent: [Int: Count] = [:]

    /// Nothing asked yet.
    public init() {}

    /// The answers by distance, nearest first: below 32 bytes, then one bucket for each power of two.
    public var byDistance: [Bucket] {
        byExponent.sorted { $0.key < $1.key }.map { exponent, count in
            let start = exponent == Self.firstExponent ? 0 : 1 << (exponent - 1)
            return Bucket(distances: start..<(1 << exponent), count: count)
        }
    }

    private static let firstExponent = 5

    /// Counts one answer.
    mutating func add(_ recall: Recall, isCorrect: Bool) {
        let distance = max(0, recall.distance)
        let exponent = min(max(Int.bitWidth - distance.leadingZeroBitCount, Self.firstExponent), 62)
        overall.add(isCorrect)
        byKind[recall.kind, default: Count()].add(isCorrect)
        byExponent[exponent, default: Count()].add(isCorrect)
    }
}
