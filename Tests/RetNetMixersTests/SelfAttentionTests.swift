import Foundation
import RetNetLayers
import RetNetMixers
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import Testing

/// A layer of one head whose projections are the identity, so that q = k = v = x before the rotation.
private func identityLayer(
    _ size: Int, xPos: Double?, rotation: AttentionRotation = .interleaved, type: ElementType
) throws -> any TokenMixer {
    let configuration = AttentionConfiguration(
        headCount: 1, headSize: size, rotation: rotation, xPosScaleBase: xPos)
    let identity = (0..<size * size).map { $0 % (size + 1) == 0 ? 1.0 : 0.0 }
    let store = ParameterStore(
        source: .provided { _, shape in try Tensor.from(identity, shape) }, elementType: type)
    return try configuration.makeMixer(store.root, LayerContext(hiddenSize: size))
}

/// xPos attention of one head by its formula, in float64: outputs of the queries in `range`.
private func xPosAttention(_ x: [[Double]], base: Double, range: Range<Int>) -> [[Double]] {
    let size = x[0].count
    func pair(_ row: [Double], _ j: Int, _ position: Int) -> (Double, Double) {
        let angle = Double(position) * pow(10_000, -2 * Double(j) / Double(size))
        return (
            row[2 * j] * cos(angle) - row[2 * j + 1] * sin(angle),
            row[2 * j + 1] * cos(angle) + row[2 * j] * sin(angle)
        )
    }
    return range.map { t in
        let scores = (0...t).map { i in
            (0..<size / 2).reduce(0.0) { sum, j in
                let (a, b) = (pair(x[t], j, t), pair(x[i], j, i))
                let damping = pow((2 * Double(j) / Double(size) + 0.4) / 1.4, Double(t - i) / base)
                return sum + damping * (a.0 * b.0 + a.1 * b.1)
            } / Double(size).squareRoot()
        }
        let top = scores.max() ?? 0
        let weights = scores.map { exp($0 - top) }
        let total = weights.reduce(0, +)
        return (0..<size).map { c in zip(weights, x).reduce(0) { $0 + $1.0 * $1.1[c] } / total }
    }
}

struct SelfAttentionTests {
    private func layer(_ c: AttentionConfiguration, type: ElementType = .float64) throws -> (
        any TokenMixer, ParameterStore
    ) {
        try Subject("", .attention(c)).make(type)
    }

    @Test func `As many key heads as query heads are multi-head attention`() throws {
        let x = try Generator(seed: 8).normal([2, 20, 12], .float64)
        let (a, _) = try layer(AttentionConfiguration(headCount: 3, headSize: 4))
        let (b, _) = try layer(AttentionConfiguration(headCount: 3, keyValueHeadCount: 3, headSize: 4))
        let (y, z) = (try runPieces(a, x, [(20, .parallel)]), try runPieces(b, x, [(20, .parallel)]))
        #expect(try relativeError(y.output, z.output) == 0)
    }

    @Test(arguments: [AttentionRotation.interleaved, .halves])
    func `Outputs depend on distances alone`(rotation: AttentionRotation) throws {
        let (mixer, _) = try layer(AttentionConfiguration(headCount: 2, headSize: 6, rotation: rotation))
        let x = try Generator(seed: 8).normal([1, 30, 12], .float64)
        for form in [MixerForm.parallel, .chunkwise(16), .recurrent] {
            let here = try runPieces(mixer, x, [(30, form)]).output
            let far = try runPieces(mixer, x, [(30, form)], positions: [SequencePosition(position: 1000)])
                .output
            #expect(try relativeError(far, here) < 1e-12)
            // Without the rotation the order of the past would not matter.
            let turned = try Tensor.concatenated(
                [x.sliced(1, 0..<29).flipped(1), x.sliced(1, 29..<30)], axis: 1)
            let other = try runPieces(mixer, turned, [(30, form)]).output
            #expect(try relativeError(other.sliced(1, 29..<30), here.sliced(1, 29..<30)) > 1e-3)
        }
    }

    @Test func `The two layouts of pairs differ by an order of channels`() throws {
        let x = try Generator(seed: 8).normal([1, 15, 8], .float64)
        let order = try Tensor.from([0, 2, 4, 6, 1, 3, 5, 7] as [Int64])
        let a = try identityLayer(8, xPos: nil, type: .float64)
        let b = try identityLayer(8, xPos: nil, rotation: .halves, type: .float64)
        let y = try runPieces(a, x, [(15, .parallel)]).output.indexSelected(2, order)
        let z = try runPieces(b, x.indexSelected(2, order), [(15, .parallel)]).output
        #expect(try relativeError(z, y) < 1e-14)
    }

    // MARK: xPos

    @Test(arguments: [ElementType.float64, .float32])
    func `xPos equals its formula far beyond the range of float32`(type: ElementType) throws {
        // 5,000 tokens at base 64 are as 40,000 at the usual 512: ζ₀ to that power is 1e-43.
        let (base, length, size) = (64.0, 5000, 6)
        let x = try (Generator(seed: 8).normal([1, length, size], .float64) * 1.5).to(type)
        let mixer = try identityLayer(size, xPos: base, type: type)
        let values = try x.doubles()
        let rows = (0..<length).map { Array(values[$0 * size..<($0 + 1) * size]) }
        let range = length - 20..<length
        let expected = try Tensor.from(
            xPosAttention(rows, base: base, range: range).flatMap { $0 }, [1, 20, size])
        let limit = type == .float64 ? 1e-10 : 1e-4
        for pieces: [(length: Int, form: MixerForm)] in [
            [(length, .chunkwise(128))], [(700, .parallel), (4281, .chunkwise(64)), (19, .recurrent)],
        ] {
            let found = try withoutGradients { try runPieces(mixer, x, pieces) }
            #expect(try relativeError(found.output.sliced(1, range), expected) < limit, "\(pieces)")
            for (name, tensor) in found.state.tensors { #expect(try tensor.allFinite(), "\(name)") }
        }
    }

    @Test func `xPos works at position 100,000 and across its origins`() throws {
        let (size, start) = (8, 102_390)  // the next origin is 25 · 4096 = 102,400
        let x = try Generator(seed: 8).normal([1, 25, size])
        var outputs: [Tensor] = []
        for type in [ElementType.float64, .float32, .bfloat16] {
            let mixer = try identityLayer(size, xPos: 512, type: type == .float64 ? type : .float32)
            let zeros = try Tensor.zeros([1, 1, start, size], type)
            let state = try mixer.state(from: ["key": zeros, "value": zeros])
            for form in [MixerForm.chunkwise(128), .recurrent, .parallel] {
                let found = try withoutGradients {
                    try runPieces(
                        mixer, x.to(type), [(5, form), (20, form)], state: state,
                        positions: [SequencePosition(position: start, count: start)])
                }
                outputs.append(found.output)
                #expect(try found.state.tensors.allSatisfy { try $0.tensor.allFinite() })
            }
        }
        // The keys before are zero: their scores are 0 and their values nothing, so only their number counts.
        let values = try x.doubles()
        let rows = (0..<25).map { Array(values[$0 * size..<($0 + 1) * size]) }
        let alone = xPosAttention(rows, base: 512, range: 24..<25)[0]
        let scores = try relativeError(
            outputs[0].sliced(1, 24..<25) / outputs[0].sliced(1, 24..<25).power(2).sum().sqrt(),
            Tensor.from(alone, [1, 1, size]) / Tensor.from(alone, [1, 1, size]).power(2).sum().sqrt())
        #expect(scores < 1e-6)
        for (index, output) in outputs.enumerated() {
            let limit = index < 3 ? 1e-9 : index < 6 ? 1e-4 : 2e-2
            #expect(try relativeError(output, outputs[0]) < limit, "\(index)")
        }
    }

    // MARK: Cache

    @Test func `Continuations of one state never see each other`() throws {
        let (mixer, _) = try layer(AttentionConfiguration(headCount: 3, headSize: 4))
        let generator = try Generator(seed: 8)
        func run(_ x: Tensor, _ state: (any MixerState)?, _ counts: [Int]) throws -> (Tensor, any MixerState)
        {
            let result = try runPieces(
                mixer, x, [(x.size(1), .recurrent)], state: state,
                positions: counts.map { SequencePosition(position: $0, count: $0) })
            return (result.output, result.state)
        }
        try withoutGradients {
            // Rows of different lengths, so that new entries of the short row lie before those of the long one.
            let seen = try generator.normal([2, 6, 12], .float64)
            let (_, whole) = try run(seen, nil, [0, 0])
            var counts = [6, 2]
            var (_, state) = try run(generator.normal([2, 1, 12], .float64), whole, counts)
            counts = [7, 3]
            var branches: [(state: any MixerState, inputs: [Tensor], counts: [Int])] = []
            for _ in 0..<3 { branches.append((state, [], counts)) }
            let before = try state.tensors.map { try $0.tensor.clone() }
            // The branches take turns, each with its own tokens.
            for _ in 0..<70 {
                for index in branches.indices {
                    let x = try generator.normal([2, 1, 12], .float64)
                    let (_, next) = try run(x, branches[index].state, branches[index].counts)
                    branches[index].state = next
                    branches[index].inputs.append(x)
                    branches[index].counts = branches[index].counts.map { $0 + 1 }
                }
            }
            for branch in branches {
                let again = try run(Tensor.concatenated(branch.inputs, axis: 1), state, counts).1
                for (row, count) in branch.counts.enumerated() {
                    for (a, b) in zip(branch.state.tensors, again.tensors) {
                        let (x, y) = (
                            try a.tensor.sliced(0, row..<row + 1).sliced(2, 0..<count),
                            try b.tensor.sliced(0, row..<row + 1).sliced(2, 0..<count)
                        )
                        #expect(try relativeError(x, y) < 1e-14)
                    }
                }
            }
            for ((_, now), old) in zip(state.tensors, before) {
                // Row 1 has spare room before the end, which is nobody's; its own entries are as they were.
                #expect(try relativeError(now.sliced(0, 0..<1), old.sliced(0, 0..<1)) == 0)
                #expect(
                    try relativeError(
                        now.sliced(0, 1..<2).sliced(2, 0..<3), old.sliced(0, 1..<2).sliced(2, 0..<3)) == 0)
            }
            (_, state) = try run(generator.normal([2, 1, 12], .float64), state, counts)
            #expect(state.tensors[0].tensor.size(2) == 8)
        }
    }

    @Test func `A state can be continued from an earlier context`() throws {
        let (mixer, _) = try layer(AttentionConfiguration(headCount: 3, headSize: 4))
        let x = try Generator(seed: 8).normal([1, 12, 12], .float64)
        try withoutGradients {
            let whole = try runPieces(mixer, x, [(8, .parallel), (4, .recurrent)])
            let early = [SequencePosition(position: 9, count: 9)]
            let again = try runPieces(
                mixer, x.sliced(1, 9..<12), [(3, .recurrent)], state: whole.state, positions: early)
            #expect(try relativeError(again.output, whole.output.sliced(1, 9..<12)) < 1e-14)
            let late = [SequencePosition(position: 13, count: 13)]
            #expect(
                errorText(MixerError.self) {
                    _ = try runPieces(mixer, x, [(12, .recurrent)], state: whole.state, positions: late)
                }.contains("expected keys of [13] tokens, found keys of 12 tokens"))
        }
    }

    @Test func `The cache has the type of passes and holds what was seen`() throws {
        let c = AttentionConfiguration(headCount: 4, keyValueHeadCount: 2, headSize: 6)
        let (mixer, _) = try layer(c, type: .float32)
        let x = try Generator(seed: 8).normal([1, 100, 12]).to(.bfloat16)
        let state = try withoutGradients {
            try runPieces(mixer, x, [(90, .chunkwise(32)), (10, .recurrent)]).state
        }
        for (_, tensor) in state.tensors {
            #expect(tensor.shape == [1, 2, 100, 6])
            #expect(tensor.elementType == .bfloat16)
        }
        #expect(state.byteCount == 2 * c.stateElementCount(tokenCount: 100))
    }

    // MARK: Configuration

    @Test func `Multi-head attention has four square matrices`() throws {
        let c = AttentionConfiguration(headCount: 8, headSize: 64)
        let count = try c.parameterShapes(hiddenSize: 512).map { $0.shape.reduce(1, *) }.reduce(0, +)
        #expect(count == 1_048_576)
        #expect(c.recurrentFLOPs(position: 2047) == 4_194_304)
        #expect(c.stateElementCount(tokenCount: Int.max) > 0)
        #expect(c.recurrentFLOPs(position: Int.max) > 0)
        #expect(c.trainingForm == .chunkwise(128))
    }

    @Test(arguments: [
        #"{"kind": "attention", "head_count": 4, "key_value_head_count": 3, "head_size": 8}"#,
        #"{"kind": "attention", "head_count": 4, "head_size": 7}"#,
        #"{"kind": "attention", "head_count": 4, "head_size": 8, "rotation": "none", "xpos_scale_base": 512}"#,
        #"{"kind": "attention", "head_count": 65536, "head_size": 65536}"#,
        #"{"kind": "attention", "head_count": 0, "head_size": 8}"#,
        #"{"kind": "attention", "head_count": 4, "head_size": 8, "rotary_base": 0}"#,
        #"{"kind": "attention", "head_count": 4, "head_size": 8, "head_widht": 8}"#,
    ])
    func `Contradictions are reported`(text: String) throws {
        let reader = try SettingsDocument(json: text).reader
        _ = MixerConfiguration(reading: reader)
        #expect(throws: (any Error).self) { try reader.finish() }
    }
}
