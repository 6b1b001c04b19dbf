import Foundation
import RetNetLayers
import RetNetModels
import RetNetTestSupport
import RetNetTorch
import Testing

struct T5ModelTests {
    /// Logits of Hugging Face's T5 in float64 with the same weights: row 0 at its last token, row 1 at its last.
    static let golden: [Bool: (loss: Double, first: [Double], second: [Double])] = [
        false: (
            3.358120185609758,
            [
                -0.7264214, 0.5865529, 0.6325014, -0.4694517, -0.7763664, 0.6021887, 0.6194239, 0.5493640,
                -0.1626120, 0.3086865, -0.6840557, -0.3019434, -0.9766481, -0.7338775, -1.0059969, -0.6240910,
                -0.6584611, 0.8970984, -0.2646026, 0.4345749, 0.3937131, 0.7254317, -0.7226406, 0.0680819,
                0.5023104, 0.6325399, 0.2069346, 0.4484962, 0.2282000, 0.0038556, -0.5964551, 0.3929215,
            ],
            [
                -0.2303421, 1.4829135, 0.8307280, -0.5082062, -0.9275181, 1.5816515, 0.0896706, 1.2699234,
                -0.5950018, 0.1586119, -0.1244875, 0.0396563, -1.2522379, -0.3248973, -1.3520999, -0.5191402,
                -0.0133716, 0.7970147, -0.9405166, -0.2399478, -0.2306298, 0.2417878, -1.1424616, 0.7222509,
                0.8604593, 0.5868935, 0.5118077, 0.4131504, 0.4137893, 0.8335239, -0.5381906, -0.3495824,
            ]
        ),
        true: (
            3.042098606290393,
            [
                -1.8588045, 1.1402612, -1.5326757, 0.6353946, 0.7765584, -1.0844146, 1.1147353, 0.5481494,
                -1.5281186, -0.6171909, 0.8980439, 1.1031309, 1.1889899, -0.1739223, -0.9819314, -0.8406692,
                -1.6034640, -0.8244388, -1.3193672, -0.2613816, 0.3164721, 0.8646122, 1.7043944, -0.2523145,
                -1.6634691, 0.0803880, 1.6816369, -0.5943094, -1.5834736, 1.0550152, -0.6889050, 0.7549620,
            ],
            [
                -0.2719947, 0.4612150, -0.2080114, 1.4208378, -0.3437858, -0.0490414, 0.1739615, -0.8274531,
                0.1066584, 0.6945096, 0.1663641, 0.4808049, -1.1048648, -1.3112602, 0.0540962, -1.1729808,
                0.8607331, -1.0473358, 0.6700323, -1.1668888, -0.9135040, -0.1182848, -1.5678800, 0.8775672,
                1.9990390, -0.8643565, -2.0482565, 0.5996134, 1.6360432, 0.2723884, 1.1419308, -0.4273214,
            ]
        ),
    ]

    @Test(arguments: [false, true]) func `Logits and loss are those of Hugging Face's T5`(gated: Bool) throws
    {
        let golden = try #require(Self.golden[gated])
        let configuration = tinyT5(gated: gated)
        for (type, limit) in [(ElementType.float64, 3e-7), (.float32, 3e-6), (.bfloat16, 6e-2)] {
            let model = try madeUpT5(configuration, type == .float64 ? .float64 : .float32, compute: type)
            let batch = try T5Batch(
                sources: goldenSources, targets: goldenTargets, configuration: configuration)
            let logits = try withoutGradients { try model(batch) }
            #expect(logits.shape == [2, 4, 32])
            let first = try logits.selected(0, 0).selected(0, 3).doubles()
            let second = try logits.selected(0, 1).selected(0, 1).doubles()
            #expect(relativeDifference(first, golden.first) < limit)
            #expect(relativeDifference(second, golden.second) < limit)
            let loss = try model.lossSum(batch)
            #expect(loss.targetCount == 6 && batch.sourceCount == 16)
            #expect(abs(try loss.sum.item() / 6 - golden.loss) < golden.loss * limit)
            let score = try model.score(batch)
            #expect(abs(score.crossEntropy / 6 - golden.loss) < golden.loss * limit)
        }
    }

    @Test(arguments: [ElementType.float64, .float32, .bfloat16], [false, true])
    func `Steps with a cache equal a whole pass`(type: ElementType, gated: Bool) throws {
        let configuration = tinyT5(gated: gated, decoderLayers: 3)
        let model = try madeUpT5(configuration, type)
        let (tokens, segments) = try T5Batch.encoderInput(goldenSources, configuration: configuration)
        let limit: [ElementType: Double] = [.float64: 1e-12, .float32: 3e-6, .bfloat16: 4e-2]
        try withoutGradients {
            let encoded = try model.encode(tokens, segments: segments)
            // Longer than what is reserved at first; rows of one source differ.
            let length = 40
            func token(_ row: Int, _ time: Int) -> Int64 {
                time == 0 ? 0 : Int64((time * 7 + row * 5) % 32)
            }
            let rows: [[Int64]] = (0..<4).map { row in (0..<length).map { token(row, $0) } }
            var state = try model.startDecoding(encoded, groupSize: 2)
            #expect(state.sourceCount == 2 && state.groupSize == 2)
            var steps: [Tensor] = []
            for time in 0..<length {
                let (logits, next) = try model.cachedStep(Tensor.from(rows.map { $0[time] }), state: state)
                steps.append(logits)
                state = next
            }
            let whole = try model.logits(
                model.decode(
                    Tensor.from(rows.flatMap { $0 }, [4, length]),
                    encoderOutput: encoded.selecting(rows: [0, 0, 1, 1])))
            let found = try Tensor.stacked(steps, axis: 1).doubles()
            #expect(relativeDifference(found, try whole.doubles()) < (try #require(limit[type])))
            #expect(state.position == length)
            let own = configuration.decoderLayerCount * 2 * 6 * (4 * length + 2 * 12)
            #expect(state.byteCount == own * type.byteCount)
        }
    }

    @Test func `A state does not change behind its owner's back, and rows can be picked`() throws {
        let configuration = tinyT5()
        let model = try madeUpT5(configuration)
        let (tokens, segments) = try T5Batch.encoderInput(goldenSources, configuration: configuration)
        func step(_ tokens: [Int64], _ state: T5DecodingState) throws -> ([Double], T5DecodingState) {
            let (logits, next) = try model.cachedStep(Tensor.from(tokens), state: state)
            return (try logits.doubles(), next)
        }
        let encoded = try model.encode(tokens, segments: segments)
        let (_, first) = try step([0, 0], model.startDecoding(encoded))
        let (a, _) = try step([5, 6], first)
        let (b, _) = try step([9, 9], first)
        let (again, _) = try step([5, 6], first)
        #expect(a == again && a != b)
        // Sources swapped and one repeated.
        let (picked, _) = try step([6, 5, 6], first.selecting(rows: [1, 0, 1]))
        #expect(relativeDifference(picked, Array(a[32...] + a[..<32] + a[32...])) < 1e-12)
        #expect(
            errorText(TorchError.self) { try first.selecting(rows: [2]) }.contains("row 2 does not exist"))
        #expect(
            errorText(T5Error.self) { try model.cachedStep(Tensor.from([Int64(1)]), state: first) }.contains(
                "wrong shape of tokens of a step"))
    }

    @Test func `Padding and packing change nothing for an example`() throws {
        let configuration = tinyT5(gated: false)
        let model = try madeUpT5(configuration)
        func rows(_ batch: T5Batch) throws -> [[Double]] {
            let logits = try withoutGradients { try model(batch) }
            return try (0..<logits.size(0)).map { try logits.selected(0, $0).doubles() }
        }
        let alone = try (0..<2).map { index in
            try rows(
                T5Batch(
                    sources: [goldenSources[index]], targets: [goldenTargets[index]],
                    configuration: configuration))[0]
        }
        let padded = try rows(
            T5Batch(
                sources: goldenSources, targets: goldenTargets, configuration: configuration,
                sourceLength: 20, targetLength: 9))
        func marks(_ rows: [[Int32]]) -> [Int32] {
            rows.enumerated().flatMap { index, row in row.map { _ in Int32(index + 1) } }
        }
        let packed = try T5Batch(
            sources: [goldenSources.flatMap { $0 }], sourceSegments: [marks(goldenSources)],
            targets: [goldenTargets.flatMap { $0 }], targetSegments: [marks(goldenTargets)],
            configuration: configuration, sourceLength: 18)
        #expect(try packed.decoderInput.values(as: Int64.self) == [0, 12, 4, 25, 0, 9])
        let together = try rows(packed)[0]
        var start = 0
        for (index, target) in goldenTargets.enumerated() {
            let count = target.count * 32
            #expect(relativeDifference(Array(padded[index][..<count]), alone[index]) < 1e-12)
            #expect(relativeDifference(Array(together[start..<start + count]), alone[index]) < 1e-12)
            start += count
        }
        let loss = try model.lossSum(packed)
        #expect(loss.targetCount == 6)
        #expect(abs(try loss.sum.item() / 6 - 3.358120185609758) < 1e-6)
    }

    @Test(arguments: [false, true]) func `Gradients equal finite differences`(gated: Bool) throws {
        let configuration = tinyT5(gated: gated)
        let model = try madeUpT5(configuration)
        let batch = try T5Batch(sources: goldenSources, targets: goldenTargets, configuration: configuration)
        func loss() throws -> Tensor { try model.lossSum(batch, zLoss: 0.01).sum }
        try model.parameters.setRequiresGradient(true)
        try loss().backward()
        let generator = try Generator(seed: 3)
        for entry in model.parameters.entries {
            let gradient = try #require(try entry.tensor.gradient())
            let direction = try generator.normal(entry.tensor.shape, .float64)
            let expected = try (gradient * direction).sum().item()
            let step = 1e-6
            let values = try [1.0, -2.0, 1.0].map { factor in
                try entry.tensor.add(direction, factor: factor * step)
                return try withoutGradients { try loss().item() }
            }
            let found = (values[0] - values[1]) / (2 * step)
            #expect(abs(found - expected) < 1e-5 * max(1, abs(expected)), "\(entry.name)")
        }
    }

    @Test func `Slices of a large vocabulary give the same loss and gradients`() throws {
        let configuration = tinyT5()
        let model = try madeUpT5(configuration)
        try model.parameters.setRequiresGradient(true)
        let batch = try T5Batch(sources: goldenSources, targets: goldenTargets, configuration: configuration)
        let names = ["decoder.final_layer_norm.weight", "lm_head.weight", "shared.weight"]
        func run(budget: Int) throws -> (Double, Double, [[Double]]) {
            model.logitBudget = budget
            let loss = try model.lossSum(batch, zLoss: 0.01)
            try model.parameters.clearGradients()
            try loss.sum.backward()
            let gradients = try names.map { name in
                try #require(try model.parameters[name]?.gradient()).doubles()
            }
            let score = try model.score(batch)
            #expect(abs(score.crossEntropy - (try loss.crossEntropy.item())) < 1e-9)
            return (try loss.sum.item(), try loss.crossEntropy.item(), gradients)
        }
        let whole = try run(budget: 1 << 26)
        for budget in [1, 32 * 3] {
            let sliced = try run(budget: budget)
            #expect(abs(sliced.0 - whole.0) < 1e-10 && abs(sliced.1 - whole.1) < 1e-10)
            for (a, b) in zip(sliced.2, whole.2) { #expect(relativeDifference(a, b) < 1e-10) }
        }
    }

    @Test(arguments: [false, true]) func `Dropout acts in training only, and its masks can be shared`(
        shared: Bool
    )
        throws
    {
        var configuration = tinyT5(dropout: 0.3)
        configuration.sharesDropoutMasks = shared
        let model = try madeUpT5(configuration)
        let batch = try T5Batch(sources: goldenSources, targets: goldenTargets, configuration: configuration)
        func logits(_ seed: UInt64?) throws -> [Double] {
            let context = try seed.map {
                ForwardContext(isTraining: true, generator: try Generator(seed: $0))
            }
            return try withoutGradients { try model(batch, context: context ?? .inference).doubles() }
        }
        #expect(try logits(nil) == logits(nil))
        #expect(try logits(1) == logits(1))
        #expect(try logits(1) != logits(2) && logits(1) != logits(nil))
    }

    @Test func `Declared parameters are those of the accounting, with T5's first values`() throws {
        for gated in [false, true] {
            var configuration = tinyT5(gated: gated)
            configuration.hiddenSize = 64
            configuration.vocabularySize = 512
            let model = try T5Model(
                configuration, parameters: ParameterStore(source: .random(seed: 4)), computeType: .float32)
            let shapes = expectedParameters(configuration)
            #expect(Set(model.parameters.entries.map(\.name)) == Set(shapes.map(\.name)))
            for (name, shape) in shapes { #expect(model.parameters[name]?.shape == shape) }
            #expect(model.parameters.parameterCount == (try T5Accounting(configuration).parameterCount))
            func deviation(_ name: String) throws -> Double {
                let x = try #require(model.parameters[name])
                return try (x * x).mean().item().squareRoot()
            }
            let attention = "encoder.block.1.layer.0.SelfAttention"
            #expect(abs(try deviation("shared.weight") - 1) < 0.02)
            #expect(abs(try deviation("\(attention).q.weight") * (64.0 * 3).squareRoot() - 1) < 0.15)
            #expect(abs(try deviation("\(attention).k.weight") * 8 - 1) < 0.15)
            #expect(abs(try deviation("\(attention).o.weight") * 6.0.squareRoot() - 1) < 0.15)
            if gated {
                #expect(abs(try deviation("lm_head.weight") * 8 - 1) < 0.02)
                let head = try #require(model.parameters["lm_head.weight"])
                #expect(try head.abs().max().item() <= 2 / 0.8796 / 8 + 1e-6)
            }
        }
    }

    @Test func `Deep bfloat16 models keep what layers add`() throws {
        var configuration = tinyT5()
        configuration.encoderLayerCount = 48
        configuration.hiddenSize = 32
        let store = ParameterStore(source: .random(seed: 7))
        let exact = try T5Model(configuration, parameters: store, computeType: .float32)
        let (tokens, segments) = try T5Batch.encoderInput(goldenSources, configuration: configuration)
        try withoutGradients {
            // Large activations, as trained models have.
            try #require(exact.parameters["shared.weight"]).scale(by: 300)
            let expected = try exact.encode(tokens, segments: segments).hidden
            exact.computeType = .bfloat16
            let found = try exact.encode(tokens, segments: segments).hidden
            #expect(found.elementType == .bfloat16)
            #expect(try found.allFinite())
            #expect(relativeDifference(try found.doubles(), try expected.doubles()) < 0.05)
        }
    }

    @Test func `A stack may take over the layers and widen what is around them`() throws {
        /// Two blocks a token, of which only the first goes through the layers.
        struct Doubled: T5LayerStack {
            let width: Int
            var embeddingSize: Int { 2 * width }
            var outputSize: Int { 2 * width }
            func callAsFunction(_ x: Tensor, layerCount: Int, layer: Layer) throws -> Tensor {
                let first = try (0..<layerCount).reduce(x.sliced(2, 0..<width).contiguous()) {
                    try layer($1, $0, 1)
                }
                return try Tensor.concatenated([first, x.sliced(2, width..<2 * width)], axis: 2)
            }
        }
        let configuration = tinyT5(gated: false)
        let stack = Doubled(width: configuration.hiddenSize)
        let model = try T5Model(
            configuration, parameters: ParameterStore(source: .random(seed: 2), elementType: .float64),
            computeType: .float64, stacks: T5Stacks(encoder: { _ in stack }, decoder: { _ in stack }))
        let widths = T5Widths(2 * configuration.hiddenSize)
        #expect(model.widths == widths)
        for (name, shape) in expectedParameters(configuration, widths: widths) {
            #expect(model.parameters[name]?.shape == shape)
        }
        let batch = try T5Batch(sources: goldenSources, targets: goldenTargets, configuration: configuration)
        let whole = try withoutGradients { try model(batch) }
        var state = try model.startDecoding(model.encode(batch.source, segments: batch.sourceSegments))
        for time in 0..<4 {
            let (logits, next) = try model.cachedStep(batch.decoderInput.selected(1, time), state: state)
            let expected = try whole.selected(1, time).selected(0, 0).doubles()
            #expect(relativeDifference(try logits.selected(0, 0).doubles(), expected) < 1e-12)
            state = next
        }
        #expect(
            errorText(T5Error.self) {
                try T5Model(
                    configuration, parameters: ParameterStore(source: .random(seed: 2)),
                    computeType: .float32,
                    stacks: T5Stacks(encoder: { _ in stack }, decoder: { _ in PlainT5Stack(width: 8) }))
            }.contains("cannot have the widths 16 and 8 at once"))
    }

    @Test func `Layers can see every few positions with their own distances`() throws {
        /// Every second token goes through the layers, the others drop out: a shortened output.
        struct Strided: T5LayerStack {
            let width: Int
            var embeddingSize: Int { width }
            var outputSize: Int { width }
            var outputStride: Int { 2 }
            func callAsFunction(_ x: Tensor, layerCount: Int, layer: Layer) throws -> Tensor {
                let anchors = try x.sliced(1, 0..<x.size(1), by: 2).contiguous()
                return try (0..<layerCount).reduce(anchors) { try layer($1, $0, 2) }
            }
        }
        let configuration = tinyT5()
        let weights = ParameterStore(
            source: .provided(try madeUpWeights(configuration)), elementType: .float64)
        let model = try T5Model(
            configuration, parameters: weights, computeType: .float64,
            stacks: T5Stacks(
                encoder: { _ in Strided(width: 8) }, decoder: { _ in PlainT5Stack(width: 8) }))
        let batch = try T5Batch(
            sources: [[5, 9, 3, 17, 22], [7, 2, 1]], targets: goldenTargets, configuration: configuration)
        let encoded = try model.encode(batch.source, segments: batch.sourceSegments)
        #expect(encoded.hidden.shape == [2, 3, 8])
        #expect(try #require(encoded.segments).values.values(as: Int32.self) == [1, 1, 1, 1, 1, 0])
        let logits = try model(batch)
        let alone = try T5Batch(
            sources: [[7, 2, 1]], targets: [goldenTargets[1]], configuration: configuration)
        let expected = try model(alone).doubles()
        let found = try logits.selected(0, 1).sliced(0, 0..<2).doubles()
        #expect(relativeDifference(found, expected) < 1e-12)
    }

    @Test func `Batches that make no sense are refused`() throws {
        let configuration = tinyT5()
        func make(_ sources: [[Int32]], _ targets: [[Int32]], length: Int? = nil) throws {
            _ = try T5Batch(
                sources: sources, targets: targets, configuration: configuration, sourceLength: length)
        }
        #expect(throws: T5Error.emptyBatch) { try make([], []) }
        #expect(throws: T5Error.emptyBatch) { try make([[]], [[1]]) }
        #expect(throws: T5Error.countMismatch(what: "targets", expected: 1, found: 2)) {
            try make([[1]], [[1], [2]])
        }
        #expect(throws: T5Error.tokenOutOfRange(token: 32, vocabularySize: 32)) { try make([[32]], [[1]]) }
        #expect(throws: T5Error.tokenOutOfRange(token: -1, vocabularySize: 32)) { try make([[-1]], [[1]]) }
        #expect(throws: T5Error.rowTooLong(row: 0, length: 3, limit: 2)) {
            try make([[1, 2, 3]], [[1]], length: 2)
        }
        let model = try madeUpT5(configuration)
        #expect(
            errorText(T5Error.self) { try model.encode(Tensor.from([Int64(1)])) }.contains(
                "wrong shape of sources"))
        let (tokens, _) = try T5Batch.encoderInput([[1, 2]], configuration: configuration)
        #expect(
            errorText(T5Error.self) {
                try model.encode(tokens, segments: T5Segments(Tensor.ones([1, 3], .int32)))
            }.contains("wrong shape of segments of sources"))
    }
}
