import Foundation
import RetNetLayers
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

@Suite struct H3Tests {
    private func system(heads: Int, stateSize: Int = 8, seed: UInt64 = 2, steps: Double = 0.05) throws
        -> DiagonalSystem
    {
        let generator = try Generator(seed: seed)
        let modes = stateSize / 2
        func complex() throws -> ComplexTensor {
            ComplexTensor(
                real: try generator.normal([heads, modes], .float64),
                imaginary: try generator.normal([heads, modes], .float64))
        }
        let frequencies = StateSpaceInitialization.linear.frequencies(stateSize: stateSize)
        return try DiagonalSystem(
            logStep: generator.normal([heads], .float64) * 0.5 + log(steps),
            logDecay: generator.normal([heads, modes], .float64) * 0.3,
            frequency: Tensor.from((0..<heads).flatMap { _ in frequencies }, [heads, modes]),
            input: complex(),
            readout: complex(), skip: generator.normal([heads], .float64), discretization: .bilinear)
    }

    @Test(arguments: [1, 2, 3, 4, 8], [1, 2, 15, 16, 17, 70])
    func `All forms equal the recurrence of every product`(size: Int, length: Int) throws {
        let generator = try Generator(seed: 3)
        let (heads, modes) = (3, 4)
        let system = try system(heads: heads)
        func rows() throws -> Tensor { try generator.normal([2, length, heads * size], .float64) }
        let (q, k, v) = (try rows(), try rows(), try rows())
        for state in [nil, try generator.normal([2, heads, 2 * modes, size * size], .float64)] {
            let expected = try H3.definition(q, k, v, system, state: state)
            var found = [
                try H3.parallel(q, k, v, system, state: state),
                try H3.recurrent(q, k, v, system, state: state),
            ]
            for chunk in [1, 5, 16, 100] {
                found.append(try H3.chunkwise(q, k, v, system, state: state, chunkLength: chunk))
            }
            for (index, result) in found.enumerated() {
                #expect(try relativeError(result.output, expected.output) < 1e-11, "\(index)")
                #expect(try relativeError(result.state, expected.state) < 1e-11, "\(index)")
            }
        }
    }

    @Test func `Chunks longer than a block of the tables are the same`() throws {
        let generator = try Generator(seed: 3)
        let system = try system(heads: 2, steps: 0.005)
        func rows() throws -> Tensor { try generator.normal([1, 700, 6], .float64) }
        let (q, k, v) = (try rows(), try rows(), try rows())
        let state = try generator.normal([1, 2, 8, 9], .float64)
        let expected = try H3.chunkwise(q, k, v, system, state: state, chunkLength: 32)
        for chunk in [128, 129, 300, 700] {
            let found = try H3.chunkwise(q, k, v, system, state: state, chunkLength: chunk)
            #expect(try relativeError(found.output, expected.output) < 1e-11, "\(chunk)")
            #expect(try relativeError(found.state, expected.state) < 1e-11, "\(chunk)")
        }
    }

    @Test(arguments: [(300, 300), (300, 40), (290, 150), (33, 8)])
    func `Gradients of the native operator equal those of the recurrence`(length: Int, chunk: Int) throws {
        let generator = try Generator(seed: 3)
        let (heads, size, modes) = (2, 3, 2)
        let inputs = try (0..<3).map { _ in try generator.normal([2, length, heads * size], .float64) }
        let state = try generator.normal([2, heads, 2 * modes, size * size], .float64)
        let parameters = [
            try generator.normal([heads], .float64) * 0.3 + log(0.02),
            try generator.normal([heads, modes], .float64) * 0.3,
            try generator.normal([heads, modes], .float64) * 3,
            try generator.normal([heads, modes], .float64), try generator.normal([heads, modes], .float64),
            try generator.normal([heads, modes], .float64), try generator.normal([heads, modes], .float64),
            try generator.normal([heads], .float64),
        ]
        let seeds = [
            try generator.normal([2, length, heads * size], .float64),
            try generator.normal(state.shape, .float64),
        ]
        func gradients(
            _ run: (Tensor, Tensor, Tensor, DiagonalSystem, Tensor) throws -> H3.Result
        ) throws -> [Tensor] {
            let leaves = try (inputs + [state] + parameters).map { try $0.clone().requiringGradient() }
            let p = Array(leaves[4...])
            let system = try DiagonalSystem(
                logStep: p[0], logDecay: p[1], frequency: p[2],
                input: ComplexTensor(real: p[3], imaginary: p[4]),
                readout: ComplexTensor(real: p[5], imaginary: p[6]), skip: p[7], discretization: .bilinear)
            let result = try run(leaves[0], leaves[1], leaves[2], system, leaves[3])
            return try Tensor.gradients(
                of: [result.output, result.state], seeds: seeds, withRespectTo: leaves
            ).map { try #require($0) }
        }
        let expected = try gradients { try H3.recurrent($0, $1, $2, $3, state: $4) }
        let found = try gradients { try H3.chunkwise($0, $1, $2, $3, state: $4, chunkLength: chunk) }
        for (index, (a, b)) in zip(found, expected).enumerated() {
            #expect(try relativeError(a, b) < 1e-10, "\(index)")
        }
    }

    /// A layer of width 8 with two heads of 4 and parameters changed by a closure.
    private func layer(_ change: (ParameterStore) throws -> Void) throws -> (
        mixer: any TokenMixer, store: ParameterStore
    ) {
        let store = ParameterStore(source: .random(seed: 6), elementType: .float64)
        let configuration = H3Configuration(headCount: 2, headSize: 4, stateSize: 8, shiftSize: 6)
        let mixer = try configuration.makeMixer(store.root, LayerContext(hiddenSize: 8))
        try change(store)
        return (mixer, store)
    }
    private func fill(_ tensor: Tensor?, _ value: Double) throws {
        try #require(tensor).copy(from: Tensor.full([1], value, .float64))
    }
    private func projection(_ store: ParameterStore, _ name: String, _ x: Tensor) throws -> Tensor {
        try x.linear(#require(store["\(name).weight"]), bias: store["\(name).bias"])
    }

    @Test func `With D alone it multiplies queries, keys and values`() throws {
        let (mixer, store) = try layer { store in
            for name in ["shift.readout", "state_space.readout"] { try fill(store[name], 0) }
            for name in ["shift.skip", "state_space.skip"] { try fill(store[name], 1) }
        }
        let x = try Generator(seed: 3).normal([2, 9, 8], .float64)
        func heads(_ name: String) throws -> Tensor { try projection(store, name, x).reshaped([2, 9, 2, 4]) }
        let scores = try (heads("query") * heads("key")).sum([-1], keepingAxes: true)
        let y = try projection(store, "output", (scores * heads("value")).reshaped([2, 9, 8]))
        for form in [MixerForm.parallel, .chunkwise(4), .recurrent] {
            #expect(try relativeError(runPieces(mixer, x, [(9, form)]).output, y) < 1e-12)
        }
    }

    @Test func `Shift taps 0, 1, 0 delay keys by one`() throws {
        let (mixer, store) = try layer { store in
            for name in ["shift.skip", "state_space.readout"] { try fill(store[name], 0) }
            try fill(store["state_space.skip"], 1)
            let taps: [Double] = (0..<8).flatMap { _ -> [Double] in [0, 1, 0, 0, 0, 0] }
            try #require(store["shift.readout"]).copy(from: Tensor.from(taps, [8, 6]))
        }
        let x = try Generator(seed: 3).normal([1, 9, 8], .float64)
        func heads(_ name: String) throws -> Tensor { try projection(store, name, x).reshaped([1, 9, 2, 4]) }
        let delayed = try Tensor.concatenated(
            [Tensor.zeros([1, 1, 2, 4], .float64), heads("key").sliced(1, 0..<8)], axis: 1)
        let scores = try (heads("query") * delayed).sum([-1], keepingAxes: true)
        let y = try projection(store, "output", (scores * heads("value")).reshaped([1, 9, 8]))
        for form in [MixerForm.parallel, .recurrent] {
            #expect(try relativeError(runPieces(mixer, x, [(9, form)]).output, y) < 1e-12)
        }
    }

    @Test func `A trained B of the shift acts as a shift register does`() throws {
        // x_t = Shift x_{t-1} + B u_t, k̃ = C x_t + D u_t, with all of B in use.
        let (mixer, store) = try layer { store in
            let generator = try Generator(seed: 9)
            try #require(store["shift.input"]).copy(from: generator.normal([8, 6], .float64))
            try fill(store["state_space.readout"], 0)
            try fill(store["state_space.skip"], 1)
        }
        let x = try Generator(seed: 3).normal([1, 12, 8], .float64)
        let key = try projection(store, "key", x)
        let (b, c) = (try #require(store["shift.input"]), try #require(store["shift.readout"]))
        var register = try Tensor.zeros([8, 6], .float64)
        let shifted = try (0..<12).map { t in
            let value = try key.selected(1, t).squeezed(0)
            let moved = try Tensor.concatenated(
                [Tensor.zeros([8, 1], .float64), register.sliced(1, 0..<5)], axis: 1)
            register = try moved + b * value.unsqueezed(1)
            return try (c * register).sum([1]) + #require(store["shift.skip"]) * value
        }
        func heads(_ tensor: Tensor) throws -> Tensor { try tensor.reshaped([1, 12, 2, 4]) }
        let keys = try heads(Tensor.stacked(shifted, axis: 0))
        let scores = try (heads(projection(store, "query", x)) * keys).sum([-1], keepingAxes: true)
        let y = try projection(
            store, "output", (scores * heads(projection(store, "value", x))).reshaped([1, 12, 8]))
        for form in [MixerForm.parallel, .chunkwise(5), .recurrent] {
            let found = try withoutGradients { try runPieces(mixer, x, [(7, form), (5, form)]).output }
            #expect(try relativeError(found, y) < 1e-12)
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `Long sequences stay exact in narrow types`(type: ElementType) throws {
        let length = 16_384
        let system = try system(heads: 1, stateSize: 16, steps: 0.002)
        let generator = try Generator(seed: 3)
        let rows = try (0..<3).map { _ in try generator.normal([1, length, 4], .float64).to(type) }
        let wide = try rows.map { try $0.to(.float64) }
        let exact = try H3.chunkwise(wide[0], wide[1], wide[2], system, state: nil, chunkLength: 64)
        let found = try H3.chunkwise(rows[0], rows[1], rows[2], system, state: nil, chunkLength: 64)
        #expect(try relativeError(found.output, exact.output) < (type == .float32 ? 1e-5 : 5e-3))
        #expect(try relativeError(found.state, exact.state) < 1e-5)
    }

    @Test func `Parameters are those of the budget`() throws {
        let configuration = H3Configuration(headCount: 128)
        let count = try configuration.parameterShapes(hiddenSize: 1024).reduce(0) {
            $0 + $1.shape.reduce(1, *)
        }
        #expect(count == 4_355_328)
        // One tap fewer than the authors keep: the current key is not in the ring.
        #expect(configuration.stateElementCount(tokenCount: 5) == 524_288 + 63 * 1024)
    }

    @Test func `Tables of a decoding follow the weights`() throws {
        let (mixer, store) = try layer { _ in }
        let x = try Generator(seed: 3).normal([1, 6, 8], .float64)
        try withoutGradients {
            _ = try runPieces(mixer, x, [(6, .recurrent)])
            for name in ["state_space.log_step", "shift.readout", "state_space.skip"] {
                try #require(store[name]).add(Tensor.ones([1], .float64), factor: 0.25)
                let (a, b) = (
                    try runPieces(mixer, x, [(6, .recurrent)]), try runPieces(mixer, x, [(6, .parallel)])
                )
                #expect(try relativeError(a.output, b.output) < 1e-11, "\(name)")
            }
        }
    }
}
