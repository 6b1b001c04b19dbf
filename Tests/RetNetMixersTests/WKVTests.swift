import Foundation
import RetNetLayers
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

/// Inputs of averages: keys, values, decay, bonus and sums over earlier tokens.
struct AverageInputs {
    let key: Tensor
    let value: Tensor
    let decay: Tensor
    let bonus: Tensor
    let sums: ExponentialSums?

    init(
        batch: Int = 2, length: Int, channels: Int = 5, keyDeviation: Double = 1, carried: Bool = false,
        type: ElementType = .float64, seed: UInt64 = 1
    ) throws {
        let generator = try Generator(seed: seed)
        key = try generator.normal([batch, length, channels], standardDeviation: keyDeviation, .float64).to(
            type)
        value = try generator.normal([batch, length, channels], .float64).to(type)
        decay = try generator.uniform([channels], from: 0.01, to: 1.5, .float64)
        bonus = try generator.normal([channels], .float64)
        let shape = [batch, channels]
        sums =
            carried
            ? ExponentialSums(
                numerator: try generator.normal(shape, .float64),
                denominator: try generator.uniform(shape, from: 0.5, to: 2, .float64),
                exponent: try generator.normal(shape, .float64)) : nil
    }

    var inputs: [Tensor] {
        [key, value, decay, bonus] + (sums.map { [$0.numerator, $0.denominator, $0.exponent] } ?? [])
    }
    static func sums(_ inputs: [Tensor]) -> ExponentialSums? {
        inputs.count > 4
            ? ExponentialSums(numerator: inputs[4], denominator: inputs[5], exponent: inputs[6]) : nil
    }
}

/// Sums as they are without their exponent: numerator and denominator · e^exponent.
func absolute(_ sums: ExponentialSums) throws -> [Tensor] {
    let scale = try sums.exponent.to(.float64).exp()
    return [try sums.numerator.to(.float64) * scale, try sums.denominator.to(.float64) * scale]
}

/// WKV against its formula, in all forms.
@Suite struct WKVTests {
    typealias Form = @Sendable (Tensor, Tensor, Tensor, Tensor, ExponentialSums?) throws -> WKV.Result
    static let forms: [(name: String, form: Form)] = [
        ("recurrent", { try WKV.recurrent($0, $1, decay: $2, bonus: $3, sums: $4) }),
        ("parallel", { try WKV.parallel($0, $1, decay: $2, bonus: $3, sums: $4) }),
        ("fused", { try WKV.fused($0, $1, decay: $2, bonus: $3, sums: $4) }),
    ]

    @Test(arguments: [1, 2, 3, 17, 64], [1.0, 30])
    func `All forms equal the formula`(length: Int, deviation: Double) throws {
        for carried in [false, true] {
            // More channels than a block of the kernel, and not a multiple of one.
            let x = try AverageInputs(
                length: length, channels: 71, keyDeviation: deviation, carried: carried)
            let exact = try WKV.definition(x.key, x.value, decay: x.decay, bonus: x.bonus, sums: x.sums)
            for (name, form) in Self.forms {
                let found = try form(x.key, x.value, x.decay, x.bonus, x.sums)
                #expect(try relativeError(found.output, exact.output) < 1e-12, "\(name) \(carried)")
                for (a, b) in zip(try absolute(found.sums), try absolute(exact.sums)) {
                    #expect(try relativeError(a, b) < 1e-12, "\(name) \(carried)")
                }
                let narrow = try form(
                    x.key.to(.float32), x.value.to(.float32), x.decay.to(.float32), x.bonus.to(.float32),
                    x.sums.map {
                        ExponentialSums(
                            numerator: try $0.numerator.to(.float32),
                            denominator: try $0.denominator.to(.float32),
                            exponent: try $0.exponent.to(.float32))
                    })
                #expect(try relativeError(narrow.output, exact.output) < 2e-5, "\(name) \(carried)")
            }
        }
    }

    @Test func `Exponents of all forms are the largest weights`() throws {
        let x = try AverageInputs(length: 9, carried: true)
        let expected = try WKV.recurrent(x.key, x.value, decay: x.decay, bonus: x.bonus, sums: x.sums)
        for (name, form) in Self.forms {
            let found = try form(x.key, x.value, x.decay, x.bonus, x.sums).sums
            #expect(try relativeError(found.exponent, expected.sums.exponent) < 1e-13, "\(name)")
            #expect(try relativeError(found.numerator, expected.sums.numerator) < 1e-12, "\(name)")
        }
    }

    @Test(arguments: [false, true])
    func `Gradients of all forms are equal, those of the sums too`(carried: Bool) throws {
        func gradients(_ form: Form) throws -> [Tensor] {
            let x = try AverageInputs(length: 21, channels: 67, keyDeviation: 2, carried: carried)
            for input in x.inputs { try input.requiringGradient() }
            let r = try form(x.key, x.value, x.decay, x.bonus, x.sums)
            let generator = try Generator(seed: 4)
            let outputs = [r.output, r.sums.numerator, r.sums.denominator, r.sums.exponent]
            let seeds = try outputs.map { try generator.normal($0.shape, .float64) }
            return try Tensor.gradients(of: outputs, seeds: seeds, withRespectTo: x.inputs).map {
                try #require($0)
            }
        }
        let expected = try gradients(Self.forms[0].form)
        for (name, form) in Self.forms.dropFirst() {
            for (index, (a, b)) in zip(try gradients(form), expected).enumerated() {
                #expect(try relativeError(a, b) < 1e-11, "\(name) \(index)")
            }
        }
    }

    @Test(arguments: [1.0, 8])
    func `Gradients of the kernel equal finite differences`(deviation: Double) throws {
        let x = try AverageInputs(batch: 1, length: 6, channels: 3, keyDeviation: deviation, carried: true)
        for input in x.inputs { try input.requiringGradient() }
        let weights = try Generator(seed: 4).normal([1, 6, 3], .float64)
        func value(_ inputs: [Tensor]) throws -> Tensor {
            let r = try WKV.fused(
                inputs[0], inputs[1], decay: inputs[2], bonus: inputs[3], sums: AverageInputs.sums(inputs))
            return try (r.output * weights).sum() + r.sums.numerator.sum() + (r.sums.exponent * 0.3).sum()
        }
        try expectSlopes(of: x.inputs, value)
    }

    @Test func `Gradients of the kernel equal the closed forms`() throws {
        let x = try AverageInputs(batch: 1, length: 9, channels: 4)
        let g = try Generator(seed: 4).normal([1, 9, 4], .float64)
        for input in x.inputs { try input.requiringGradient() }
        let r = try WKV.fused(x.key, x.value, decay: x.decay, bonus: x.bonus, sums: nil)
        let found = try Tensor.gradients(of: [r.output], seeds: [g], withRespectTo: x.inputs).map {
            try #require($0).doubles()
        }
        let (k, v, y, gs) = (
            try x.key.doubles(), try x.value.doubles(), try r.output.doubles(), try g.doubles()
        )
        let (w, u) = (try x.decay.doubles(), try x.bonus.doubles())
        var expected = x.inputs.map { [Double](repeating: 0, count: $0.elementCount) }
        for c in 0..<4 {
            for t in 0..<9 {
                let weights = (0...t).map { i in
                    i == t ? exp(u[c] + k[t * 4 + c]) : exp(k[i * 4 + c] - Double(t - 1 - i) * w[c])
                }
                let h = gs[t * 4 + c] / weights.reduce(0, +)
                for i in 0...t {
                    let slope = weights[i] * h * (v[i * 4 + c] - y[t * 4 + c])
                    expected[0][i * 4 + c] += slope
                    expected[1][i * 4 + c] += weights[i] * h
                    if i == t { expected[3][c] += slope } else { expected[2][c] -= Double(t - 1 - i) * slope }
                }
            }
        }
        for (a, b) in zip(found, expected) {
            for (x, y) in zip(a, b) { #expect(abs(x - y) < 1e-12 * max(1, abs(y))) }
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `Extreme keys neither overflow nor drown what came before`(type: ElementType) throws {
        // Keys of ±80, and one that is larger by 120 late in the sequence.
        let length = 40
        var keys = (0..<length).flatMap { t -> [Double] in [t % 2 == 0 ? 80 : -80, Double(t % 3), -80] }
        keys[3 * 30 + 1] = 120
        let k = try Tensor.from(keys, [1, length, 3])
        let v = try Generator(seed: 2).normal([1, length, 3], .float64).to(type)
        let w = try Tensor.from([0.01, 0.5, 0])
        let u = try Tensor.from([0.5, -1, 0.0])
        let exact = try WKV.definition(k, v, decay: w, bonus: u, sums: nil)
        for (name, form) in Self.forms {
            let key = try k.to(type).requiringGradient()
            let found = try form(key, v, w.to(.float32), u.to(.float32), nil)
            #expect(
                try relativeError(found.output, exact.output) < (type == .float32 ? 1e-5 : 5e-3), "\(name)")
            let gradient = try Tensor.gradients(of: [found.output.sum()], seeds: [nil], withRespectTo: [key])
            #expect(try #require(gradient[0]).allFinite(), "\(name)")
        }
    }

    @Test(arguments: [ElementType.float32, .bfloat16])
    func `A slow decay stays exact over 16,384 tokens`(type: ElementType) throws {
        let channels = 8
        let generator = try Generator(seed: 6)
        var k = try generator.normal([1, 16384, channels], .float64)
        // A large early key raises the exponent, which then sinks in steps below its own rounding.
        k = try Tensor.concatenated([k.sliced(1, 0..<1) + 60, k.sliced(1, 1..<16384)], axis: 1).to(type)
        let v = try generator.normal([1, 16384, channels], .float64).to(type)
        let w = try Tensor.from([1e-5, 1e-4, 1e-3, 3e-3, 5e-3, 0.1, 1, 0])
        let u = try Tensor.zeros([channels], .float64)
        let exact = try WKV.recurrent64(k, v, w, u)
        let key = try k.requiringGradient()
        let found = try WKV.fused(key, v, decay: w.to(.float32), bonus: u.to(.float32), sums: nil)
        let limit = type == .float32 ? 1e-5 : 5e-3
        #expect(try relativeError(found.output, exact.output) < limit)
        let slopes = try Tensor.gradients(of: [found.output.sum()], seeds: [nil], withRespectTo: [key])[0]
        let wide = try k.to(.float64).requiringGradient()
        let reference = try WKV.fused(wide, v.to(.float64), decay: w, bonus: u, sums: nil)
        let expected = try Tensor.gradients(
            of: [reference.output.sum()], seeds: [nil], withRespectTo: [wide])[0]
        let error = try relativeError(#require(slopes), #require(expected))
        #expect(error < (type == .float32 ? 2e-4 : 2e-2))
    }

    @Test func `The sums of the caller are never changed`() throws {
        let x = try AverageInputs(length: 4, carried: true)
        let sums = try #require(x.sums)
        let before = try sums.numerator.doubles() + sums.exponent.doubles()
        for (_, form) in Self.forms { _ = try form(x.key, x.value, x.decay, x.bonus, sums) }
        #expect(try sums.numerator.doubles() + sums.exponent.doubles() == before)
    }
}

extension WKV {
    /// The kernel in float64: what narrow types are compared with where direct sums would take too long.
    static func recurrent64(_ k: Tensor, _ v: Tensor, _ w: Tensor, _ u: Tensor) throws -> Result {
        try fused(k.detached().to(.float64), v.to(.float64), decay: w, bonus: u, sums: nil)
    }
}

/// Compares the gradients of a scalar with central differences in every element.
func expectSlopes(of inputs: [Tensor], _ value: ([Tensor]) throws -> Tensor, step: Double = 1e-6) throws {
    let analytic = try Tensor.gradients(of: [value(inputs)], seeds: [nil], withRespectTo: inputs)
    for (index, input) in inputs.enumerated() {
        let base = try input.doubles()
        let slopes = try #require(analytic[index]).doubles()
        for i in base.indices {
            func shifted(_ delta: Double) throws -> Double {
                var values = base
                values[i] += delta
                var changed = inputs
                changed[index] = try Tensor.from(values, input.shape)
                return try withoutGradients { try value(changed).item() }
            }
            let slope = try (shifted(step) - shifted(-step)) / (2 * step)
            #expect(abs(slope - slopes[i]) < 1e-6 * max(1, abs(slope)), "input \(index), element \(i)")
        }
    }
}
