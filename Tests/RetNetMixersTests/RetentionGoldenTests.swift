import Foundation
import RetNetMixers
import RetNetTorch
import Testing

/// The golden vector: T = 5, a = 4, b = 3, γ = 31/32, first position 7, interleaved inclusive angles.
@Suite struct RetentionGoldenTests {
    let logGammas = [log1p(-1.0 / 32)]

    func inputs(queryScale: Double = 1) throws -> (q: Tensor, k: Tensor, v: Tensor, state: Tensor) {
        func table(_ width: Int, _ body: (Double, Double) -> Double) throws -> Tensor {
            let values = (0..<5).flatMap { n in (0..<width).map { body(Double(n), Double($0)) } }
            return try Tensor.from(values, [1, 5, 1, width])
        }
        let angles = RotationKind.interleaved.angles(keySize: 4)
        let phases = (0..<5).flatMap { n in angles.map { Double(7 + n) * $0 } }
        let cosine = try Tensor.from(phases.map(cos), [1, 5, 2])
        let sine = try Tensor.from(phases.map(sin), [1, 5, 2])
        func rotate(_ x: Tensor) throws -> Tensor {
            try FusedOperators.rotateHeads(x, cosine: cosine, sine: sine, interleaved: true, scale: 1)
        }
        let q = try rotate(table(4) { sin(0.3 + 1.1 * $0 + 0.7 * $1) } * queryScale)
        let k = try rotate(table(4) { cos(0.2 + 0.9 * $0 - 0.5 * $1) / 2 })
        let v = try table(3) { sin(1 + 0.4 * $0 * ($1 + 1)) }.transposed(1, 2).contiguous()
        let state = (0..<4).flatMap { i in (0..<3).map { j in 0.1 * cos(Double(i) + 2 * Double(j)) } }
        return (q, k, v, try Tensor.from(state, [1, 1, 4, 3]))
    }

    func expectClose(_ found: Tensor, _ expected: [Double]) throws {
        for (a, b) in zip(try found.doubles(), expected) { #expect(abs(a - b) < 2e-12) }
        #expect(found.elementCount == expected.count)
    }

    static let outputs = [
        0.733376500897, 0.716448911610, 1.012035126494, 1.029175895826, 0.983597158541, 1.045958931312,
        -1.298426114909, -1.024453777439, -0.461333272182, -0.212415910086, -0.786971078416, -0.759405154972,
        1.653525883508, 0.239387411061, 0.262917205444,
    ]
    static let outputsFromZero = [
        0.826788389165, 0.826788389165, 0.826788389165, 1.060239996839, 1.053454767524, 0.956752784324,
        -1.381246616698, -1.032363523831, -0.371929538516, -0.332483327138, -0.745002334968, -0.674268057560,
        1.709130934645, 0.273820631595, 0.178653602712,
    ]
    static let finalState = [
        -0.202337543527, 0.080348745810, -0.349722704327, 1.242906013878, 0.024693290292, -0.055994204601,
        0.545184641553, 1.223310016190, 1.015142108512, 0.723475055092, 1.013807374607, 0.470506749758,
    ]

    @Test func `Rotated queries and keys have the published digits`() throws {
        let (q, k, _, _) = try inputs()
        try expectClose(
            q.sliced(2, 0..<1), [-0.330041810224, 0.828539687838, 0.991191743307, 0.676157180373])
        try expectClose(k.sliced(2, 0..<1), [0.055615565909, 0.682060470151, 0.348259644745, 0.133993228872])
    }

    @Test(arguments: [MixerForm.parallel, .chunkwise(2), .chunkwise(3), .recurrent])
    func `Outputs and state have the published digits`(form: MixerForm) throws {
        let (q, k, v, state) = try inputs()
        let carried = try Retention.fused(q, k, v, state: state, logGammas: logGammas, form: form)
        try expectClose(carried.output, Self.outputs)
        try expectClose(carried.state, Self.finalState)
        let fresh = try Retention.fused(q, k, v, state: nil, logGammas: logGammas, form: form)
        try expectClose(fresh.output, Self.outputsFromZero)
    }

    @Test func `The definition has the published digits`() throws {
        let (q, k, v, state) = try inputs()
        let result = try Retention.definition(q, k, v, state: state, logGammas: logGammas)
        try expectClose(result.output, Self.outputs)
        try expectClose(result.state, Self.finalState)
    }

    @Test func `Folding the score factors into epsilon gives the published norms`() throws {
        let (q, k, v, _) = try inputs()
        let o = try Retention.fused(q, k, v, state: nil, logGammas: logGammas, form: .parallel).output
        func norm(_ epsilons: [Double]) throws -> Tensor {
            try FusedOperators.headNormGate(
                o, gate: nil, epsilons: Tensor.from(epsilons, [1, 1, 5]), weight: nil, bias: nil, kind: .rms,
                activation: .none
            ).sliced(1, 4..<5)
        }
        let sums = [1, 1.96875, 2.9072265625, 3.816375732422, 4.697113990784]
        try expectClose(
            norm([Double](repeating: 1e-6, count: 5)), [1.701202975158, 0.272550489659, 0.177824901707])
        try expectClose(norm(sums.map { $0 * 1e-6 }), [1.701199859503, 0.272549990499, 0.177824576030])
    }

    @Test(arguments: [
        (1.0, [1, 1, 1, 1, 1.030087672408], [1, 1, 1, 1.028453598664, 1.104580602130]),
        (
            6.0, [5.895307651185, 4.960017454312, 5.058314497657, 1, 6.180526034449],
            [5.895307651185, 4.960017454312, 5.058314497657, 6.170721591987, 6.627483612779]
        ),
    ])
    func `Both score sums have the published values`(scale: Double, absSum: [Double], sumAbs: [Double]) throws
    {
        let (q, k, _, _) = try inputs(queryScale: scale)
        let sums = try Tensor.from([1, 1.96875, 2.9072265625, 3.816375732422, 4.697113990784], [1, 1, 5])
        let ones = try Tensor.ones([1, 1, 5, 1], .float64)
        let total = try Retention.fused(q, k, ones, state: nil, logGammas: logGammas, form: .chunkwise(2))
            .output
        let first = try (total.squeezed(-1).abs() / sums.sqrt()).maximum(1).doubles()
        let second = try (Retention.absoluteScoreSums(q, k, logGammas: logGammas) / sums.sqrt()).maximum(1)
            .doubles()
        for (a, b) in zip(first, absSum) { #expect(abs(a - b) < 1e-10) }
        for (a, b) in zip(second, sumAbs) { #expect(abs(a - b) < 1e-10) }
    }
}
