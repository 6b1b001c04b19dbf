/// Statements of the authors of AltUp (arXiv 2301.13310) about their results.
///
/// No reliable text of the tables of the paper was available, so none of their numbers is included.
public enum AltUpPaper {
    /// Speed-up of T5-Large with AltUp over a dense model of the same accuracy, in percent.
    public static let speedUps = PublishedTable(
        title: "speed-up of T5-Large with AltUp over a dense T5 of the same accuracy, in percent",
        source: "Google Research blog on AltUp, November 2023", grade: .stated,
        columns: ["GLUE", "SuperGLUE", "SQuAD", "TriviaQA"],
        rows: [.init("T5-Large + AltUp", [27, 39, 87, 29])], decimals: 0)

    /// A sentence on the numbers that are not shown.
    public static let unread =
        "The numbers of the tables of the paper are not shown, because no verifiable text of them was found."

    /// The statement on AltUp.
    static let sameSpeed = "AltUp is better than dense models of the same speed at every size"
    /// The statement on Recycled-AltUp.
    static let recycled =
        "Recycled-AltUp improves pretraining with the same number of parameters and no perceptible slowdown"
    /// The statement on experts.
    static let experts =
        "AltUp and sparse experts widen different parts of the model, so that their gains are additive"
}

/// The speed-up of a model over a dense one of the same accuracy, as defined by the authors of AltUp.
///
/// The latency of dense models is interpolated linearly as a function of their accuracy; the speed-up is (its value at
/// the model's accuracy - the model's latency) / the model's latency. Source: the Google Research blog on AltUp, November 2023.
enum SpeedUp: Sendable, Equatable {
    /// A fraction: 0.27 for 27 % faster; negative for slower.
    case value(Double)
    /// Interpolation needs at least three dense models.
    case tooFewModels
    /// Larger dense models are not more accurate, so interpolation is impossible.
    case accuracyDoesNotRise
    /// More accurate than the largest dense model, which would need extrapolation.
    case aboveAll
    /// Less accurate than the smallest dense model.
    case belowAll
    /// The largest dense model is no better than a constant answer.
    case withoutSkill
    /// A number is missing.
    case unknown

    /// Creates the speed-up of a model over dense ones, which are in the order of their size.
    ///
    /// `floor` is the score of a constant answer.
    init(
        accuracy: Double?, latency: Double?, dense: [(accuracy: Double?, latency: Double?)],
        floor: Double? = nil
    ) {
        guard dense.count >= 3 else {
            self = .tooFewModels
            return
        }
        let points = dense.compactMap { point -> (accuracy: Double, latency: Double)? in
            guard let accuracy = point.accuracy, let latency = point.latency else { return nil }
            return (accuracy, latency)
        }
        guard let accuracy, let latency, latency > 0, points.count == dense.count else {
            self = .unknown
            return
        }
        if let floor, let largest = points.last, largest.accuracy <= floor {
            self = .withoutSkill
            return
        }
        guard zip(points, points.dropFirst()).allSatisfy({ $0.accuracy < $1.accuracy }) else {
            self = .accuracyDoesNotRise
            return
        }
        guard accuracy >= points[0].accuracy else {
            self = .belowAll
            return
        }
        guard let index = points.indices.dropFirst().first(where: { points[$0].accuracy >= accuracy }) else {
            self = .aboveAll
            return
        }
        let (low, high) = (points[index - 1], points[index])
        let share = (accuracy - low.accuracy) / (high.accuracy - low.accuracy)
        self = .value((low.latency + share * (high.latency - low.latency) - latency) / latency)
    }

    /// The fraction; nil if there is none.
    var fraction: Double? {
        if case .value(let fraction) = self { fraction } else { nil }
    }

    /// The cell of a table.
    var text: String {
        switch self {
        case .value(let fraction):
            (fraction < 0 ? "−" : "+") + String(Int((abs(fraction) * 100).rounded())) + " %"
        case .tooFewModels: "– (fewer than three dense models)"
        case .accuracyDoesNotRise: "– (dense accuracy does not rise with size)"
        case .aboveAll: "– (above the largest dense model)"
        case .belowAll: "– (below the smallest dense model)"
        case .withoutSkill: "– (the largest dense model is no better than a constant answer)"
        case .unknown: "–"
        }
    }
}
