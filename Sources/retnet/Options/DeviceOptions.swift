import ArgumentParser
import Foundation
import RetNetTorch

/// What commands compute with when `--dtype` is `auto`.
enum ComputePreference {
    /// bfloat16 where the processor or device multiplies it natively: training and generation.
    case fast
    /// float32: measurements of the model itself.
    case exact
}

/// Where and with what element type to compute; the same options for every command.
struct DeviceOptions: ParsableArguments {
    @Option(help: "Where to compute: auto, cpu, cuda, cuda:N or mps.")
    var device = "auto"

    @Option(
        name: .customLong("dtype"),
        help: ArgumentHelp(
            "What to compute with: auto, float32, bfloat16 or float64.",
            discussion: "auto is bfloat16 where it is fast (float32 for logits and eval)."))
    var elementTypeName = "auto"

    @Option(help: "How many threads one operation uses (default: one a core).")
    var threads: Int?

    static let elementTypes = ["auto", "float32", "bfloat16", "float64"]

    func validate() throws {
        guard Self.elementTypes.contains(elementTypeName) else {
            throw ValidationError(
                "unknown element type '\(elementTypeName)': use \(Self.elementTypes.joined(separator: ", "))")
        }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads must be from 1 to 1024, not \(threads)")
        }
        guard ["auto", "cpu", "cuda", "mps"].contains(device) || device.hasPrefix("cuda:") else {
            throw ValidationError(DeviceError.unknown(device).description)
        }
    }

    /// The options as another command takes them.
    var arguments: [String] {
        ["--device", device, "--dtype", elementTypeName] + (threads.map { ["--threads", "\($0)"] } ?? [])
    }

    /// Checks LibTorch's version, applies the number of threads and finds the device and element type.
    func prepare(_ preference: ComputePreference) throws -> (device: Device, elementType: ElementType) {
        try Runtime.checkVersion()
        if let threads { try Runtime.setThreadCount(threads) }
        let device = try Device(parsing: device)
        return (device, elementType(preference, on: device))
    }

    private func elementType(_ preference: ComputePreference, on device: Device) -> ElementType {
        if let named = ElementType(rawValue: elementTypeName) { return named }
        return preference == .fast ? Runtime.fastElementType(on: device) : .float32
    }
}
