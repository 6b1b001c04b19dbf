import Foundation
import RetNetArchitecture
import RetNetCheckpoints
import RetNetLayers
import RetNetModels
import RetNetRuntime
import RetNetTestSupport
import RetNetTorch
import Testing

/// A small T5 with random weights in both engines.
struct EncoderDecoderPair {
    let torch: T5Model
    let runtime: EncoderDecoderModel
    let runner: EncoderDecoderRunner
    private let folder: TemporaryFolder
    var path: String { folder.path("model") }

    init(
        _ configuration: T5Configuration, threads: Int = 2, elementType: ElementType = .float32,
        stateType: StateElementType = .float32
    ) throws {
        folder = try TemporaryFolder()
        let path = folder.path("model")
        try T5Folder.save(Self.model(configuration), to: path, elementType: elementType)
        torch = try T5Folder.load(path, elementType: .float32).model
        runtime = try EncoderDecoderModel(path: path, stateType: stateType)
        runner = try EncoderDecoderRunner(runtime, threads: threads)
    }

    /// Weights that make every part of a model matter: norms near 1, matrices that keep magnitudes.
    static func model(_ configuration: T5Configuration, seed: UInt64 = 5, scale: Double = 1.2) throws
        -> T5Model
    {
        let generator = try Generator(seed: seed)
        let store = ParameterStore(
            source: .provided { name, shape in
                let isNorm = name.contains("norm.weight")
                let isTable = name.contains("relative_attention_bias") || name.contains("shared")
                let width = Double(shape[shape.count - 1])
                let deviation = isNorm ? 0.3 : isTable ? 1 : scale / width.squareRoot()
                return try generator.normal(shape, mean: isNorm ? 1 : 0, standardDeviation: deviation)
            })
        return try T5Model(configuration, parameters: store, computeType: .float32)
    }

    static func tokens(_ count: Int, seed: Int = 0) -> [Int32] {
        EnginePair.tokens(count, seed: seed, vocabularySize: 23)
    }

    /// Logits of LibTorch for the targets of one source, the last token of which nothing follows.
    func expected(_ source: [Int32], _ targets: [Int32]) throws -> [Float] {
        let batch = try T5Batch(
            sources: [source], targets: [targets], configuration: torch.configuration)
        return try withoutGradients { try torch(batch).values(as: Float.self) }
    }

    /// The decoder's inputs for targets.
    func inputs(_ targets: [Int32]) -> [Int32] { [runtime.startToken] + targets.dropLast() }

    /// Logits of the runtime for targets that are read at once.
    func found(_ source: [Int32], _ targets: [Int32]) throws -> [Float] {
        var states = try runner.encode([source])
        let logits = try runner.read([inputs(targets)], &states, logits: .all)
        return targets.indices.flatMap { row in logits.map { Array($0[row]) } ?? [] }
    }

    /// Logits of the runtime, token by token.
    func steps(_ source: [Int32], _ targets: [Int32]) throws -> [Float] {
        var states = try runner.encode([source])
        return try inputs(targets).flatMap { try Array(runner.step([$0], &states)[0]) }
    }
}

/// Encoder-decoders of the runtime are those of LibTorch, and rows are computed as if each were alone.
@Suite struct EncoderDecoderTests {
    struct Variant: CustomTestStringConvertible, Sendable {
        let name: String
        let configuration: T5Configuration
        var testDescription: String { name }

        init(_ name: String, _ change: (inout T5Configuration) -> Void = { _ in }) {
            self.name = name
            // Inner widths differ from the model's on purpose.
            var c = T5Configuration(
                vocabularySize: 23, hiddenSize: 16, headCount: 3, keySize: 5, innerSize: 20,
                encoderLayerCount: 2, decoderLayerCount: 3, bucketCount: 8, maximumDistance: 20)
            change(&c)
            configuration = c
        }

        static func altUp(_ name: String, _ altUp: AltUpConfiguration) -> Variant {
            Variant(name) {
                $0.altUp = altUp
                if altUp.kind == .sum { ($0.tiedOutput, $0.scaledOutput) = (false, false) }
            }
        }
    }

    static let variants: [Variant] = [
        Variant("v1.0"),
        Variant("v1.1") {
            $0.feedForward = .gatedGelu
            ($0.tiedOutput, $0.scaledOutput) = (false, false)
        },
        Variant("exact gelu, tied without scaling") {
            $0.feedForward = .gelu
            $0.scaledOutput = false
        },
        Variant("gated silu, more buckets, other norm") {
            $0.feedForward = .gatedSilu
            $0.bucketCount = 32
            $0.maximumDistance = 128
            $0.epsilon = 1e-2
        },
        Variant("one layer each, other start") {
            $0.feedForward = .gatedRelu
            ($0.encoderLayerCount, $0.decoderLayerCount) = (1, 1)
            $0.startToken = 7
        },
        .altUp("AltUp", AltUpConfiguration()),
        .altUp("AltUp of predicted inputs", AltUpConfiguration(streamCount: 3, layerInput: .predicted)),
        .altUp("Recycled-AltUp", AltUpConfiguration(kind: .recycled, streamCount: 3)),
        .altUp("Sum", AltUpConfiguration(kind: .sum)),
        .altUp("Gemma's AltUp", AltUpConfiguration(kind: .gemma, streamCount: 4)),
        Variant("experts") {
            $0.feedForward = .gatedGelu
            $0.experts = T5ExpertsConfiguration(ExpertsConfiguration(count: 4))
        },
        Variant("partial experts in the decoder") {
            $0.experts = T5ExpertsConfiguration(
                ExpertsConfiguration(routing: .partial, count: 6, capacityFactor: nil, innerSize: 3),
                sides: .decoder, period: 1)
        },
    ]

    @Test(arguments: variants) func `logits are those of LibTorch, whole and by steps`(_ variant: Variant)
        throws
    {
        let pair = try EncoderDecoderPair(variant.configuration)
        // Beyond the largest distance of a bucket, of one token, and longer than a part of a layer.
        for (source, target) in [(37, 13), (1, 2), (301, 5), (2, 70)] {
            let (source, targets) = (
                EncoderDecoderPair.tokens(source, seed: 3), EncoderDecoderPair.tokens(target)
            )
            let expected = try pair.expected(source, targets)
            #expect(relativeError(try pair.found(source, targets), expected) < 1e-5)
            #expect(relativeError(try pair.steps(source, targets), expected) < 1e-5)
        }
    }

    @Test(arguments: [ElementKind.bfloat16, .float16])
    func `weights in 16 bits, and keys and values in 16 bits`(_ kind: ElementKind) throws {
        let (source, targets) = (EncoderDecoderPair.tokens(33), EncoderDecoderPair.tokens(9, seed: 2))
        let narrow = try EncoderDecoderPair(Self.variants[1].configuration, elementType: kind.element)
        let expected = try narrow.expected(source, targets)
        #expect(relativeError(try narrow.found(source, targets), expected) < kind.bound)
        let states = try EncoderDecoderPair(
            Self.variants[1].configuration, stateType: kind == .bfloat16 ? .bfloat16 : .float16)
        let exact = try states.expected(source, targets)
        #expect(relativeError(try states.steps(source, targets), exact) < kind.bound)
        let bytes = try states.runner.encode([source])[0].byteCount
        #expect(bytes == 33 * states.runtime.stateByteCountPerToken && bytes == 33 * 3 * 2 * 15 * 2)
    }

    /// The numbers of Hugging Face Transformers, in the fixtures that LibTorch's engine is tested with too.
    @Test(arguments: ["t5-v1.0", "t5-v1.1"]) func `logits are those of Transformers`(name: String) throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("RetNetCheckpointsTests/Fixtures/parity/\(name)").path
        let runner = try EncoderDecoderRunner(EncoderDecoderModel(path: folder), threads: 1)
        let peer = try SafetensorsTensors(file: folder + "/expected.safetensors")
        func rows(_ name: String) throws -> [[Int32]] {
            let tensor = try peer.tensor(named: name)
            let values = try tensor.values(as: Int64.self)
            return (0..<tensor.size(0)).map { row in
                values[row * tensor.size(1)..<(row + 1) * tensor.size(1)].map(Int32.init).prefix { $0 != 0 }
                    .map { $0 }
            }
        }
        let targets = try rows("targets")
        let expected = try peer.tensor(named: "logits")
        var states = try runner.encode(rows("sources"))
        let inputs = targets.map { [runner.model.startToken] + $0.dropLast() }
        let found = try #require(try runner.read(inputs, &states, logits: .all))
        var first = 0
        for (row, target) in targets.enumerated() {
            let values = try expected.selected(0, row).sliced(0, 0..<target.count).contiguous()
                .values(as: Float.self)
            let own = (first..<first + target.count).flatMap { Array(found[$0]) }
            #expect(relativeError(own, values) < 1e-5)
            first += target.count
        }
    }

    // MARK: Rows

    private static func bits(_ logits: Logits?, row: Int) -> [UInt32] {
        logits.map { $0[row].map(\.bitPattern) } ?? []
    }

    @Test(arguments: [variants[0], variants[1], variants[5], variants[9], variants[10]])
    func `sources and outputs have the bits that they have alone, however they are cut`(_ variant: Variant)
        throws
    {
        let pair = try EncoderDecoderPair(variant.configuration)
        let sources = [5, 300, 1, 64, 17].enumerated().map { EncoderDecoderPair.tokens($1, seed: $0) }
        let targets = sources.indices.map { EncoderDecoderPair.tokens(6, seed: 9 + $0) }
        let alone = try zip(sources, targets).map { source, targets in
            var state = try pair.runner.encode([source])
            return try pair.inputs(targets).map { Self.bits(try pair.runner.step([$0], &state), row: 0) }
        }
        let narrow = try EncoderDecoderRunner(pair.runtime, threads: 1)
        for runner in [pair.runner, narrow] {
            // Sources join at different times and are read a little at a time.
            var readings: [SourceReading] = []
            for source in sources {
                readings.append(try SourceReading(source, pair.runtime))
                try runner.read(readings.reversed(), tokenLimit: 1)
            }
            while readings.contains(where: { $0.state == nil }) { try runner.read(readings, tokenLimit: 3) }
            var states = readings.compactMap(\.state)
            for step in 0..<6 {
                let next = targets.map { pair.inputs($0)[step] }
                let logits = try runner.step(next, &states)
                for row in sources.indices { #expect(Self.bits(logits, row: row) == alone[row][step]) }
            }
        }
        // A target that is read at once.
        var states = try pair.runner.encode(sources)
        let logits = try pair.runner.read(targets.map(pair.inputs), &states)
        for row in sources.indices { #expect(Self.bits(logits, row: row) == alone[row][5]) }
    }

    @Test func `copies of a state share the source and go on on their own`() throws {
        let pair = try EncoderDecoderPair(Self.variants[0].configuration)
        var states = try pair.runner.encode([EncoderDecoderPair.tokens(9)])
        var copy = states
        let first = Self.bits(try pair.runner.step([0], &states), row: 0)
        let second = Self.bits(try pair.runner.step([3], &states), row: 0)
        #expect(Self.bits(try pair.runner.step([0], &copy), row: 0) == first)
        #expect(Self.bits(try pair.runner.step([3], &copy), row: 0) == second)
        let scores = try pair.runner.score(
            [[TokenTarget(position: 0, token: 4)]], reading: [[5]], &copy)
        #expect(scores[0][0].logProbability < 0 && copy[0].tokenCount == 3)
    }

    @Test func `sources, tokens and states that do not fit are refused`() throws {
        let pair = try EncoderDecoderPair(Self.variants[0].configuration)
        let other = try EncoderDecoderPair(Self.variants[4].configuration)
        #expect(throws: RuntimeError.emptySequence) { try pair.runner.encode([[]]) }
        #expect(throws: RuntimeError.unknownToken(23, vocabularySize: 23)) {
            try pair.runner.encode([[1, 23]])
        }
        var states = try pair.runner.encode([[1, 2]])
        #expect(throws: RuntimeError.unknownToken(-1, vocabularySize: 23)) {
            try pair.runner.step([-1], &states)
        }
        #expect(throws: RuntimeError.self) { try other.runner.step([1], &states) }
        #expect(states[0].tokenCount == 0)
        #expect(try pair.runner.encode([]).isEmpty)
    }
}
