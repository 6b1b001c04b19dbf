import Foundation
import RetNetLayers
import RetNetTorch

/// A comparison of a device with the processor, which ends in one number and the bound below which it must stay.
///
/// The processor computes in float64 where the element type of the device leaves a choice, so that the number is the error
/// of the device alone. Weights and data are made up from seeds.
public struct DeviceCheck {
    /// The part of the package: `operators`, `models`, `altup` or `t5`.
    public let group: String
    /// What is compared, unique in all.
    public let name: String
    private let body: (Device) throws -> Outcome

    /// The number that was found.
    public struct Outcome: Sendable {
        /// The error, or whatever must be small.
        public let value: Double
        /// The bound.
        public let limit: Double
        /// What the number is, and other facts.
        public let note: String

        /// True if the number is below the bound; false for a NaN.
        public var isPassed: Bool { value < limit }
    }

    init(_ group: String, _ name: String, _ body: @escaping (Device) throws -> Outcome) {
        (self.group, self.name, self.body) = (group, name, body)
    }

    /// Makes the comparison and waits for the device, so that its errors belong to this check.
    public func run(on device: Device) throws -> Outcome {
        let outcome = try body(device)
        try device.synchronize()
        return outcome
    }

    /// All checks, in the order in which they should run: what others build on comes first.
    public static var all: [DeviceCheck] {
        DeviceOperators.checks + DeviceModels.checks + DeviceEncoderDecoders.checks
    }
}

/// Numbers that checks compare.
enum DeviceComparison {
    /// The bound of relative errors by the element type of the device.
    static func limit(_ type: ElementType) -> Double {
        switch type {
        case .float64: 1e-9
        case .float32: 1e-3
        case .float16: 2e-2
        default: 8e-2
        }
    }

    /// Returns ‖found - expected‖ / ‖expected‖ over all pairs together, in float64 on the processor; infinity where shapes differ
    /// or a value is not finite.
    static func relativeError(_ found: [Tensor], _ expected: [Tensor]) throws -> Double {
        guard found.count == expected.count, !found.isEmpty else { return .infinity }
        var (difference, norm) = (0.0, 0.0)
        for (x, y) in zip(found, expected) {
            let (a, b) = (try x.detached().to(.float64, on: .cpu), try y.detached().to(.float64, on: .cpu))
            guard a.shape == b.shape, try a.allFinite(), try b.allFinite() else { return .infinity }
            difference += try ((a - b) * (a - b)).sum().item()
            norm += try (b * b).sum().item()
        }
        return difference == 0 ? 0 : (difference / max(norm, 1e-300)).squareRoot()
    }

    /// Parameters that every device and element type can have alike: initial values, shaken so that none is zero.
    static func parameters(_ declare: (ParameterStore) throws -> Void) throws -> [String: Tensor] {
        let store = ParameterStore(source: .random(seed: 11), elementType: .float32)
        try withoutGradients { try declare(store) }
        let generator = try Generator(seed: 12)
        var values: [String: Tensor] = [:]
        for entry in store.entries {
            let noise = try generator.normal(entry.tensor.shape, .float32)
            values[entry.name] = try entry.tensor.detached() + noise * 0.02
        }
        return values
    }

    /// A store of these parameters.
    static func store(_ values: [String: Tensor], _ type: ElementType, on device: Device) -> ParameterStore {
        ParameterStore(
            source: .provided { name, _ in
                guard let value = values[name] else {
                    throw TorchError(kind: .value, message: "there is no parameter '\(name)'")
                }
                // Training writes over parameters.
                return try value.clone()
            }, elementType: type, device: device)
    }

    /// The gradients of all parameters that have one, in their order.
    static func gradients(_ store: ParameterStore) throws -> [Tensor] {
        try store.entries.compactMap { try $0.tensor.gradient() }
    }
}
