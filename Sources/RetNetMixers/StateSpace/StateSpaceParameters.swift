import Foundation
import RetNetLayers
import RetNetTorch

/// The parameters of a diagonal state space: log Δ, log(-Re A), Im A, B, C and D.
///
/// Δ, A and B have a learning rate of at most 1e-3 and no weight decay: they drive exponentials of the whole
/// sequence.
struct StateSpaceParameters {
    private let logStep: Tensor
    private let logDecay: Tensor
    private let frequency: Tensor
    private let input: Tensor?
    private let readout: Tensor
    private let skip: Tensor
    private let discretization: Discretization

    static let maximumLearningRate = 1e-3
    /// Δ is drawn log-uniformly between these.
    static let stepRange = 1e-3...1e-1

    /// Declares them as drawn by the papers: C complex normal of unit variance, B = 1, D normal.
    init(
        _ scope: ParameterScope, channelCount: Int, stateSize: Int, initialization: StateSpaceInitialization,
        discretization: Discretization, trainsInput: Bool
    ) throws {
        self.discretization = discretization
        let modes = stateSize / 2
        func timing(_ name: String, _ shape: [Int], _ initializer: Initializer) throws -> Tensor {
            try scope.parameter(
                name, shape, initializer, decays: false, maximumLearningRate: Self.maximumLearningRate)
        }
        let steps = Self.stepRange
        logStep = try timing(
            "log_step", [channelCount],
            .uniform(from: log(steps.lowerBound), to: log(steps.upperBound)))
        logDecay = try timing("log_decay", [channelCount, modes], .constant(log(0.5)))
        frequency = try timing(
            "frequency", [channelCount, modes], .values(initialization.frequencies(stateSize: stateSize)))
        input = trainsInput ? try timing("input", [channelCount, modes, 2], .values([1, 0])) : nil
        readout = try scope.parameter(
            "readout", [channelCount, modes, 2], .normal(standardDeviation: 0.5.squareRoot()))
        skip = try scope.parameter("skip", [channelCount], .normal(standardDeviation: 1))
    }

    /// Everything that a system depends on.
    var weights: [Tensor] { [logStep, logDecay, frequency] + (input.map { [$0] } ?? []) + [readout, skip] }

    /// The discrete system, differentiable with respect to the parameters.
    func system() throws -> DiagonalSystem {
        try DiagonalSystem(
            logStep: logStep, logDecay: logDecay, frequency: frequency,
            input: input.map { try ComplexTensor(planes: $0, axis: 2) },
            readout: ComplexTensor(planes: readout, axis: 2), skip: skip, discretization: discretization)
    }

    /// Whether a graph is being recorded through the parameters.
    var areRecorded: Bool { gradientsAreEnabled && weights.contains(where: \.requiresGradient) }
}
