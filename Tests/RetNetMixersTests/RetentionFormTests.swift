import Foundation
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

/// Every form of the operator against its definition, in values, states and gradients.
@Suite struct RetentionFormTests {
    static let gammas = [log(0.9), log1p(-1.0 / 32), 0.0]  // 0.9, 31/32, 1

    @Test(arguments: [1, 2, 3, 7, 16, 31], [false, true])
    func `Clear forms equal the definition`(length: Int, carried: Bool) throws {
        let h = try Heads(time: length, carried: carried, seed: UInt64(length))
        let expected = try Retention.definition(h.q, h.k, h.v, state: h.state, logGammas: Self.gammas)
        var results = [
            try Retention.parallel(h.q, h.k, h.v, state: h.state, logGammas: Self.gammas),
            try Retention.recurrent(h.q, h.k, h.v, state: h.state, logGammas: Self.gammas),
        ]
        for chunk in [1, 2, 3, 7, 16, length, length + 5] {
            results.append(
                try Retention.chunkwise(
                    h.q, h.k, h.v, state: h.state, logGammas: Self.gammas, chunkLength: chunk))
        }
        for result in results {
            #expect(try relativeError(result.output, expected.output) < 1e-10)
            #expect(try relativeError(result.state, expected.state) < 1e-10)
        }
    }

    @Test(arguments: [1, 2, 3, 5, 16, 63, 64, 65, 127, 200], [ElementType.float64, .float32, .bfloat16])
    func `Fused forms equal the clear parallel form`(length: Int, type: ElementType) throws {
        for carried in [false, true] {
            let h = try Heads(time: length, keySize: 8, valueSize: 10, carried: carried, seed: UInt64(length))
            let expected = try Retention.parallel(h.q, h.k, h.v, state: h.state, logGammas: Self.gammas)
            let (q, k, v) = (try h.q.to(type), try h.k.to(type), try h.v.to(type))
            let state = try h.state?.to(type.accumulator)
            let forms =
                [1, 2, 3, 7, 16, 64, length, length + 5].map(MixerForm.chunkwise) + [.parallel, .recurrent]
            for form in forms {
                let found = try Retention.fused(q, k, v, state: state, logGammas: Self.gammas, form: form)
                #expect(try relativeError(found.output, expected.output) < tolerance(type), "\(form)")
                #expect(try relativeError(found.state, expected.state) < tolerance(type), "\(form)")
                #expect(found.state.elementType == type.accumulator)
                #expect(found.output.elementType == type)
            }
        }
    }

    @Test(arguments: [1, 5, 16, 33], [ElementType.float64, .float32, .bfloat16])
    func `Gradients through outputs and states agree`(length: Int, type: ElementType) throws {
        for carried in [false, true] {
            let exact = try Heads(time: length, carried: carried, seed: 9)
            let generator = try Generator(seed: 4)
            let outSeed = try generator.normal(exact.v.shape, .float64)
            let stateSeed = try generator.normal([2, 3, 4, 6], .float64)
            func gradients(
                _ type: ElementType, _ run: (Tensor, Tensor, Tensor, Tensor?) throws -> Retention.Result
            ) throws -> [Tensor] {
                let inputs = try exact.inputs.enumerated().map { index, input in
                    try input.to(index == 3 ? type.accumulator : type).detached().clone().requiringGradient()
                }
                let result = try run(inputs[0], inputs[1], inputs[2], inputs.count > 3 ? inputs[3] : nil)
                return try Tensor.gradients(
                    of: [result.output, result.state],
                    seeds: [outSeed.to(type), stateSeed.to(type.accumulator)], withRespectTo: inputs
                ).map { try #require($0) }
            }
            let expected = try gradients(.float64) {
                try Retention.recurrent($0, $1, $2, state: $3, logGammas: Self.gammas)
            }
            let forms: [MixerForm] = [
                .parallel, .chunkwise(1), .chunkwise(3), .chunkwise(7), .chunkwise(16),
                .chunkwise(length + 5),
                .recurrent,
            ]
            for form in forms {
                let found = try gradients(type) {
                    try Retention.fused($0, $1, $2, state: $3, logGammas: Self.gammas, form: form)
                }
                for (a, b) in zip(found, expected) {
                    #expect(try relativeError(a, b) < tolerance(type), "\(form) \(carried)")
                }
            }
        }
    }

    @Test func `Gradients agree with central differences`() throws {
        let h = try Heads(batch: 1, time: 5, keySize: 2, valueSize: 3, carried: true, seed: 2)
        try h.requireGradients()
        func value(_ inputs: [Tensor]) throws -> Tensor {
            let r = try Retention.fused(
                inputs[0], inputs[1], inputs[2], state: inputs[3], logGammas: Self.gammas, form: .chunkwise(2)
            )
            return try (r.output * r.output).sum() + r.state.power(3).sum()
        }
        let analytic = try Tensor.gradients(of: [value(h.inputs)], seeds: [nil], withRespectTo: h.inputs)
        let step = 1e-6
        for (index, input) in h.inputs.enumerated() {
            let base = try input.doubles()
            let slopes = try analytic[index].map { try $0.doubles() } ?? []
            for i in base.indices {
                func shifted(_ delta: Double) throws -> Double {
                    var values = base
                    values[i] += delta
                    var inputs = h.inputs
                    inputs[index] = try Tensor.from(values, input.shape)
                    return try withoutGradients { try value(inputs).item() }
                }
                let slope = try (shifted(step) - shifted(-step)) / (2 * step)
                #expect(abs(slope - slopes[i]) < 1e-6 * Swift.max(1, abs(slope)))
            }
        }
    }

    @Test func `The caller's state is never changed`() throws {
        let h = try Heads(time: 4, carried: true, type: .float32)
        let before = try #require(h.state).doubles()
        for form in [MixerForm.parallel, .chunkwise(2), .recurrent] {
            _ = try Retention.fused(h.q, h.k, h.v, state: h.state, logGammas: Self.gammas, form: form)
            #expect(try #require(h.state).doubles() == before)
        }
    }

    @Test func `A decay that rounds to 1 in bfloat16 leaks nothing from the future`() throws {
        let gammas = [log1p(-1.0 / 16384)]
        let h = try Heads(batch: 1, heads: 1, time: 64, carried: false, type: .bfloat16)
        let whole = try Retention.fused(h.q, h.k, h.v, state: nil, logGammas: gammas, form: .parallel).output
        let later = try Tensor.concatenated([h.v.sliced(2, 0..<32), h.v.sliced(2, 32..<64) * 100], axis: 2)
        let other = try Retention.fused(h.q, h.k, later, state: nil, logGammas: gammas, form: .parallel)
            .output
        #expect(try whole.sliced(2, 0..<32).doubles() == other.sliced(2, 0..<32).doubles())
    }

    @Test func `A long bfloat16 run stays finite and exact to its tolerance`() throws {
        let gammas = DecaySchedule.standard.logGammas(headCount: 8)
        let h = try Heads(batch: 1, heads: 8, time: 8192, keySize: 16, valueSize: 16, carried: false, seed: 5)
        let exact = try Retention.fused(h.q, h.k, h.v, state: nil, logGammas: gammas, form: .chunkwise(256))
        let found = try Retention.fused(
            h.q.to(.bfloat16), h.k.to(.bfloat16), h.v.to(.bfloat16), state: nil, logGammas: gammas,
            form: .chunkwise(128))
        #expect(try relativeError(found.output, exact.output) < tolerance(.bfloat16))
        #expect(try relativeError(found.state, exact.state) < tolerance(.bfloat16))
    }
}
