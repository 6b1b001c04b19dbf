import Foundation
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

/// Every kind of matrix recurrence in all its forms, values and gradients, against the definition.
@Suite struct MatrixRecurrenceTests {
    /// What a test varies.
    struct Kind: CustomTestStringConvertible, Sendable {
        let name: String
        var gates = 0  // axes beyond [B, H, T], or -1 for none
        var delta = false
        var groups = 3
        var testDescription: String { name }

        static let all = [
            Kind(name: "no gates", gates: -1), Kind(name: "gates of heads"),
            Kind(name: "gates of heads, one group", groups: 1), Kind(name: "gates of channels", gates: 1),
            Kind(name: "delta", gates: -1, delta: true), Kind(name: "gated delta", delta: true),
        ]
        static let composed = all + [Kind(name: "channel-gated delta", gates: 1, delta: true)]
    }

    /// Random inputs; keys are normalized where they erase, and correlated where asked for.
    static func inputs(
        _ kind: Kind, batch: Int = 2, time: Int, keySize: Int = 5, valueSize: Int = 7, carried: Bool,
        gateScale: Double = 1, correlation: Double = 0, betaRange: Double = 2, seed: UInt64 = 1
    ) throws -> [Tensor?] {
        let generator = try Generator(seed: seed)
        func normal(_ shape: [Int]) throws -> Tensor { try generator.normal(shape, .float64) }
        let q = try normal([batch, kind.groups, time, keySize])
        var k = try normal([batch, kind.groups, time, keySize])
        if kind.delta {
            let shared = try normal([batch, kind.groups, 1, keySize])
            k = try k * (1 - correlation) + shared * correlation
            k = try k / (k * k).sum([-1], keepingAxes: true).sqrt()
        }
        let v = try normal([batch, 3, time, valueSize])
        let gateShape = [batch, 3, time] + (kind.gates == 1 ? [keySize] : [])
        let logs = kind.gates < 0 ? nil : try normal(gateShape).softplus().negated() * gateScale
        let beta = kind.delta ? try normal([batch, 3, time]).sigmoid() * betaRange : nil
        let state = carried ? try normal([batch, 3, keySize, valueSize]) : nil
        return [q, k, v, logs, beta, state]
    }

    static func recurrence(_ t: [Tensor?]) throws -> MatrixRecurrence {
        MatrixRecurrence(
            query: try #require(t[0]), key: try #require(t[1]), value: try #require(t[2]), logGates: t[3],
            beta: t[4], state: t[5])
    }

    private func expectEqual(
        _ a: MatrixRecurrence.Result, _ b: MatrixRecurrence.Result, _ limit: Double = 1e-12,
        _ comment: Comment? = nil
    ) throws {
        #expect(try relativeError(a.output, b.output) < limit, comment)
        #expect(try relativeError(a.state, b.state) < limit, comment)
    }

    @Test(arguments: Kind.composed, [1, 2, 17, 70])
    func `All forms equal the definition`(kind: Kind, time: Int) throws {
        for carried in [false, true] {
            let r = try Self.recurrence(Self.inputs(kind, time: time, carried: carried))
            let expected = try r.definition()
            try expectEqual(r.recurrent(), expected)
            try expectEqual(r.parallel(), expected)
            try expectEqual(r.chunkwise(16), expected)
            for form in [MixerForm.parallel, .recurrent, .chunkwise(1), .chunkwise(7), .chunkwise(64)] {
                try expectEqual(r.fused(form), expected, 1e-12, "\(form) \(carried)")
            }
        }
    }

    @Test(arguments: Kind.all)
    func `Gradients of the kernels equal those of the recurrence`(kind: Kind) throws {
        let time = 150
        for carried in [false, true] {
            let values = try Self.inputs(kind, time: time, carried: carried)
            let generator = try Generator(seed: 9)
            let seeds = [
                try generator.normal([2, 3, time, 7], .float64),
                try generator.normal([2, 3, 5, 7], .float64),
            ]
            for useState in [false, true] {
                func gradients(_ run: (MatrixRecurrence) throws -> MatrixRecurrence.Result) throws -> [Tensor]
                {
                    let leaves = try values.map { try $0?.clone().requiringGradient() }
                    let (output, state) = try run(Self.recurrence(leaves))
                    return try Tensor.gradients(
                        of: useState ? [output, state] : [output], seeds: useState ? seeds : [seeds[0]],
                        withRespectTo: leaves.compactMap { $0 }
                    ).map { try #require($0) }
                }
                let expected = try gradients { try $0.recurrent() }
                for form in [MixerForm.parallel, .chunkwise(4), .chunkwise(64)] {
                    let found = try gradients { try $0.fused(form) }
                    for (index, (a, b)) in zip(found, expected).enumerated() {
                        #expect(
                            try relativeError(a, b) < 1e-11, "\(index) \(form) \(carried) \(useState)")
                    }
                }
                let plain = try gradients { try $0.chunkwise(32) }
                for (a, b) in zip(plain, expected) { #expect(try relativeError(a, b) < 1e-11) }
            }
        }
    }

    @Test(arguments: Kind.all, [ElementType.float32, .bfloat16])
    func `Narrow types keep values and gradients`(kind: Kind, type: ElementType) throws {
        let exact = try Self.inputs(kind, time: 200, keySize: 32, valueSize: 80, carried: true).map {
            try $0?.to(type).to(.float64)
        }
        let narrow = try exact.enumerated().map { index, tensor in
            // Gates, beta and states are always wide, and the delta rule's keys are.
            let wide = index >= 3 || (kind.delta && index < 2)
            return try tensor?.to(wide ? type.accumulator : type)
        }
        let generator = try Generator(seed: 9)
        let seed = try generator.normal([2, 3, 200, 80], .float64).to(type)
        func run(_ inputs: [Tensor?], _ form: MixerForm) throws -> (MatrixRecurrence.Result, [Tensor]) {
            let leaves = try inputs.map { try $0?.clone().requiringGradient() }
            let result = try Self.recurrence(leaves).fused(form)
            let gradients = try Tensor.gradients(
                of: [result.output], seeds: [seed.to(result.output.elementType)],
                withRespectTo: leaves.compactMap { $0 })
            return (result, try gradients.map { try #require($0) })
        }
        let (expected, gradients) = try run(exact, .chunkwise(64))
        let limit = type == .float32 ? 5e-6 : 1e-2
        for form in [MixerForm.parallel, .chunkwise(64), .chunkwise(10)] {
            let (found, others) = try run(narrow, form)
            #expect(found.output.elementType == type)
            #expect(found.state.elementType == .float32)
            try expectEqual(found, expected, limit, "\(form)")
            for (index, (a, b)) in zip(others, gradients).enumerated() {
                #expect(try relativeError(a, b) < 3 * limit, "\(index) \(form)")
            }
        }
        let steps = try withoutGradients { try Self.recurrence(narrow).fused(.recurrent) }
        try expectEqual(steps, expected, limit)
    }

    @Test(arguments: Kind.all)
    func `Gates that shut and gates that stay open are exact`(kind: Kind) throws {
        for value in [0.0, -1e-30, -40, -200, -1e4, -1e30] {
            var values = try Self.inputs(kind, time: 40, carried: true)
            guard let logs = values[3] else { return }
            // Every third gate is as given, the others are ordinary ones.
            let third = try Tensor.from((0..<40).map { $0 % 3 == 1 ? 1.0 : 0 }, [40])
            let mask = try (logs.rank == 4 ? third.unsqueezed(-1) : third) * Tensor.ones(logs.shape, .float64)
            values[3] = try Tensor.select(
                where: mask.isEqual(to: 1), Tensor.full(logs.shape, value, .float64), else: logs)
            let expected = try Self.recurrence(values).definition()
            for form in [MixerForm.parallel, .chunkwise(16), .recurrent] {
                try expectEqual(Self.recurrence(values).fused(form), expected, 1e-12, "\(value) \(form)")
                let narrow = try Self.recurrence(values.map { try $0?.to(.float32) }).fused(form)
                try expectEqual(narrow, expected, 5e-6, "\(value) \(form) float32")
            }
            let leaves = try values.map { try $0?.to(.float32).requiringGradient() }
            let output = try Self.recurrence(leaves).fused(.chunkwise(16)).output
            let all = leaves.compactMap { $0 }
            for gradient in try Tensor.gradients(of: [output.sum()], seeds: [nil], withRespectTo: all) {
                #expect(try #require(gradient).allFinite())
            }
        }
    }

    @Test(arguments: [0, 0.5, 0.9, 1], [1.0, 2])
    func `Correlated keys keep the digits of the delta rule`(correlation: Double, range: Double) throws {
        let kind = Kind(name: "delta", gates: -1, delta: true)
        let exact = try Self.inputs(
            kind, time: 256, keySize: 32, valueSize: 32, carried: true, correlation: correlation,
            betaRange: range)
        let expected = try Self.recurrence(exact).definition()
        try expectEqual(Self.recurrence(exact).fused(.chunkwise(64)), expected, 1e-12)
        let narrow = try Self.recurrence(exact.map { try $0?.to(.float32) })
        let rounded = try Self.recurrence(exact.map { try $0?.to(.float32).to(.float64) }).definition()
        try expectEqual(narrow.fused(.chunkwise(64)), rounded, 5e-6)
        try expectEqual(narrow.fused(.recurrent), rounded, 5e-6)
    }

    @Test(arguments: Kind.all)
    func `Long sequences keep their digits`(kind: Kind) throws {
        let exact = try Self.inputs(
            kind, batch: 1, time: 16_384, keySize: 8, valueSize: 8, carried: false, gateScale: 0.05)
        let expected = try withoutGradients { try Self.recurrence(exact).fused(.recurrent) }
        for (type, limit) in [(ElementType.float32, 1e-5), (.bfloat16, 2e-2)] {
            // Without decay the sums of bfloat16 inputs still grow in float32.
            let narrow = try exact.enumerated().map { index, tensor in
                try tensor?.to(index >= 3 || (kind.delta && index < 2) ? .float32 : type)
            }
            for form in [MixerForm.chunkwise(128), .recurrent] {
                let found = try withoutGradients { try Self.recurrence(narrow).fused(form) }
                #expect(try relativeError(found.output, expected.output) < limit, "\(type) \(form)")
            }
        }
    }
}
