import Foundation
import RetNetArchitecture
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

    /// Declares them with the papers' initial values: C complex normal of unit variance, B = 1, D normal.
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

    /// All parameters of the system.
    var weights: [Tensor] { [logStep, logDecay, frequency] + (input.map { [$0] } ?? []) + [readout, skip] }

    /// Returns the discrete system, differentiable with respect to the parameters.
    func system() throws -> DiagonalSystem {
        try DiagonalSystem(
            logStep: logStep, logDecay: logDecay, frequency: frequency,
            input: input.map { try ComplexTensor(planes: $0, axis: 2) },
            readout: ComplexTensor(planes: readout, axis: 2), skip: skip, discretization: discretization)
    }

    /// True if a graph is being recorded through the parameters.
    var areRecorded: Bool { gradientsAreEnabled && weights.contains(where: \.requiresGradient) }
}

/// Tables computed from weights, kept until a byte of the weights changes.
///
/// Decoding steps would otherwise compute the same tables for every token. A fingerprint of the bytes of the weights
/// detects every change; off the CPU there is none, and nothing is kept.
final class DerivedTables {
    private struct Kept {
        var fingerprint: UInt64
        var size: Int
        var type: ElementType
        var tables: [Tensor]
    }
    private var kept: Kept?
    private let lock = NSLock()

    /// Returns the tables for weights, at least of a size and exactly of a type; made without gradients.
    func callAsFunction(_ weights: [Tensor], size: Int, _ type: ElementType, _ make: () throws -> [Tensor])
        throws
        -> [Tensor]
    {
        guard weights.allSatisfy({ $0.device == .cpu }) else { return try withoutGradients(make) }
        let fingerprint = try Tensor.fingerprint(of: weights)
        lock.lock()
        defer { lock.unlock() }
        if let kept, kept.fingerprint == fingerprint, kept.size >= size, kept.type == type {
            return kept.tables
        }
        let tables = try withoutGradients(make)
        kept = Kept(fingerprint: fingerprint, size: size, type: type, tables: tables)
        return tables
    }
}
