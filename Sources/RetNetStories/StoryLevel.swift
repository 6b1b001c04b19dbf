/// How much stories differ from each other and how often they ask for a fact.
public enum StoryLevel: String, Codable, CaseIterable, Hashable, Sendable {
    /// As `simple`, with half as many words and few sentences without facts.
    case basic
    /// One child and a few facts of different kinds, in short words; every fact comes back several times.
    case simple
    /// Five plots with several facts of the same kind, in short words; every fact is asked for several times.
    case mixed
    /// Eleven plots in many words; some of the facts are asked for, once, at the end.
    case standard

    /// The number of sentences between facts and questions by default; a sentence has about 45 bytes.
    public var fillerSentenceCount: ClosedRange<Int> {
        switch self {
        case .basic, .simple, .mixed: 0...16
        case .standard: 2...7
        }
    }

    /// The plots to choose from; none for stories about one child.
    var plots: [StoryPlot] {
        switch self {
        case .basic, .simple: []
        case .mixed:
            [.simpleHiding, .simpleHiding, .simpleCooking, .simplePainting, .simplePets, .simpleDreams]
        case .standard: StoryPlot.all
        }
    }

    /// The number of words of one kind in stories about one child; fewer are learned sooner.
    var wordsPerKind: Int { self == .basic ? 6 : 12 }

    /// The share of sentences without facts among those between facts and questions, in stories about one child.
    var neutralShare: Double { self == .basic ? 0.1 : 0.5 }

    /// True if each round of questions is about all facts.
    var asksForEverything: Bool { self != .standard }

    /// Returns a number of filler sentences, given a random number from 0 to 1.
    ///
    /// Where every fact is asked for several times, most distances are short, so that a model meets near facts first.
    func fillerSentenceCount(in range: ClosedRange<Int>, _ random: Double) -> Int {
        range.lowerBound + Int(Double(range.upperBound - range.lowerBound) * random * random * random + 0.5)
    }

    /// The number of times that somebody comes and asks.
    var questionRounds: ClosedRange<Int> {
        switch self {
        case .basic, .simple, .mixed: 2...4
        case .standard: 1...1
        }
    }
}
