import Foundation
import RetNetGeneration
import RetNetLayers
import RetNetModels
import RetNetTorch
import Testing

struct T5GeneratorTests {
    /// The models of the golden values: weights that any program can make again.
    static func model(gated: Bool, _ type: ElementType = .float32) throws -> T5Model {
        let configuration = T5Configuration(
            vocabularySize: 32, hiddenSize: 8, headCount: 2, keySize: 3, innerSize: 12, encoderLayerCount: 2,
            feedForward: gated ? .gatedGelu : .relu, tiedOutput: !gated, bucketCount: 8, maximumDistance: 20)
        var order: [String: Int] = [:]
        for (index, entry) in try configuration.parameterShapes().enumerated() { order[entry.name] = index }
        let store = ParameterStore(
            source: .provided { name, shape in
                let isTable = name.contains("shared") || name.contains("bias")
                let scale = isTable ? 1 : 1.5 / Double(shape.last ?? 1).squareRoot()
                let values = (0..<shape.reduce(1, *)).map { i in
                    let wave = sin(0.1 * Double(i + 1) * Double(i + 1) * Double((order[name] ?? 0) + 2))
                    return shape.count == 1 ? 1 + 0.1 * wave : scale * wave
                }
                return try Tensor.from(values, shape)
            }, elementType: type)
        return try T5Model(configuration, parameters: store, computeType: type)
    }

    static let sources: [[Int32]] = [[5, 9, 3, 17, 22, 8, 11, 13, 21, 6, 4, 1], [7, 2, 30, 1]]

    @Test func `Greedy outputs are those of Hugging Face's T5`() throws {
        let parameters = BeamSearchParameters(maxTokens: 10)
        let plain = try T5Generator(Self.model(gated: false)).generate(Self.sources, parameters)
        #expect(
            plain.map { $0[0].tokens } == [
                [2, 2, 2, 21, 21, 21, 21, 21, 21, 21], [2, 2, 2, 2, 2, 2, 2, 2, 2, 2],
            ])
        #expect(plain.allSatisfy { !$0[0].isFinished })
        let gated = try T5Generator(Self.model(gated: true)).generate(Self.sources, parameters)
        #expect(gated.map { $0[0].tokens } == [[1], [3, 23, 24, 24, 24, 24, 24, 24, 24, 24]])
        #expect(gated[0][0].isFinished && !gated[1][0].isFinished)
    }

    /// Two outputs of three beams for both sources, with their scores, by Hugging Face's T5.
    static let beams:
        [(penalty: Double, stopping: BeamSearchParameters.Stopping, first: [Int32], scores: [Double])] = [
            (
                1, .heuristic, [12, 12, 12, 12, 12, 4, 4, 4, 4, 4],
                [-1.7341626, -1.7439606, -1.8006728, -1.8404270]
            ),
            (0.3, .full, [1], [-1.8181572, -8.6914015, -9.0247421, -9.2239857]),
            (
                2, .never, [12, 12, 12, 12, 12, 4, 4, 4, 4, 4],
                [-0.1734163, -0.1743961, -0.1800673, -0.1840427]
            ),
        ]

    @Test(arguments: [0, 1, 2]) func `Beams are those of Hugging Face's T5`(index: Int) throws {
        let golden = Self.beams[index]
        let parameters = BeamSearchParameters(
            maxTokens: 10, beamCount: 3, lengthPenalty: golden.penalty, stopping: golden.stopping,
            outputCount: 2)
        let found = try T5Generator(Self.model(gated: true)).generate(Self.sources, parameters)
        #expect(found[0][0].tokens == golden.first)
        #expect(found[1][0].tokens == [Int32](repeating: 24, count: 10))
        #expect(found[1][1].tokens == [Int32](repeating: 24, count: 9) + [30])
        for (score, expected) in zip(found.flatMap { $0.map(\.score) }, golden.scores) {
            #expect(abs(score - expected) < 2e-5 * abs(expected))
        }
        #expect(found[0][0].isFinished == (golden.first == [1]))
    }

    @Test func `One beam is greedy, and rows do not influence each other`() throws {
        let generator = T5Generator(try Self.model(gated: true, .float64))
        let parameters = BeamSearchParameters(maxTokens: 12, beamCount: 4, lengthPenalty: 0.7, outputCount: 4)
        let together = try generator.generate(Self.sources, parameters)
        for (index, source) in Self.sources.enumerated() {
            let alone = try generator.generate([source], parameters)[0]
            #expect(alone.map(\.tokens) == together[index].map(\.tokens))
            #expect(alone.map(\.score) == alone.map(\.score).sorted(by: >))
            for (a, b) in zip(alone, together[index]) { #expect(abs(a.score - b.score) < 1e-12) }
        }
    }

    @Test func `Scores are the log-probabilities of a teacher-forced pass`() throws {
        let model = try Self.model(gated: true, .float64)
        let parameters = BeamSearchParameters(maxTokens: 6, beamCount: 5, lengthPenalty: 0, outputCount: 5)
        for output in try T5Generator(model).generate([Self.sources[1]], parameters)[0] {
            let batch = try T5Batch(
                sources: [Self.sources[1]], targets: [output.tokens], configuration: model.configuration)
            #expect(abs(try model.score(batch).crossEntropy + output.score) < 1e-10)
        }
        let greedy = try T5Generator(model).generate(
            [Self.sources[1]], BeamSearchParameters(maxTokens: 6, lengthPenalty: 0))[0][0]
        let batch = try T5Batch(
            sources: [Self.sources[1]], targets: [greedy.tokens], configuration: model.configuration)
        let score = try model.score(batch)
        #expect(abs(score.crossEntropy + greedy.score) < 1e-10 && score.correctCount == 6)
    }

    @Test func `As many beams as outputs exist find the best of all`() throws {
        // Two tokens long over 32 tokens: 32 beams keep every first token, so the search is exhaustive.
        let model = try Self.model(gated: true, .float64)
        let parameters = BeamSearchParameters(
            maxTokens: 2, beamCount: 32, lengthPenalty: 0, stopping: .never, outputCount: 1, endTokens: [])
        let found = try T5Generator(model).generate([Self.sources[0]], parameters)[0][0]
        var best = -Double.infinity
        for first in 0..<32 {
            let rows = (0..<32).map { [Int32(first), Int32($0)] }
            let batch = try T5Batch(
                sources: rows.map { _ in Self.sources[0] }, targets: rows, configuration: model.configuration)
            let losses = try withoutGradients {
                let logits = try model(batch).reshaped([64, 32])
                return try FusedOperators.tokenLosses(logits, targets: batch.targets.reshaped([-1])).losses
                    .reshaped([32, 2]).sum([1])
            }
            best = try max(best, -losses.min().item())
        }
        #expect(abs(found.score - best) < 1e-10)
    }

    @Test func `A cancelled search returns what it has`() throws {
        let generator = T5Generator(try Self.model(gated: false))
        for beams in [1, 2] {
            var steps = 0
            let found = try generator.generate(
                Self.sources, BeamSearchParameters(maxTokens: 50, beamCount: beams)
            ) {
                steps += 1
                return steps > 3
            }
            #expect(found.map { $0[0].tokens.count } == [3, 3])
            #expect(found.allSatisfy { !$0[0].isFinished })
        }
    }

    @Test func `Parameters that make no search are refused`() throws {
        let generator = T5Generator(try Self.model(gated: false))
        let wrong = [
            (BeamSearchParameters(maxTokens: 0), "number of tokens"),
            (BeamSearchParameters(beamCount: 0), "number of beams"),
            (BeamSearchParameters(beamCount: 300), "number of beams"),
            (BeamSearchParameters(lengthPenalty: .nan), "length penalty"),
            (BeamSearchParameters(beamCount: 2, outputCount: 3), "number of outputs"),
        ]
        for (parameters, name) in wrong {
            let error = #expect(throws: BeamSearchError.self) { try generator.generate([[1]], parameters) }
            #expect(error?.description.hasPrefix("the \(name) must be") == true)
        }
        #expect(throws: T5Error.emptyBatch) { try generator.generate([]) }
        let size = generator.model.configuration.vocabularySize
        #expect(throws: T5Error.tokenOutOfRange(token: 99, vocabularySize: size)) {
            try generator.generate([[99]])
        }
    }
}
