import Foundation
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

/// Identities between mixers whose gates or keys have special values.
@Suite struct MatrixIdentityTests {
    private static let forms: [MixerForm] = [.parallel, .chunkwise(8), .chunkwise(64), .recurrent]

    private func run(
        _ heads: Heads, _ form: MixerForm, logGates: Tensor? = nil, beta: Tensor? = nil
    ) throws -> MatrixRecurrence.Result {
        try MatrixRecurrence(
            query: heads.q, key: heads.k, value: heads.v, logGates: logGates, beta: beta,
            state: heads.state
        ).fused(form)
    }

    @Test(arguments: forms)
    func `Gates that never change are retention`(form: MixerForm) throws {
        let heads = try Heads(time: 70, carried: true)
        let logs: [Double] = [Foundation.log(0.9), Foundation.log1p(-0.03125), 0]
        let gates = try Tensor.from(logs, [1, 3, 1]) * Tensor.ones([2, 3, 70], .float64)
        let expected = try Retention.definition(
            heads.q, heads.k, heads.v, state: heads.state, logGammas: logs)
        let found = try run(heads, form, logGates: gates)
        #expect(try relativeError(found.output, expected.output) < 1e-12)
        #expect(try relativeError(found.state, expected.state) < 1e-12)
    }

    @Test(arguments: forms)
    func `Equal gates of all channels are the gate of a head`(form: MixerForm) throws {
        let heads = try Heads(time: 70, carried: true)
        let gates = try Generator(seed: 4).normal([2, 3, 70], .float64).softplus().negated()
        let expected = try run(heads, form, logGates: gates)
        let found = try run(heads, form, logGates: gates.unsqueezed(-1).expanded([2, 3, 70, 4]))
        #expect(try relativeError(found.output, expected.output) < 1e-12)
        #expect(try relativeError(found.state, expected.state) < 1e-12)
    }

    @Test(arguments: forms)
    func `Without gates it is linear attention that is not normalized`(form: MixerForm) throws {
        let heads = try Heads(time: 40, carried: false)
        let scores = try heads.q.matmul(heads.k.transposed(-1, -2)).lowerTriangle()
        let expected = try scores.matmul(heads.v)
        #expect(try relativeError(run(heads, form).output, expected) < 1e-12)
        let open = try run(heads, form, logGates: Tensor.zeros([2, 3, 40], .float64))
        #expect(try relativeError(open.output, expected) < 1e-12)
    }

    /// Orthonormal rows, one for each of 8 positions, as keys of one head.
    private func orthonormal() throws -> Tensor {
        try Generator(seed: 3).normal([8, 8], .float64).orthonormalColumns().reshaped([1, 1, 8, 8])
    }

    @Test(arguments: forms)
    func `The delta rule stores and returns values of orthonormal keys exactly`(form: MixerForm) throws {
        let keys = try orthonormal()
        let values = try Generator(seed: 5).normal([1, 1, 8, 6], .float64)
        let ones = try Tensor.ones([1, 1, 8], .float64)
        let stored = try MatrixRecurrence(query: keys, key: keys, value: values, beta: ones).fused(form)
        #expect(try relativeError(stored.output, values) < 1e-14)
        #expect(try relativeError(keys.matmul(stored.state), values) < 1e-14)
        // Two of the keys again, with other values: those are replaced, the others stay.
        let others = try Generator(seed: 6).normal([1, 1, 2, 6], .float64)
        let again = try MatrixRecurrence(
            query: keys.sliced(2, 3..<5), key: keys.sliced(2, 3..<5), value: others,
            beta: ones.sliced(2, 0..<2), state: stored.state
        ).fused(form)
        let expected = try Tensor.concatenated(
            [values.sliced(2, 0..<3), others, values.sliced(2, 5..<8)], axis: 2)
        #expect(try relativeError(keys.matmul(again.state), expected) < 1e-14)
    }

    @Test(arguments: forms)
    func `A repeated key overwrites, β of 0 never writes, β of 2 turns around`(form: MixerForm) throws {
        let key = try orthonormal().sliced(2, 0..<1).expanded([1, 1, 20, 8]).contiguous()
        let values = try Generator(seed: 5).normal([1, 1, 20, 6], .float64)
        func state(_ strength: Double, from start: Tensor? = nil) throws -> Tensor {
            try MatrixRecurrence(
                query: key, key: key, value: values,
                beta: Tensor.full([1, 1, 20], strength, .float64), state: start
            ).fused(form).state
        }
        let read = try key.sliced(2, 0..<1)
        #expect(
            try relativeError(read.matmul(state(1)), values.sliced(2, 19..<20)) < 1e-14)
        let start = try Generator(seed: 7).normal([1, 1, 8, 6], .float64)
        #expect(try relativeError(state(0, from: start), start) == 0)
        #expect(try state(0).abs().max().item() == 0)
        // k S becomes 2 v - k S at every step.
        var expected = try read.matmul(start)
        for t in 0..<20 { expected = try values.sliced(2, t..<t + 1) * 2 - expected }
        #expect(try relativeError(read.matmul(state(2, from: start)), expected) < 1e-12)
    }

    @Test(arguments: forms)
    func `Gated DeltaNet whose gates are open is DeltaNet`(form: MixerForm) throws {
        let heads = try Heads(time: 70, carried: true)
        let keys = try heads.k / (heads.k * heads.k).sum([-1], keepingAxes: true).sqrt()
        let beta = try Generator(seed: 4).normal([2, 3, 70], .float64).sigmoid() * 2
        func run(_ gates: Tensor?) throws -> MatrixRecurrence.Result {
            try MatrixRecurrence(
                query: heads.q, key: keys, value: heads.v, logGates: gates, beta: beta,
                state: heads.state
            ).fused(form)
        }
        let (found, expected) = (try run(Tensor.zeros([2, 3, 70], .float64)), try run(nil))
        #expect(try relativeError(found.output, expected.output) < 1e-14)
        #expect(try relativeError(found.state, expected.state) < 1e-14)
    }

    @Test func `Heads of a group read and write with the same keys`() throws {
        let heads = try Heads(heads: 4, time: 50, carried: true)
        let gates = try Generator(seed: 4).normal([2, 4, 50], .float64).softplus().negated()
        let (q, k) = (try heads.q.sliced(1, 0..<2), try heads.k.sliced(1, 0..<2))
        for form in Self.forms {
            let shared = try MatrixRecurrence(
                query: q, key: k, value: heads.v, logGates: gates, state: heads.state
            ).fused(form)
            let copied = try MatrixRecurrence(
                query: q.repeatInterleaved(2, axis: 1), key: k.repeatInterleaved(2, axis: 1), value: heads.v,
                logGates: gates, state: heads.state
            ).fused(form)
            #expect(try relativeError(shared.output, copied.output) < 1e-13, "\(form)")
            #expect(try relativeError(shared.state, copied.state) < 1e-13, "\(form)")
        }
    }

    @Test func `Empty sequences and inputs that do not fit are refused`() throws {
        let heads = try Heads(time: 4, carried: true)
        func attempt(_ r: MatrixRecurrence) {
            for form in Self.forms { #expect(throws: (any Error).self) { _ = try r.fused(form) } }
        }
        attempt(
            MatrixRecurrence(
                query: try heads.q.sliced(2, 0..<0), key: try heads.k.sliced(2, 0..<0),
                value: try heads.v.sliced(2, 0..<0)))
        attempt(
            MatrixRecurrence(
                query: heads.q, key: heads.k, value: heads.v, logGates: try Tensor.zeros([2, 3, 5], .float64))
        )
        attempt(
            MatrixRecurrence(
                query: heads.q, key: heads.k, value: heads.v, state: try Tensor.zeros([2, 3, 4, 5], .float64))
        )
    }
}
