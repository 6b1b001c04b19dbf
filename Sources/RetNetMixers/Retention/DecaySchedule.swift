import Foundation

/// The decay of every head: the factor by which a head's memory shrinks from one position to the next.
///
/// A head of decay g sees a window of about 1 / (1 - g) positions. The values are the same in every layer and
/// never trained.
public enum DecaySchedule: Sendable, Equatable {
    /// 1 - 2^(-5-i): the paper's Eq. 8, torchscale and fla. Windows 32, 64, 128, and so on.
    case standard
    /// 1 - exp(linspace(ln 1/32, ln 1/512, h)): the paper's experiments. Windows from 32 to 512.
    case experiment
    /// 1 - 2^(-5-i/4): the small-head ablation of the NeurIPS paper.
    case quarterSteps
    /// The same decay for every head; 1 never forgets.
    case uniform(Double)
    /// One decay a head, in head order.
    case list([Double])

    /// The decay of every head; a list is returned as it is, whatever its length.
    public func gammas(headCount: Int) -> [Double] {
        switch self {
        case .uniform(let gamma): Array(repeating: gamma, count: max(0, headCount))
        case .list(let gammas): gammas
        case .standard, .experiment, .quarterSteps: forgetting(headCount: headCount).map { 1 - $0 }
        }
    }

    /// The natural logarithm of every head's decay, exact to rounding however close to 1 the decay is.
    public func logGammas(headCount: Int) -> [Double] {
        switch self {
        case .uniform, .list: gammas(headCount: headCount).map { log($0) }
        case .standard, .experiment, .quarterSteps: forgetting(headCount: headCount).map { log1p(-$0) }
        }
    }

    /// 1 - g of every head, which keeps its digits where g itself has rounded to 1.
    private func forgetting(headCount: Int) -> [Double] {
        let heads = 0..<max(0, headCount)
        switch self {
        case .uniform(let gamma): return heads.map { _ in 1 - gamma }
        case .list(let gammas): return gammas.map { 1 - $0 }
        case .standard: return heads.map { exp2(-5 - Double($0)) }
        case .quarterSteps: return heads.map { exp2(-5 - Double($0) / 4) }
        case .experiment:
            // Powers of two: ln 1/32 … ln 1/512 is -5 ln 2 … -9 ln 2, so both ends come out exact.
            let steps = Double(max(1, headCount - 1))
            return heads.map { exp2(-5 - 4 * Double($0) / steps) }
        }
    }
}
