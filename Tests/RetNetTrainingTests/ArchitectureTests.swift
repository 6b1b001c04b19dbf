import Foundation
import RetNetCheckpoints
import RetNetEvaluation
import RetNetGeneration
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetStorage
import RetNetTestSupport
import RetNetText
import RetNetTorch
import RetNetTraining
import Testing

/// Every compared architecture through everything that is done with models.
@Suite struct ArchitectureTests {
    static let all = ComparedArchitecture.allCases

    private func configuration(_ architecture: ComparedArchitecture) -> LanguageModelConfiguration {
        architecture.configuration(
            width: 32, layerCount: 2, vocabularySize: 256, trainingLength: 64,
            sizes: ComparedSizes(retentionKeySize: 16, headSize: 16))
    }

    /// A model that was trained for a few steps, so that no parameter is zero as some initial values are.
    private func trained(_ architecture: ComparedArchitecture, _ folder: URL) throws -> LanguageModel {
        var settings = try Tiny.configuration(in: folder, steps: 6)
        settings.task.model = configuration(architecture)
        settings.training.optimizer.learningRate = 3e-3
        let path = folder.appendingPathComponent("run").path
        _ = try TrainingRun(settings, folder: path).run()
        return try ModelFolder.load(
            try RunFolder.modelPath(for: path), elementType: .float32, device: .cpu, computeType: .float32
        ).model
    }

    @Test(arguments: all)
    func `Training lowers the loss, and a resumed run equals an uninterrupted one`(
        architecture: ComparedArchitecture
    ) throws {
        try withFolder { folder in
            var settings = try Tiny.configuration(in: folder, steps: 8)
            settings.task.model = configuration(architecture)
            settings.training.optimizer.learningRate = 5e-3
            let expected = Recorder()
            let whole = folder.appendingPathComponent("whole").path
            _ = try TrainingRun(settings, folder: whole).run(observers: [expected])
            let (first, last) = (try #require(expected.losses[1]), try #require(expected.losses[8]))
            #expect(last < first)
            let path = folder.appendingPathComponent("parts").path
            let (recorder, flag) = (Recorder(), InterruptFlag())
            recorder.stop = (5, flag)
            _ = try TrainingRun(settings, folder: path).run(interrupt: flag, observers: [recorder])
            recorder.stop = nil
            _ = try TrainingRun(settings, folder: path, resume: true).run(observers: [recorder])
            #expect(recorder.losses == expected.losses)
            #expect(recorder.validations == expected.validations)
        }
    }

    @Test(arguments: all)
    func `Generation continues from a saved state and from a fork, rows of any length`(
        architecture: ComparedArchitecture
    ) throws {
        try withFolder { folder in
            let model = try trained(architecture, folder)
            let tokenizer = ByteTokenizer()
            let prompts = ["Once upon", "Ann", "The cat sat on a mat"]
            var greedy = SamplingParameters()
            greedy.temperature = 0
            greedy.maxTokens = 12
            let whole = try GenerationSession(model: model, tokenizer: tokenizer).generate(prompts, greedy)
            for (row, prompt) in prompts.enumerated() {
                let alone = try GenerationSession(model: model, tokenizer: tokenizer)
                    .generate([prompt], greedy)
                #expect(alone[0].tokens == whole[row].tokens, "row \(row)")
            }
            greedy.maxTokens = 5
            var options = GenerationOptions()
            options.keepsUnfinishedText = true
            let session = try GenerationSession(model: model, tokenizer: tokenizer, options: options)
            let begun = try session.generate(prompts, greedy)
            let file = folder.appendingPathComponent("state").path
            try StateFile.write(try #require(try session.savedState()), of: model, to: file)
            let saved = try StateFile.read(file, for: model)
            greedy.maxTokens = 7
            let resumed = try GenerationSession(model: model, tokenizer: tokenizer, resuming: saved)
            let ended = try resumed.generate(["", "", ""], greedy)
            for row in prompts.indices {
                #expect(begun[row].tokens + ended[row].tokens == whole[row].tokens, "row \(row)")
            }
        }
    }

    @Test(arguments: all)
    func `Evaluation is the same in all forms`(architecture: ComparedArchitecture) throws {
        try withFolder { folder in
            let model = try trained(architecture, folder)
            let stream = try Tiny.stream(byteCount: 600)
            var results: [Double] = []
            for form in [MixerForm.parallel, .chunkwise(16), .recurrent]
            where model.unsupportedReason(for: form) == nil {
                let options = PerplexityOptions(
                    form: form, windowLength: 64, mode: .independent(rowCount: 2, overlap: 0))
                let perplexity = try Perplexity(model, options: options)
                results.append(try perplexity.measure(stream).totalNats)
            }
            for other in results.dropFirst() { #expect(abs(other / results[0] - 1) < 1e-5) }
        }
    }

    @Test(arguments: all)
    func `Recomputed activations change nothing`(architecture: ComparedArchitecture) throws {
        let model = try Tiny.build(configuration(architecture), type: .float64)
        let tokens = try Tensor.from((0..<40).map { Int64(($0 * 37) % 251) }, [2, 20])
        try model.parameters.setRequiresGradient(true)
        func gradients() throws -> [Tensor] {
            let loss = try model.lossSum(tokens, targets: tokens, form: model.configuration.trainingForm).loss
            try loss.backward()
            let found = try model.parameters.tensors.compactMap { try $0.gradient()?.clone() }
            try model.parameters.clearGradients()
            return found
        }
        let kept = try gradients()
        model.recomputesActivations = true
        let recomputed = try gradients()
        #expect(kept.count == recomputed.count)
        for (a, b) in zip(recomputed, kept) {
            let difference = try (a - b).abs().max().item()
            #expect(difference <= 1e-9 * (try b.abs().max().item()) + 1e-12)
        }
    }

    @Test(arguments: all)
    func `The budget of a block is 12 d d at the paper's width`(architecture: ComparedArchitecture) throws {
        let c = architecture.configuration(
            width: 1024, layerCount: 16, vocabularySize: 32_000, trainingLength: 2048)
        try c.validate()
        let block = try ModelAccounting(c).parameters
        let share = Double(block.mixers + block.feedForwards) / Double(16 * 12 * 1024 * 1024)
        #expect(abs(share - 1) < 0.03, "\(share)")
    }
}
