import Foundation
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetText
import RetNetTorch

/// Times the passes of several models alternately, so that all of them are measured under the same conditions.
///
/// Speed does not depend on the values of weights and tokens, so the models are untrained and the tokens random.
struct AltUpLatency {
    /// A timed pass.
    enum Pass: String, CaseIterable {
        /// A forward pass over a batch with logits, as in scoring.
        case forward
        /// A forward and a backward pass over the same batch.
        case training
        /// Generation steps of one sequence, starting after half a training length.
        case step

        /// Repetitions within one timing.
        var count: Int { self == .step ? 8 : 1 }

        /// Returns the name of a model's value.
        func key(_ contender: AltUpContender) -> String { "\(rawValue) seconds \(contender.slug)" }
    }

    let context: ExperimentContext
    let plan: AltUpPlan

    /// Returns the median seconds of every pass of every model over some rounds.
    ///
    /// At the `paper` scale, rounds contain models of one size only, because all models would not fit into memory.
    func values(_ contenders: [AltUpContender], seed: Int, _ progress: ExperimentUnit.Progress) throws
        -> [String: Double]
    {
        let groups =
            context.scale == .paper ? Dictionary(grouping: contenders, by: \.size).map(\.value) : [contenders]
        var values: [String: Double] = [:]
        for group in groups {
            let subjects = try group.map { try subject($0, seed: seed) }
            var seconds: [String: [Double]] = [:]
            // The first round is a warm-up.
            for round in 0...plan.roundCount {
                let order = round % 2 == 0 ? Array(subjects.indices) : subjects.indices.reversed()
                for index in order {
                    for pass in Pass.allCases {
                        guard let work = subjects[index][pass] else { continue }
                        try context.device.synchronize()
                        let start = ContinuousClock.now
                        try work()
                        try context.device.synchronize()
                        let time = (ContinuousClock.now - start) / .seconds(1) / Double(pass.count)
                        if round > 0 { seconds[pass.key(group[index]), default: []].append(time) }
                    }
                }
                try progress.report("round \(round)", fraction: Double(round) / Double(plan.roundCount))
            }
            for (key, times) in seconds { values[key] = Sample(times).median }
        }
        return values
    }

    // MARK: Models

    private typealias Work = () throws -> Void

    private func subject(_ contender: AltUpContender, seed: Int) throws -> [Pass: Work] {
        switch contender.architecture {
        case .decoder(let configuration): try decoder(configuration, seed: seed)
        case .encoderDecoder(let configuration): try encoderDecoder(configuration, seed: seed)
        }
    }

    /// Returns a parameter store with random values.
    private func store(_ type: ElementType) -> ParameterStore {
        ParameterStore(source: .random(seed: 1), elementType: type, device: context.device)
    }

    private func decoder(_ configuration: LanguageModelConfiguration, seed: Int) throws -> [Pass: Work] {
        let learner = try withoutGradients {
            try LanguageModel(
                configuration, parameters: store(.float32), computeType: context.computeType)
        }
        try learner.parameters.setRequiresGradient(true)
        let reader = try withoutGradients {
            try LanguageModel(
                configuration, parameters: store(context.computeType), computeType: context.computeType)
        }
        let (batch, length) = (plan.decoder.batch, plan.decoder.length)
        var generator = SeededGenerator(seed: UInt64(bitPattern: Int64(seed)))
        let ids = (0..<batch * length).map { _ in Int64(generator.integer(below: 256)) }
        let tokens = try Tensor.from(ids, [batch, length], on: context.device)
        let form = configuration.trainingForm
        let random = try Generator(seed: 1, device: context.device)
        let start = try withoutGradients {
            let prompt = try tokens.sliced(0, 0..<1).sliced(1, 0..<max(1, length / 2))
            return try reader(prompt, form: form, lastOnly: true).state
        }
        let token = try Tensor.from([Int64(97)], [1, 1], on: context.device)
        return [
            .forward: { try withoutGradients { _ = try reader(tokens, form: form) } },
            .training: {
                let losses = AuxiliaryLosses()
                let pass = ForwardContext(isTraining: true, generator: random, auxiliaryLosses: losses)
                let sum = try learner.lossSum(tokens, targets: tokens, form: form, context: pass).0
                try (losses.total().map { try sum + $0 } ?? sum).backward()
                try learner.parameters.clearGradients()
            },
            .step: {
                try withoutGradients {
                    var state = start
                    var pass = ForwardContext.inference
                    for _ in 0..<Pass.step.count {
                        let (logits, next) = try reader(
                            token, state: state, form: .recurrent, lastOnly: true, context: pass)
                        pass.overwritesStates = true
                        // The next token depends on the logits, so generation waits for them.
                        _ = try logits.argmax(axis: -1).to(on: .cpu)
                        state = next
                    }
                }
            },
        ]
    }

    private func encoderDecoder(_ configuration: T5Configuration, seed: Int) throws -> [Pass: Work] {
        let learner = try withoutGradients {
            try T5Model(configuration, parameters: store(.float32), computeType: context.computeType)
        }
        try learner.parameters.setRequiresGradient(true)
        let reader = try withoutGradients {
            try T5Model(
                configuration, parameters: store(context.computeType), computeType: context.computeType)
        }
        let lengths = try plan.t5.lengths
        var generator = SeededGenerator(seed: UInt64(bitPattern: Int64(seed)))
        func rows(_ length: Int) -> [[Int32]] {
            (0..<plan.t5.batch).map { _ in (0..<length).map { _ in Int32(generator.integer(in: 3...258)) } }
        }
        let batch = try T5Batch(
            sources: rows(lengths.source), targets: rows(lengths.target), configuration: configuration,
            device: context.device)
        let random = try Generator(seed: 1, device: context.device)
        let start = try withoutGradients {
            let memory = try reader.encode(batch.source.sliced(0, 0..<1))
            var state = try reader.startDecoding(memory)
            for _ in 0..<max(1, lengths.target / 2) {
                let token = try Tensor.from([Int64(97)], on: context.device)
                state = try reader.cachedStep(token, state: state).state
            }
            return state
        }
        let token = try Tensor.from([Int64(97)], on: context.device)
        return [
            .forward: { try withoutGradients { _ = try reader(batch) } },
            .training: {
                let losses = AuxiliaryLosses()
                let pass = ForwardContext(isTraining: true, generator: random, auxiliaryLosses: losses)
                let sum = try learner.lossSum(batch, context: pass).sum
                try (losses.total().map { try sum + $0 } ?? sum).backward()
                try learner.parameters.clearGradients()
            },
            .step: {
                var state = start
                for _ in 0..<Pass.step.count {
                    let (logits, next) = try reader.cachedStep(token, state: state)
                    _ = try logits.argmax(axis: -1).to(on: .cpu)
                    state = next
                }
            },
        ]
    }
}
