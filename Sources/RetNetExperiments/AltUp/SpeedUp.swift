/// How much faster a model is than a dense one of the same accuracy, as the authors of AltUp define it.
///
/// The latency of dense models as a function of their accuracy is a line through the measured ones; the speed-up is
/// (its value at the accuracy - the latency) / the latency. Source: the Google Research blog on AltUp, November 2023.
enum SpeedUp: Sendable, Equatable {
    /// A fraction: 0.27 for 27 % faster; negative for slower.
    case value(Double)
    /// A line needs at least three dense models.
    case tooFewModels
    /// Larger dense models are not more accurate, so there is no line.
    case accuracyDoesNotRise
    /// More accurate than the largest dense model: that would need extrapolation.
    case aboveAll
    /// Less accurate than the smallest dense model.
    case belowAll
    /// Even the largest dense model does no better than without any skill.
    case withoutSkill
    /// A number is missing.
    case unknown

    /// The speed-up of a model over dense ones, which are given in the order of their size.
    ///
    /// `floor` is what takes no skill, such as the score of always the same answer.
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

    /// The fraction, if there is one.
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
        case .withoutSkill: "– (the largest dense model answers no better than always the same)"
        case .unknown: "–"
        }
    }
}
