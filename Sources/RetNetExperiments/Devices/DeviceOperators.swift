import Foundation
import RetNetArchitecture
import RetNetMixers
import RetNetTorch

/// Checks of single operators: this package's kernels on the device, or what runs in their place, against the processor.
enum DeviceOperators {
    /// Sizes of heads and sequences: usual ones, and those that no tile divides.
    private struct Sizes {
        let batch: Int, heads: Int, length: Int, key: Int, value: Int
        var text: String { "\(batch) × \(heads) heads × \(length), \(key) by \(value)" }
    }

    private static let retentionSizes = [
        Sizes(batch: 2, heads: 4, length: 256, key: 256, value: 512),
        Sizes(batch: 1, heads: 3, length: 200, key: 64, value: 128),
        Sizes(batch: 2, heads: 2, length: 77, key: 20, value: 36),
        Sizes(batch: 1, heads: 1, length: 2100, key: 128, value: 128),
        Sizes(batch: 1, heads: 2, length: 1, key: 16, value: 16),
    ]

    static var checks: [DeviceCheck] {
        let types: [ElementType] = [.float32, .bfloat16]
        var result: [DeviceCheck] = []
        for type in types {
            for sizes in retentionSizes {
                for hasState in [false, true] {
                    result.append(retention(sizes, type, hasState: hasState))
                }
                result.append(gatedRetention(sizes, type))
            }
            result += [
                retentionStep(type), headNorm(type), rotation(type), tokenLoss(type), mix(type),
                rmsNorm(type),
                residual(type), attention(type),
            ]
        }
        return result
    }

    /// Compares outputs and gradients of an operator over random inputs of these shapes, in float64 on the processor.
    private static func check(
        _ name: String, _ type: ElementType, _ shapes: [[Int]], scale: Double = 1, hasGradients: Bool = true,
        _ operation: @escaping ([Tensor], _ device: Device, _ wide: ElementType) throws -> [Tensor]
    ) -> DeviceCheck {
        DeviceCheck("operators", "\(name), \(type.rawValue)") { device in
            let generator = try Generator(seed: 21)
            // Rounded first, so that both sides compute with the same numbers.
            let values = try shapes.map {
                try (generator.normal($0, .float32) * scale).to(type).to(.float64)
            }
            // Gradients of outputs are rounded to the types that these have on the device.
            func run(_ type: ElementType, _ device: Device, _ seedTypes: [ElementType]? = nil) throws -> (
                outputs: [Tensor], gradients: [Tensor]
            ) {
                let inputs = try values.map {
                    try $0.to(type, on: device).detached().requiringGradient(hasGradients)
                }
                let outputs = try operation(inputs, device, type.accumulator)
                guard hasGradients else { return (outputs, []) }
                let random = try Generator(seed: 22)
                let seeds = try zip(outputs, seedTypes ?? outputs.map(\.elementType)).map {
                    try random.normal($0.shape, .float32).to($1).to($0.elementType, on: device)
                }
                let gradients = try Tensor.gradients(of: outputs, seeds: seeds, withRespectTo: inputs)
                return (outputs, gradients.compactMap { $0 })
            }
            let found = try run(type, device)
            let expected = try run(.float64, .cpu, found.outputs.map(\.elementType))
            let outputs = try DeviceComparison.relativeError(found.outputs, expected.outputs)
            var note = "outputs \(text(outputs))"
            var worst = outputs
            for (index, pair) in zip(found.gradients, expected.gradients).enumerated() {
                let error = try DeviceComparison.relativeError([pair.0], [pair.1])
                note += ", gradient \(index) \(text(error))"
                worst = max(worst, error)
            }
            if found.gradients.count != expected.gradients.count { worst = .infinity }
            return DeviceCheck.Outcome(value: worst, limit: limit(type), note: note)
        }
    }

    /// Single operators have no layers whose errors add up.
    private static func limit(_ type: ElementType) -> Double { type == .bfloat16 ? 2e-2 : 1e-4 }

    private static func text(_ error: Double) -> String { String(format: "%.1e", error) }

    private static func retention(_ s: Sizes, _ type: ElementType, hasState: Bool) -> DeviceCheck {
        let logGammas = DecaySchedule.experiment.logGammas(headCount: s.heads)
        let heads = [s.batch, s.heads, s.length]
        var shapes = [heads + [s.key], heads + [s.key], heads + [s.value]]
        if hasState { shapes.append([s.batch, s.heads, s.key, s.value]) }
        return check("retention, \(s.text)\(hasState ? ", from a state" : "")", type, shapes, scale: 0.3) {
            inputs, _, wide in
            let result = try FusedOperators.retention(
                query: inputs[0], key: inputs[1], value: inputs[2],
                state: hasState ? inputs[3].to(wide) : nil,
                logGammas: logGammas, chunkLength: 64, trains: true)
            return [result.output, result.state]
        }
    }

    private static func gatedRetention(_ s: Sizes, _ type: ElementType) -> DeviceCheck {
        let heads = [s.batch, s.heads, s.length]
        return check(
            "gated retention, \(s.text)", type,
            [
                heads + [s.key], heads + [s.key], heads + [s.value], [s.batch, s.heads, s.key, s.value],
                heads,
            ],
            scale: 0.3
        ) { inputs, _, wide in
            let gates = try inputs[4].to(wide).abs() * -0.2
            let result = try MatrixRecurrence(
                query: inputs[0], key: inputs[1], value: inputs[2], logGates: gates, beta: nil,
                state: inputs[3].to(wide)
            ).fused(.chunkwise(64))
            return [result.output, result.state]
        }
    }

    private static func retentionStep(_ type: ElementType) -> DeviceCheck {
        let logGammas = DecaySchedule.experiment.logGammas(headCount: 4)
        return check(
            "step of retention, 3 × 4 heads, 64 by 128", type,
            [[3, 4, 64], [3, 4, 64], [3, 4, 128], [3, 4, 64, 128]], hasGradients: false
        ) { inputs, _, wide in
            let result = try FusedOperators.retentionStep(
                query: inputs[0], key: inputs[1], value: inputs[2], state: inputs[3].to(wide),
                logGammas: logGammas, inPlace: false)
            return [result.output, result.state]
        }
    }

    private static func headNorm(_ type: ElementType) -> DeviceCheck {
        check(
            "head norm and gate, 2 × 3 heads × 50 of 96", type,
            [[2, 3, 50, 96], [2, 50, 288], [288], [288]]
        ) { inputs, device, wide in
            let epsilons = try Tensor.full([1], 1e-5, wide, on: device)
            return [
                try FusedOperators.headNormGate(
                    inputs[0], gate: inputs[1], epsilons: epsilons, weight: inputs[2], bias: inputs[3],
                    kind: .layer, activation: .swish)
            ]
        }
    }

    private static func rotation(_ type: ElementType) -> DeviceCheck {
        check("rotation of heads, 2 × 40 × 3 of 64", type, [[2, 40, 3, 64], [2, 40, 3, 64]]) {
            inputs, device, wide in
            let angles = try Tensor.range(to: 40 * 32, .float64).reshaped([1, 40, 32]) * 0.01
            let (cosine, sine) = (
                try angles.cos().to(wide, on: device), try angles.sin().to(wide, on: device)
            )
            return try [(inputs[0], true), (inputs[1], false)].map { x, interleaved in
                try FusedOperators.rotateHeads(
                    x, cosine: cosine, sine: sine, interleaved: interleaved, scale: 0.125)
            }
        }
    }

    private static func tokenLoss(_ type: ElementType) -> DeviceCheck {
        check("loss of tokens, 33 of 5,003", type, [[33, 5003]]) { inputs, device, _ in
            let labels = (0..<33).map { (row: Int) -> Int64 in row % 7 == 3 ? -100 : Int64(row * 151) }
            let targets = try Tensor.from(labels, [33]).to(on: device)
            let result = try FusedOperators.tokenLosses(inputs[0], targets: targets)
            return [result.losses, result.logNormalizers]
        }
    }

    private static func mix(_ type: ElementType) -> DeviceCheck {
        check(
            "AltUp's mix, 3 streams of 5 × 130", type,
            [[5, 130], [5, 130], [5, 130], [5, 130], [3, 3], [3]]
        ) {
            inputs, _, wide in
            try FusedOperators.altUpMix(
                Array(inputs[0..<3]), layerOutput: inputs[3], prediction: inputs[4].to(wide),
                correction: inputs[5].to(wide), active: 1)
        }
    }

    private static func rmsNorm(_ type: ElementType) -> DeviceCheck {
        check("RMS norm, 37 rows of 200", type, [[37, 200], [200]]) { inputs, _, _ in
            [try FusedOperators.rmsNorm(inputs[0], weight: inputs[1], epsilon: 1e-6)]
        }
    }

    private static func residual(_ type: ElementType) -> DeviceCheck {
        check("residual sum and activation, 9 rows of 64", type, [[9, 64], [9, 64]]) { inputs, _, _ in
            let sum = try FusedOperators.residualAdd(inputs[0], inputs[1])
            return [sum, try FusedOperators.gatedActivation(sum, inputs[1], activation: .gelu)]
        }
    }

    private static func attention(_ type: ElementType) -> DeviceCheck {
        check(
            "attention with a past, 2 × 4 heads × 30 of 32", type,
            [[2, 4, 30, 32], [2, 2, 50, 32], [2, 2, 50, 32]],
            scale: 0.5
        ) { inputs, _, _ in
            [
                try FusedOperators.attention(
                    query: inputs[0], key: inputs[1], value: inputs[2], past: [20], scale: 0.2, tileLength: 16
                )
            ]
        }
    }
}
