import Foundation
import RetNetLayers
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

/// The whole layer: forms, normalizers, epsilons, rotations, offsets and states.
@Suite struct MultiScaleRetentionTests {
    static func configuration(
        _ normalization: ScoreNormalization = .decay, rotation: RotationKind = .interleaved,
        epsilon: Double = 1e-6,
        decay: DecaySchedule = .standard, kind: HeadNormConfiguration.Kind = .rms,
        affine: HeadNormConfiguration.Affine = .none,
        gate: GateActivation = .swish, groups: Int? = nil, biases: Bool = false
    ) -> RetentionConfiguration {
        RetentionConfiguration(
            headCount: 4, keyValueHeadCount: groups, keySize: 6, valueSize: 5, decay: decay,
            rotation: rotation,
            normalization: normalization,
            headNorm: HeadNormConfiguration(kind: kind, affine: affine, epsilon: epsilon), gate: gate,
            biases: biases)
    }

    static func pass(_ form: MixerForm, _ positions: [SequencePosition]) -> ForwardPass {
        ForwardPass(form: form, positions: positions, context: .inference)
    }

    /// Runs the layer over x in pieces, each in its own form, carrying the state.
    static func run(
        _ layer: MultiScaleRetention, _ x: Tensor, _ pieces: [(length: Int, form: MixerForm)],
        from start: (any MixerState)? = nil, at positions: [SequencePosition]
    ) throws -> (output: Tensor, state: any MixerState) {
        var (state, positions, offset) = (start, positions, 0)
        var outputs: [Tensor] = []
        for piece in pieces {
            let part = try x.sliced(1, offset..<offset + piece.length)
            let (y, next) = try layer(part, state: state, pass(piece.form, positions))
            outputs.append(y)
            state = next
            positions = positions.map { $0.advanced(by: piece.length) }
            offset += piece.length
        }
        return (try Tensor.concatenated(outputs, axis: 1), try #require(state))
    }

    static let streams: [ScoreNormalization] = [.none, .decay, .decayAbsSum]

    @Test(arguments: streams, [1, 2])
    func `Single steps without a head norm divide by the normalizer as other forms do`(
        normalization: ScoreNormalization, rows: Int
    ) throws {
        // One row and one head leave axes of size 1, which must not be taken for one epsilon for all.
        let c = RetentionConfiguration(
            headCount: 1, keySize: 6, valueSize: 5, normalization: normalization,
            headNorm: HeadNormConfiguration(kind: .none))
        let (layer, _) = try makeLayer(c)
        let x = try Generator(seed: 8).normal([rows, 9, 12], .float64)
        let start = [SequencePosition](repeating: SequencePosition(), count: rows)
        let whole = try Self.run(layer, x, [(9, .parallel)], at: start)
        let steps = [(length: Int, form: MixerForm)](repeating: (1, .recurrent), count: 9)
        let found = try withoutGradients { try Self.run(layer, x, steps, at: start) }
        #expect(try relativeError(found.output, whole.output) < 1e-11)
    }

    @Test(arguments: streams, [0, 1e-6, 1e-5])
    func `Forms agree at any epsilon`(normalization: ScoreNormalization, epsilon: Double) throws {
        for rotation in RotationKind.allCases {
            for decay in [DecaySchedule.standard, .experiment, .uniform(1), .list([0.9, 0.95, 0.99, 1])] {
                let c = Self.configuration(normalization, rotation: rotation, epsilon: epsilon, decay: decay)
                let (layer, _) = try makeLayer(c)
                // Small inputs, where epsilon matters most.
                let x = try Generator(seed: 8).normal([2, 37, 12], .float64) * 0.05
                for start in [0, 5000] {
                    let p = [SequencePosition](repeating: SequencePosition(position: start), count: 2)
                    let whole = try Self.run(layer, x, [(37, .parallel)], at: p)
                    let others: [[(Int, MixerForm)]] = [
                        [(37, .chunkwise(7))], [(37, .chunkwise(64))], [(37, .recurrent)],
                        [(10, .parallel), (1, .recurrent), (20, .chunkwise(3)), (6, .parallel)],
                    ]
                    for pieces in others {
                        let other = try Self.run(layer, x, pieces, at: p)
                        #expect(try relativeError(other.output, whole.output) < 1e-10, "\(pieces)")
                        for (a, b) in zip(other.state.tensors, whole.state.tensors) {
                            #expect(try relativeError(a.tensor, b.tensor) < 1e-10)
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: streams, [ElementType.float32, .bfloat16])
    func `Narrow types agree with float64`(normalization: ScoreNormalization, type: ElementType) throws {
        let c = Self.configuration(normalization, decay: .experiment)
        let (exact, _) = try makeLayer(c)
        let (narrow, _) = try makeLayer(c, type: .float32)
        let x = try Generator(seed: 8).normal([2, 150, 12], .float64)
        let p = [SequencePosition](repeating: SequencePosition(), count: 2)
        let expected = try Self.run(exact, x, [(150, .parallel)], at: p)
        for form in [MixerForm.parallel, .chunkwise(16), .chunkwise(64), .recurrent] {
            let found = try Self.run(narrow, x.to(type), [(100, form), (50, form)], at: p)
            #expect(try relativeError(found.output, expected.output) < tolerance(type), "\(form)")
            #expect(
                try relativeError(found.state.tensors[0].tensor, expected.state.tensors[0].tensor)
                    < tolerance(type))
        }
    }

    @Test(arguments: streams)
    func `Gradients of all parameters agree between forms`(normalization: ScoreNormalization) throws {
        for (kind, affine, gate, groups) in [
            (
                HeadNormConfiguration.Kind.rms, HeadNormConfiguration.Affine.shared, GateActivation.swish,
                Int?.none
            ),
            (.layer, .perHead, .gelu, 2),
            (.none, .none, .none, 1), (.rms, .none, .swish, 2),
        ] {
            let c = Self.configuration(
                normalization, kind: kind, affine: affine, gate: gate, groups: groups, biases: true)
            let x = try Generator(seed: 8).normal([2, 19, 12], .float64)
            let seed = try Generator(seed: 1).normal([2, 19, 12], .float64)
            func gradients(_ pieces: [(Int, MixerForm)]) throws -> [Tensor] {
                let (layer, store) = try makeLayer(c)
                try store.setRequiresGradient(true)
                let input = try x.clone().requiringGradient()
                let p = [SequencePosition](repeating: SequencePosition(), count: 2)
                let y = try Self.run(layer, input, pieces, at: p).output
                return try Tensor.gradients(of: [y], seeds: [seed], withRespectTo: [input] + store.tensors)
                    .map { try #require($0) }
            }
            let expected = try gradients([(19, .parallel)])
            for pieces in [
                [(19, MixerForm.chunkwise(4))], [(19, .recurrent)], [(8, .chunkwise(3)), (11, .parallel)],
            ] {
                for (a, b) in zip(try gradients(pieces), expected) {
                    #expect(try relativeError(a, b) < 1e-9, "\(kind) \(gate) \(pieces)")
                }
            }
        }
    }

    @Test func `Rows at different positions do not influence each other`() throws {
        let (layer, _) = try makeLayer(Self.configuration(.decayAbsSum))
        let x = try Generator(seed: 8).normal([3, 11, 12], .float64)
        let p = [3, 900, 0].map { SequencePosition(position: $0, count: $0) }
        let carried = try layer.initialState(batch: 3, elementType: .float64, device: .cpu)
            .mapTensors { try Generator(seed: 7).normal($0.shape, .float64) }
        let together = try layer(x, state: carried, Self.pass(.chunkwise(4), p))
        for row in 0..<3 {
            let alone = try layer(
                x.sliced(0, row..<row + 1), state: carried.mapTensors { try $0.sliced(0, row..<row + 1) },
                Self.pass(.recurrent, [p[row]]))
            #expect(try relativeError(alone.output, together.output.sliced(0, row..<row + 1)) < 1e-10)
        }
    }

    @Test(arguments: [RotationKind.interleaved, .halves])
    func `A rebased state gives identical outputs from position 0`(rotation: RotationKind) throws {
        let (layer, _) = try makeLayer(Self.configuration(.decayAbsSum, rotation: rotation))
        let generator = try Generator(seed: 8)
        let (x, y) = (
            try generator.normal([2, 9, 12], .float64), try generator.normal([2, 5, 12], .float64)
        )
        let start = [SequencePosition(position: 4000, count: 0), SequencePosition(position: 17, count: 0)]
        let (_, state) = try layer(x, state: nil, Self.pass(.parallel, start))
        let after = start.map { $0.advanced(by: 9) }
        let expected = try layer(y, state: state, Self.pass(.parallel, after))
        let rebased = try layer.rebased(state, by: after.map(\.position))
        let found = try layer(
            y, state: rebased,
            Self.pass(.parallel, after.map { SequencePosition(position: 0, count: $0.count) }))
        #expect(try relativeError(found.output, expected.output) < 1e-10)
    }

    @Test func `The sum of absolute scores exists in the parallel form only`() throws {
        let (layer, _) = try makeLayer(Self.configuration(.decaySumAbs))
        let x = try Generator(seed: 8).normal([1, 6, 12], .float64)
        let p = [SequencePosition()]
        let (y, state) = try layer(x, state: nil, Self.pass(.parallel, p))
        #expect(try y.allFinite())
        #expect(
            errorText(MixerError.self) { _ = try layer(x, state: nil, Self.pass(.chunkwise(2), p)) }.contains(
                "the form 'chunkwise:2': normalization 'decay_sum_abs' needs every past key"))
        #expect(
            errorText(MixerError.self) { _ = try layer(x, state: nil, Self.pass(.recurrent, p)) }.contains(
                "the form 'recurrent': normalization 'decay_sum_abs' needs every past key"))
        #expect(
            errorText(MixerError.self) { _ = try layer(x, state: state, Self.pass(.parallel, p)) }.contains(
                "cannot continue from a state"))
    }

    @Test func `A state that does not fit is refused`() throws {
        let (layer, _) = try makeLayer(Self.configuration(.decay))
        let (other, _) = try makeLayer(Self.configuration(.decayAbsSum))
        let x = try Generator(seed: 8).normal([2, 3, 12], .float64)
        let p = [SequencePosition(), SequencePosition()]
        let foreign = try other.initialState(batch: 2, elementType: .float64, device: .cpu)
        #expect(
            errorText(MixerError.self) { _ = try layer(x, state: foreign, Self.pass(.parallel, p)) }.contains(
                "expected no key sum"))
        let narrow = try layer.initialState(batch: 1, elementType: .float64, device: .cpu)
        #expect(
            errorText(MixerError.self) { _ = try layer(x, state: narrow, Self.pass(.parallel, p)) }.contains(
                "the state holds 1 rows but the batch has 2"))
    }
}
