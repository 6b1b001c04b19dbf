import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetEngines
import RetNetRuntime
import RetNetTorch

/// The element type of computation when `--dtype` is `auto`.
enum ComputePreference {
    /// bfloat16 where the processor or device multiplies it natively, for training and generation.
    case fast
    /// float32, for measurements of the model itself.
    case exact
}

/// Device, element type and threads: the same options for every command that computes.
struct DeviceOptions: ParsableArguments {
    @Option(parsing: .unconditional, help: "Device: auto, cpu, cuda, cuda:N or mps.")
    var device = "auto"

    @Option(
        name: .customLong("dtype"),
        parsing: .unconditional,
        help: ArgumentHelp(
            "Element type of computation: auto, float32, bfloat16 or float64.",
            discussion: "auto is bfloat16 where it is fast (float32 for logits and eval)."))
    var elementTypeName = "auto"

    @Option(parsing: .unconditional, help: "Threads per operation (default: one per core).")
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

    /// The options as arguments of another process.
    var arguments: [String] {
        ["--device", device, "--dtype", elementTypeName] + (threads.map { ["--threads", "\($0)"] } ?? [])
    }

    /// Checks the version of LibTorch, sets the number of threads and returns device and element type.
    ///
    /// Warns of an element type that is slow here, unless the caller's own configuration has the last word.
    func prepare(_ preference: ComputePreference, warns: Bool = true) throws -> (
        device: Device, elementType: ElementType
    ) {
        try Runtime.checkVersion()
        if let threads { try Runtime.setThreadCount(threads) }
        let device = try Device(parsing: device)
        let type = elementType(preference, on: device)
        if warns, let warning = Runtime.slownessWarning(for: type, on: device) { Console.warn(warning) }
        return (device, type)
    }

    private func elementType(_ preference: ComputePreference, on device: Device) -> ElementType {
        if let named = ElementType(rawValue: elementTypeName) { return named }
        return preference == .fast ? Runtime.fastElementType(on: device) : .float32
    }
}

/// The implementation of operators: an option of commands that train.
struct KernelOptions: ParsableArguments {
    enum Choice: String, CaseIterable, ExpressibleByArgument {
        case native, reference
    }

    @Option(
        name: .customLong("kernels"), parsing: .unconditional,
        help: ArgumentHelp(
            "Operators: native (this package's kernels) or reference (LibTorch's operators, step by step).",
            discussion:
                "The reference is slower; it is there to check results, which differ in rounding only."))
    var choice = Choice.native

    /// Makes the operators of this thread follow the choice; the program trains on one thread.
    func apply() {
        if choice == .reference { FusedOperators.disableKernels() }
    }
}

/// The engine of a command that runs a language model.
struct EngineOptions: ParsableArguments {
    @Option(
        name: .customLong("engine"), parsing: .unconditional,
        help: ArgumentHelp(
            "Engine: auto, runtime or libtorch.",
            discussion: """
                runtime is the one without LibTorch, for processors, with the weights as stored and sums in float32. auto takes \
                it for the models and options that it knows.
                """))
    var choice = EngineChoice.auto

    @OptionGroup var states: StateTypeOptions

    var stateType: StateElementType { states.stateType }

    /// Takes an engine for the model of a folder and the options of a command, before its inputs are read.
    ///
    /// May restart the program for LibTorch, see ``OpenMPSettings``.
    func select(
        _ path: String, _ device: DeviceOptions, _ preference: ComputePreference,
        onlyLibTorch: [(isGiven: Bool, name: String)] = []
    ) throws -> EngineSelection {
        let selection = try EngineSelection(path, request(device, preference, onlyLibTorch: onlyLibTorch))
        if selection.kind == .libtorch { OpenMPSettings.apply() }
        return selection
    }

    /// Returns what is asked of an engine; `onlyLibTorch` are options that only LibTorch has, with whether they are given.
    func request(
        _ device: DeviceOptions, _ preference: ComputePreference,
        onlyLibTorch: [(isGiven: Bool, name: String)]
    ) throws -> EngineRequest {
        let (place, type) = try device.prepare(preference, warns: false)
        var request = EngineRequest(
            choice, device: place, elementType: type, namesElementType: device.elementTypeName != "auto",
            threads: device.threads)
        request.stateType = stateType
        request.onlyLibTorch = onlyLibTorch.filter(\.isGiven).map(\.name)
        request.warn = Console.warn
        return request
    }
}

extension EngineChoice: ExpressibleByArgument {}
