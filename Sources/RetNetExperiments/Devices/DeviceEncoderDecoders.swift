import Foundation
import RetNetArchitecture
import RetNetGeneration
import RetNetLayers
import RetNetModels
import RetNetTorch

/// Checks of T5 with and without AltUp: logits, gradients, generation.
enum DeviceEncoderDecoders {
    static var checks: [DeviceCheck] {
        let kinds: [(String, AltUpConfiguration?)] = [
            ("T5", nil), ("T5 with AltUp", AltUpConfiguration()),
            ("T5 with Recycled-AltUp", AltUpConfiguration(kind: .recycled)),
            ("T5 with Sequence-AltUp", .sequence(SequenceReductionConfiguration(stride: 2))),
        ]
        return kinds.flatMap { name, altUp in
            let configuration = T5Configuration(
                vocabularySize: 384, hiddenSize: 64, headCount: 4, keySize: 16, innerSize: 128,
                encoderLayerCount: 3, decoderLayerCount: 2, feedForward: .gatedGelu, tiedOutput: false,
                dropout: 0,
                altUp: altUp)
            return [
                DeviceCheck("t5", "\(name): logits and gradients, float32") {
                    try gradients(configuration, .float32, $0)
                },
                DeviceCheck("t5", "\(name): logits and gradients, bfloat16") {
                    try gradients(configuration, .bfloat16, $0)
                },
                DeviceCheck("t5", "\(name): generation") { try generation(configuration, $0) },
            ]
        }
    }

    private static func tokens(_ count: Int, from first: Int, by step: Int) -> [Int32] {
        (0..<count).map { (place: Int) -> Int32 in Int32(first + place * step % 250) } + [1]
    }
    private static let sources: [[Int32]] = [tokens(21, from: 10, by: 11), tokens(6, from: 30, by: 7)]
    private static let targets: [[Int32]] = [tokens(9, from: 60, by: 13), [200, 1]]

    private static func model(
        _ configuration: T5Configuration, _ values: [String: Tensor], _ type: ElementType,
        compute: ElementType,
        on device: Device
    ) throws -> T5Model {
        try withoutGradients {
            try T5Model(
                configuration, parameters: DeviceComparison.store(values, type, on: device),
                computeType: compute)
        }
    }

    private static func parameters(_ configuration: T5Configuration) throws -> [String: Tensor] {
        try DeviceComparison.parameters { store in
            _ = try T5Model(configuration, parameters: store, computeType: .float32)
        }
    }

    private static func gradients(_ configuration: T5Configuration, _ type: ElementType, _ device: Device)
        throws
        -> DeviceCheck.Outcome
    {
        let values = try parameters(configuration)
        func run(_ stored: ElementType, _ compute: ElementType, _ device: Device) throws -> (Tensor, [Tensor])
        {
            let model = try model(configuration, values, stored, compute: compute, on: device)
            let batch = try T5Batch(
                sources: sources, targets: targets, configuration: configuration, device: device)
            let logits = try withoutGradients { try model(batch) }
            try model.parameters.setRequiresGradient(true)
            try model.lossSum(batch, zLoss: 1e-4).sum.backward()
            return (logits, try DeviceComparison.gradients(model.parameters))
        }
        let (found, expected) = (try run(.float32, type, device), try run(.float64, .float64, .cpu))
        let logits = try DeviceComparison.relativeError([found.0], [expected.0])
        let error = try DeviceComparison.relativeError(found.1, expected.1)
        return DeviceCheck.Outcome(
            value: max(logits, error), limit: DeviceComparison.limit(type),
            note: String(format: "logits %.1e, gradients %.1e", logits, error))
    }

    private static func generation(_ configuration: T5Configuration, _ device: Device) throws
        -> DeviceCheck.Outcome
    {
        let values = try parameters(configuration)
        var settings = BeamSearchParameters()
        settings.maxTokens = 12
        func outputs(_ device: Device, beams: Int) throws -> [[Int32]] {
            settings.beamCount = beams
            let model = try model(configuration, values, .float32, compute: .float32, on: device)
            return try T5Generator(model).generate(sources, settings).map { $0.first?.tokens ?? [] }
        }
        var different = 0
        for beams in [1, 3] {
            let (found, expected) = (try outputs(device, beams: beams), try outputs(.cpu, beams: beams))
            different += zip(found, expected).count { $0 != $1 }
        }
        return DeviceCheck.Outcome(
            value: Double(different), limit: 1, note: "outputs that differ, of 4, greedy and with 3 beams")
    }
}
