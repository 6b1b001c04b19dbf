import RetNetLayers
import RetNetMixers
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import Testing

/// Properties of every architecture.
@Suite struct ConformanceTests {
    static let subjects = Subject.all

    /// A state that earlier tokens left behind, with the positions after it.
    private func carried(_ subject: Subject, _ mixer: any TokenMixer, _ type: ElementType, seed: UInt64)
        throws
        -> (state: any MixerState, positions: [SequencePosition])
    {
        let past = try Generator(seed: seed).normal([2, 5, subject.hiddenSize], .float64).to(type)
        let result = try runPieces(mixer, past, [(5, .parallel)])
        return (result.state, result.positions)
    }

    @Test(arguments: subjects, [1, 2, 3, 31, 64, 65])
    func `All forms are equal from any state, in one piece or many`(subject: Subject, length: Int) throws {
        let (mixer, _) = try subject.make()
        let x = try Generator(seed: 8).normal([2, length, subject.hiddenSize], .float64)
        for carries in [false, true] {
            let (state, positions) =
                carries
                ? try carried(subject, mixer, .float64, seed: 5)
                : (nil, [SequencePosition](repeating: SequencePosition(), count: 2))
            let whole = try runPieces(mixer, x, [(length, .parallel)], state: state, positions: positions)
            let count = positions[0].count + length
            var ways: [[(length: Int, form: MixerForm)]] = [1, 2, 7, 16, 64, length, length + 5].map {
                [(length, .chunkwise($0))]
            }
            ways.append([(length, .recurrent)])
            if length > 4 {
                ways.append([
                    (3, .parallel), (1, .recurrent), (length - 4, .chunkwise(7)),
                ])
                ways.append([(length - 2, .chunkwise(16)), (2, .recurrent)])
            }
            for way in ways {
                guard way.allSatisfy({ mixer.unsupportedReason(for: $0.form) == nil }) else { continue }
                let other = try runPieces(mixer, x, way, state: state, positions: positions)
                let limit = 1e-10 * subject.slack
                #expect(try relativeError(other.output, whole.output) < limit, "\(way) \(carries)")
                let (a, b) = (try seen(other.state, count: count), try seen(whole.state, count: count))
                #expect(a.map(\.name) == b.map(\.name))
                for (found, expected) in zip(a, b) {
                    #expect(
                        try relativeError(found.tensor, expected.tensor) < limit,
                        "\(found.name) \(way) \(carries)")
                }
            }
        }
    }

    @Test(arguments: subjects, [ElementType.float32, .bfloat16])
    func `Narrow types agree with float64`(subject: Subject, type: ElementType) throws {
        let (exact, _) = try subject.make()
        let (narrow, _) = try subject.make(.float32)
        let x = try Generator(seed: 8).normal([2, 150, subject.hiddenSize], .float64)
        let expected = try runPieces(exact, x.to(type).to(.float64), [(150, .parallel)])
        for form in [MixerForm.parallel, .chunkwise(16), .chunkwise(64), .recurrent] {
            guard narrow.unsupportedReason(for: form) == nil else { continue }
            let found = try runPieces(narrow, x.to(type), [(100, form), (50, form)])
            let error = try relativeError(found.output, expected.output)
            #expect(error < tolerance(type) * subject.slack, "\(form)")
            #expect(found.output.elementType == type)
            for (name, tensor) in found.state.tensors where found.state.growingAxes[name] == nil {
                #expect(tensor.elementType == type.accumulator, "\(name)")
            }
        }
    }

    @Test(arguments: subjects)
    func `Products of bfloat16 in float32 agree with float64, and their gradients`(subject: Subject) throws {
        let (exact, exactStore) = try subject.make()
        let (narrow, store) = try subject.make(.float32)
        for store in [exactStore, store] { try store.setRequiresGradient(true) }
        let x = try Generator(seed: 8).normal([2, 40, subject.hiddenSize], .float64).to(.bfloat16)
        for form in [MixerForm.parallel, .chunkwise(16)]
        where narrow.unsupportedReason(for: form) == nil {
            let expected = try runPieces(exact, x.to(.float64), [(40, form)]).output
            let found = try FusedOperators.withFloat32Products {
                let y = try runPieces(narrow, x, [(40, form)]).output
                try y.sum().backward()
                return y
            }
            #expect(found.elementType == .bfloat16)
            #expect(try relativeError(found, expected) < tolerance(.bfloat16) * subject.slack, "\(form)")
            #expect(try store.tensors.allSatisfy { try $0.gradient()?.allFinite() ?? true })
        }
    }

    @Test(arguments: subjects)
    func `Later tokens change nothing before them`(subject: Subject) throws {
        let (mixer, _) = try subject.make()
        let x = try Generator(seed: 8).normal([1, 40, subject.hiddenSize], .float64)
        let other = try Tensor.concatenated(
            [x.sliced(1, 0..<23), Generator(seed: 9).normal([1, 17, subject.hiddenSize], .float64) * 3],
            axis: 1)
        for form in [MixerForm.parallel, .chunkwise(16), .recurrent]
        where mixer.unsupportedReason(for: form) == nil {
            let a = try runPieces(mixer, x, [(40, form)]).output
            let b = try runPieces(mixer, other, [(40, form)]).output
            #expect(try relativeError(a.sliced(1, 0..<23), b.sliced(1, 0..<23)) < 1e-11 * subject.slack)
            #expect(try relativeError(a.sliced(1, 23..<40), b.sliced(1, 23..<40)) > 1e-3)
        }
    }

    @Test(arguments: subjects)
    func `Gradients of input, parameters and state agree between forms`(subject: Subject) throws {
        let x = try Generator(seed: 8).normal([2, 19, subject.hiddenSize], .float64)
        let past = try Generator(seed: 5).normal([2, 4, subject.hiddenSize], .float64)
        let seed = try Generator(seed: 1).normal(x.shape, .float64)
        func gradients(_ pieces: [(length: Int, form: MixerForm)]) throws -> [Tensor] {
            let (mixer, store) = try subject.make()
            try store.setRequiresGradient(true)
            let (input, before) = (
                try x.clone().requiringGradient(), try past.clone().requiringGradient()
            )
            let all = try Tensor.concatenated([before, input], axis: 1)
            let y = try runPieces(mixer, all, [(4, .parallel)] + pieces).output.sliced(1, 4..<23)
            let found = try Tensor.gradients(
                of: [y], seeds: [seed], withRespectTo: [input, before] + store.tensors)
            return try found.map { try #require($0) }
        }
        let expected = try gradients([(19, .parallel)])
        for pieces: [(length: Int, form: MixerForm)] in [
            [(19, .chunkwise(4))], [(19, .recurrent)], [(8, .chunkwise(3)), (11, .parallel)],
        ] {
            let found = try gradients(pieces)
            for (index, (a, b)) in zip(found, expected).enumerated() {
                #expect(try relativeError(a, b) < 1e-9 * subject.slack, "\(index) \(pieces)")
            }
        }
    }

    @Test(arguments: subjects)
    func `Without kernels values, states and gradients are the same`(subject: Subject) throws {
        let x = try Generator(seed: 8).normal([2, 19, subject.hiddenSize], .float64)
        let seed = try Generator(seed: 1).normal(x.shape, .float64)
        func results(_ form: MixerForm) throws -> [Tensor] {
            let (mixer, store) = try subject.make()
            let step = try runPieces(mixer, x, [(9, .parallel), (10, form)])
            try store.setRequiresGradient(true)
            let input = try x.clone().requiringGradient()
            let y = try runPieces(mixer, input, [(9, .parallel), (10, form)]).output
            let gradients = try Tensor.gradients(
                of: [y], seeds: [seed], withRespectTo: [input] + store.tensors)
            return [step.output] + (try seen(step.state, count: 19).map(\.tensor))
                + (try gradients.map { try #require($0) })
        }
        for form in [MixerForm.parallel, .chunkwise(4), .recurrent] {
            guard try subject.make().0.unsupportedReason(for: form) == nil else { continue }
            let found = try results(form)
            let expected = try FusedOperators.withoutKernels { try results(form) }
            for (index, (a, b)) in zip(found, expected).enumerated() {
                #expect(try relativeError(a, b) < 1e-9 * subject.slack, "\(index) \(form)")
            }
        }
    }

    @Test(arguments: subjects, [ElementType.float64, .float32, .bfloat16])
    func `Training passes, which may leave out the state, equal the clear path`(
        subject: Subject, type: ElementType
    ) throws {
        let length = 45
        let x = try Generator(seed: 8).normal([2, length, subject.hiddenSize], .float64).to(type)
        let seed = try Generator(seed: 1).normal(x.shape, .float64).to(type)
        let start = [SequencePosition](repeating: SequencePosition(), count: 2)
        func results(_ type: ElementType, _ form: MixerForm, isTraining: Bool) throws -> [Tensor] {
            let (mixer, store) = try subject.make(type.accumulator)
            try store.setRequiresGradient(true)
            let input = try x.to(type).detached().clone().requiringGradient()
            var context = ForwardContext(isTraining: isTraining)
            context.keepsStates = !isTraining
            let y = try mixer(
                input, state: nil, ForwardPass(form: form, positions: start, context: context)
            ).output
            let gradients = try Tensor.gradients(
                of: [y], seeds: [seed.to(type)], withRespectTo: [input] + store.tensors)
            // Some gradients are zero but for rounding, so those of parameters are measured together.
            let parameters = try gradients.dropFirst().map { try #require($0).reshaped([-1]).to(.float64) }
            return [y, try #require(gradients[0]), try Tensor.concatenated(parameters, axis: 0)]
        }
        for form in [MixerForm.parallel, .chunkwise(16)] {
            guard try subject.make().0.unsupportedReason(for: form) == nil else { continue }
            let found = try results(type, form, isTraining: true)
            let expected = try FusedOperators.withoutKernels {
                try results(.float64, form, isTraining: false)
            }
            #expect(found[0].elementType == type)
            for (index, (a, b)) in zip(found, expected).enumerated() {
                // Gradients in 16 bits pass several roundings.
                let limit = tolerance(type) * subject.slack * (type == .bfloat16 && index > 0 ? 3 : 1)
                #expect(try relativeError(a, b) < limit, "\(index) \(form)")
            }
        }
    }

    @Test(arguments: subjects)
    func `Steps that may overwrite the state give the same, and others leave it as it is`(subject: Subject)
        throws
    {
        let (mixer, _) = try subject.make()
        guard mixer.unsupportedReason(for: .recurrent) == nil else { return }
        let x = try Generator(seed: 8).normal([2, 3, subject.hiddenSize], .float64)
        var overwriting = ForwardContext.inference
        overwriting.overwritesStates = true
        try withoutGradients {
            let (before, start) = try carried(subject, mixer, .float64, seed: 5)
            let bits = try before.tensors.map { try $0.tensor.doubles() }
            // The first step of each copies, as in generation: the state belongs to someone else.
            var (plain, owned) = (before, before)
            var positions = start
            for n in 0..<3 {
                let token = try x.sliced(1, n..<n + 1)
                let context = n == 0 ? ForwardContext.inference : overwriting
                let a = try mixer(
                    token, state: plain,
                    ForwardPass(form: .recurrent, positions: positions, context: .inference))
                let b = try mixer(
                    token, state: owned, ForwardPass(form: .recurrent, positions: positions, context: context)
                )
                #expect(try a.output.doubles() == b.output.doubles())
                (plain, owned) = (a.state, b.state)
                positions = positions.map { $0.advanced(by: 1) }
            }
            let (a, b) = (try seen(plain, count: 8), try seen(owned, count: 8))
            for (found, expected) in zip(b, a) {
                #expect(try found.tensor.doubles() == expected.tensor.doubles(), "\(found.name)")
            }
            #expect(try before.tensors.map { try $0.tensor.doubles() } == bits)
        }
    }

    @Test(arguments: subjects)
    func `Gradients equal finite differences`(subject: Subject) throws {
        let (mixer, store) = try subject.make()
        let x = try Generator(seed: 8).normal([1, 12, subject.hiddenSize], .float64)
        let seed = try Generator(seed: 1).normal(x.shape, .float64)
        func loss(_ input: Tensor) throws -> Tensor {
            try (runPieces(mixer, input, [(5, .parallel), (7, .chunkwise(3))]).output * seed).sum()
        }
        try store.setRequiresGradient(true)
        let input = try x.clone().requiringGradient()
        let leaves = [input] + store.tensors
        let found = try Tensor.gradients(of: [loss(input)], seeds: [nil], withRespectTo: leaves)
        let generator = try Generator(seed: 2)
        for (index, leaf) in leaves.enumerated() {
            let direction = try generator.normal(leaf.shape, .float64)
            let analytic = try (#require(found[index]) * direction).sum().item()
            let numeric = try withoutGradients {
                let values = try leaf.detached().clone()
                var sides: [Double] = []
                for step in [1e-5, -1e-5] {
                    try leaf.detached().copy(from: values + direction * step)
                    sides.append(try loss(input).item())
                }
                try leaf.detached().copy(from: values)
                return (sides[0] - sides[1]) / 2e-5
            }
            let scale = max(abs(numeric), abs(analytic), 1e-3)
            let name = index == 0 ? "input" : store.entries[index - 1].name
            #expect(abs(analytic - numeric) / scale < 2e-5, "\(name): \(analytic) \(numeric)")
        }
    }

    @Test(arguments: subjects)
    func `A state of zeros is the start of a sequence`(subject: Subject) throws {
        let (mixer, _) = try subject.make()
        let x = try Generator(seed: 8).normal([2, 9, subject.hiddenSize], .float64)
        let start = [SequencePosition(), SequencePosition()]
        let zeros = try carried(subject, mixer, .float64, seed: 5).state.mapTensors {
            try Tensor.zeros($0.shape, $0.elementType)
        }
        let initial = try mixer.initialState(batch: 2, elementType: .float64, device: .cpu)
        for form in [MixerForm.parallel, .chunkwise(4), .recurrent]
        where mixer.unsupportedReason(for: form) == nil {
            let expected = try runPieces(mixer, x, [(9, form)]).output
            for state in [zeros, initial] {
                let found = try runPieces(mixer, x, [(9, form)], state: state, positions: start).output
                #expect(try relativeError(found, expected) < 1e-11 * subject.slack, "\(form)")
            }
        }
    }

    @Test(arguments: subjects)
    func `Rows with different pasts do not influence each other`(subject: Subject) throws {
        let (mixer, _) = try subject.make()
        let generator = try Generator(seed: 8)
        let lengths = [3, 11, 6]
        let pasts = try lengths.map { try generator.normal([1, $0, subject.hiddenSize], .float64) }
        let x = try generator.normal([3, 10, subject.hiddenSize], .float64)
        let alone = try pasts.map { try runPieces(mixer, $0, [($0.size(1), .parallel)]) }
        // Joined as LanguageModel.joined does it, with padding that must not be read.
        var named: [String: Tensor] = [:]
        for (index, (name, _)) in alone[0].state.tensors.enumerated() {
            var parts = alone.map { $0.state.tensors[index].tensor }
            if let axis = alone[0].state.growingAxes[name] {
                parts = try zip(parts, lengths).map { part, length in
                    let used = try part.sliced(axis, 0..<length)
                    var shape = used.shape
                    shape[axis] = 11 - length
                    return try Tensor.concatenated(
                        [used, Tensor.full(shape, 1e3, used.elementType)], axis: axis)
                }
            }
            named[name] = try Tensor.concatenated(parts, axis: 0)
        }
        let state = try mixer.state(from: named)
        let positions = alone.map { $0.positions[0] }
        for form in [MixerForm.parallel, .chunkwise(4), .recurrent]
        where mixer.unsupportedReason(for: form) == nil {
            let together = try runPieces(
                mixer, x, [(6, form), (4, form)], state: state, positions: positions)
            for row in 0..<3 {
                let single = try runPieces(
                    mixer, x.sliced(0, row..<row + 1), [(10, .recurrent)], state: alone[row].state,
                    positions: [positions[row]])
                let found = try together.output.sliced(0, row..<row + 1)
                #expect(
                    try relativeError(found, single.output) < 1e-10 * subject.slack, "row \(row) \(form)")
            }
        }
    }

    @Test(arguments: subjects)
    func `A rebased state gives identical outputs from position 0`(subject: Subject) throws {
        let (mixer, _) = try subject.make()
        let generator = try Generator(seed: 8)
        let x = try generator.normal([2, 9, subject.hiddenSize], .float64)
        let y = try generator.normal([2, 5, subject.hiddenSize], .float64)
        let before = try runPieces(mixer, x, [(9, .parallel)])
        let expected = try runPieces(
            mixer, y, [(5, .parallel)], state: before.state, positions: before.positions)
        let rebased = try mixer.rebased(before.state, by: before.positions.map(\.position))
        let moved = before.positions.map { SequencePosition(position: 0, count: $0.count) }
        for form in [MixerForm.parallel, .recurrent] {
            let found = try runPieces(mixer, y, [(5, form)], state: rebased, positions: moved)
            #expect(try relativeError(found.output, expected.output) < 1e-10 * subject.slack)
        }
    }

    @Test(arguments: subjects)
    func `A state goes through its tensors and stays what it was`(subject: Subject) throws {
        let (mixer, _) = try subject.make()
        let generator = try Generator(seed: 8)
        let x = try generator.normal([2, 7, subject.hiddenSize], .float64)
        let after = try runPieces(mixer, x, [(7, .parallel)])
        let copies = try after.state.tensors.map { ($0.name, try $0.tensor.clone()) }
        let restored = try mixer.state(from: Dictionary(copies, uniquingKeysWith: { a, _ in a }))
        // Two continuations of one state: neither may see the other.
        for seed in [1, 2] as [UInt64] {
            let y = try Generator(seed: seed).normal([2, 4, subject.hiddenSize], .float64)
            let pieces: [(length: Int, form: MixerForm)] = [
                (1, .recurrent), (2, .chunkwise(1)), (1, .recurrent),
            ]
            let a = try withoutGradients {
                try runPieces(mixer, y, pieces, state: after.state, positions: after.positions).output
            }
            let b = try runPieces(mixer, y, [(4, .parallel)], state: restored, positions: after.positions)
            #expect(try relativeError(a, b.output) < 1e-10 * subject.slack)
        }
        for (name, copy) in copies {
            let now = try #require(after.state.tensors.first { $0.name == name }).tensor
            #expect(try relativeError(now, copy) == 0, "\(name)")
        }
    }

    @Test(arguments: subjects)
    func `Accounting equals what is there`(subject: Subject) throws {
        let store = ParameterStore(source: .random(seed: 1))
        let mixer = try subject.architecture.makeMixer(
            store.root, LayerContext(hiddenSize: subject.hiddenSize, layer: 2, layerCount: 3))
        let declared = try subject.architecture.parameterShapes(hiddenSize: subject.hiddenSize)
        #expect(store.entries.map(\.name) == declared.map(\.name))
        #expect(store.entries.map(\.tensor.shape) == declared.map(\.shape))
        let x = try Generator(seed: 8).normal([1, 24, subject.hiddenSize])
        let result = try withoutGradients { try runPieces(mixer, x, [(20, .parallel), (4, .recurrent)]) }
        let count = try seen(result.state, count: 24).reduce(0) { $0 + $1.tensor.elementCount }
        #expect(count == subject.architecture.stateElementCount(tokenCount: 24))
        #expect(subject.architecture.stateGrows == !result.state.growingAxes.isEmpty)
        #expect(subject.architecture.recurrentFLOPs(position: 10) > 0)
        // A single layer must not divide by the number of layers less one.
        let single = ParameterStore(source: .random(seed: 1))
        _ = try subject.architecture.makeMixer(single.root, LayerContext(hiddenSize: subject.hiddenSize))
        for entry in single.entries { #expect(try entry.tensor.allFinite(), "\(entry.name)") }
    }

    @Test func `Shapes of large layers cost nothing`() throws {
        let clock = ContinuousClock()
        let architectures: [any MixerBuilding] = [
            RetentionConfiguration(headCount: 32, keySize: 256, valueSize: 512),
            HyenaConfiguration(channelCount: 8192, maximumLength: 1 << 24),
            RWKVConfiguration(channelCount: 8192), H3Configuration(headCount: 1024),
            S4DConfiguration(channelCount: 8192), Mamba2Configuration(width: 8192),
        ]
        let elapsed = try clock.measure {
            for _ in 0..<10 {
                for architecture in architectures { _ = try architecture.parameterShapes(hiddenSize: 8192) }
            }
        }
        #expect(elapsed < .milliseconds(200))
    }

    @Test(arguments: subjects)
    func `Settings are read as they were written`(subject: Subject) throws {
        let text = try subject.configuration.settings.jsonText()
        let reader = try SettingsDocument(json: text).reader
        let read = MixerConfiguration(reading: reader)
        try reader.finish()
        #expect(read == subject.configuration)
        #expect(subject.configuration.problems().isEmpty)
    }

    @Test(arguments: subjects)
    func `Every setting is documented under its kind`(subject: Subject) throws {
        let condition = "kind: \(subject.configuration.kind.rawValue)"
        let rows = MixerConfiguration.settingsRows.filter {
            $0.condition == nil || $0.condition == condition
                || $0.condition?.hasPrefix(condition + ",") == true
        }
        for entry in try #require(subject.configuration.settings.object).entries {
            let paths = entry.value.object?.keys.map { "\(entry.key).\($0)" } ?? [entry.key]
            for path in paths { #expect(rows.contains { $0.path == path }, "\(path)") }
        }
        #expect(rows.allSatisfy { !$0.help.isEmpty })
    }

    @Test(arguments: subjects)
    func `States that do not fit are refused`(subject: Subject) throws {
        let (mixer, _) = try subject.make()
        let x = try Generator(seed: 8).normal([2, 3, subject.hiddenSize], .float64)
        let narrow = try mixer.initialState(batch: 3, elementType: .float64, device: .cpu)
        let start = [SequencePosition(), SequencePosition()]
        #expect(throws: (any Error).self) { _ = try mixer(x, state: narrow, mixerCall(.parallel, start)) }
        #expect(throws: MixerError.self) {
            _ = try mixer(x, state: ForeignState(), mixerCall(.parallel, start))
        }
        #expect(throws: MixerError.self) { _ = try mixer.state(from: [:]) }
    }
}

/// A state of no mixer.
struct ForeignState: MixerState {
    var tensors: [(name: String, tensor: Tensor)] { [] }
    func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> ForeignState { self }
}
