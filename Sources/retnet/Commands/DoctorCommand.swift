import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetDistributed
import RetNetReporting
import RetNetSettings
import RetNetTorch

#if canImport(Darwin)
    import MachO
#endif

/// `retnet doctor`: a check of the installation, with remedies.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check the installation: LibTorch, processor, devices and element types.",
        discussion: "The exit code is 1 if a part that every command needs does not work.")

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let report = DoctorReport()
        if json { try Console.json(report.tree) } else { Console.result(report.text) }
        if !report.isHealthy { throw ExitCode(1) }
    }
}

/// The findings of `doctor`.
private struct DoctorReport {
    struct Check {
        let name: String
        /// The reason why it does not work; nil if it does.
        let problem: String?
    }

    let devices: [Check]
    let elementTypes: [Check]
    let versionProblem: String?
    /// The reason why several processes cannot train together; nil if they can.
    let ranksProblem: String?

    init() {
        versionProblem = Self.problem { try Runtime.checkVersion() }
        ranksProblem = Self.problem {
            try ProcessGroup.checkVersion()
            _ = try RankStore(keepingAt: 0)
        }
        devices = ["cpu", "cuda", "mps"].map { name in
            Check(name: name, problem: Self.problem { try Self.tryDevice(name) })
        }
        elementTypes = [ElementType.float32, .bfloat16, .float64].map { type in
            Check(name: type.rawValue, problem: Self.problem { try Self.tryMatrixProduct(type, on: .cpu) })
        }
    }

    /// True if the CPU works with every element type; a missing GPU is no fault.
    var isHealthy: Bool {
        versionProblem == nil && elementTypes.allSatisfy { $0.problem == nil }
            && devices.first { $0.name == "cpu" }?.problem == nil
    }

    private static func problem(_ body: () throws -> Void) -> String? {
        do {
            try body()
            return nil
        } catch let error as DeviceError {
            if case .unavailable(_, let reason) = error {
                // The loader's message where the library is missing.
                let isMissing = reason.contains("libtorch_cuda.so: cannot open")
                return isMissing ? "this LibTorch is built for the CPU only" : reason
            }
            return error.description
        } catch {
            return "\(error)"
        }
    }

    private static func tryDevice(_ name: String) throws {
        let device = try Device(parsing: name)
        try tryMatrixProduct(.float32, on: device)
    }

    /// Computes a small product with a known result: libraries that load can still fail to compute.
    private static func tryMatrixProduct(_ type: ElementType, on device: Device) throws {
        let ones = try Tensor.ones([16, 16], type, on: device)
        let sum = try ones.matmul(ones).to(.float64, on: .cpu).sum().item()
        guard sum == 4096 else {
            throw CommandError("a matrix product of ones has the sum \(sum) instead of 4096")
        }
    }

    private var cudaDevices: String {
        let count = CUDA.deviceCount
        return count == 1 ? "works (1 device)" : "works (\(count) devices)"
    }

    private var libraryPath: String { LoadedLibrary.path(containing: "libtorch_cpu") ?? "unknown" }

    var text: String {
        var lines = [
            "retnet \(PackageVersion.current)",
            "",
            "LibTorch",
            "  loaded         \(Runtime.loadedVersion)",
            "  built against  \(Runtime.builtVersion)",
            "  found at       \(libraryPath)",
            "  \(versionProblem.map { "problem        \($0)" } ?? "versions       match")",
            "",
            "Processor",
            "  cores          \(ProcessInfo.processInfo.activeProcessorCount)",
            "  threads        \(Runtime.threadCount) (change with --threads)",
            "  instructions   \(Runtime.cpuCapability)",
            "  fast bfloat16  \(Runtime.hasFastBFloat16 ? "yes, the default for training" : "no, products are computed in float32")",
            "  memory         \(Format.bytes(Double(ProcessInfo.processInfo.physicalMemory)))",
            "",
            "Devices",
        ]
        for check in devices {
            let works = check.name == "cuda" ? cudaDevices : "works"
            lines.append("  \(padded(check.name))\(check.problem.map { "not usable: \($0)" } ?? works)")
        }
        lines += ["", "Kernels of this package on CUDA devices"]
        if let problem = CUDA.kernelsProblem {
            lines.append("  \(padded("now"))not usable: \(problem)")
        } else {
            lines.append(
                "  \(padded("now"))usable, compiled at first use and kept in \(CUDA.kernelCacheFolder ?? "memory")"
            )
        }
        for operation in FusedOperators.Operator.allCases {
            lines.append("  \(padded(operation.rawValue))\(Self.kernels(of: operation))")
        }
        lines += ["", "Element types on the CPU"]
        for check in elementTypes {
            lines.append("  \(padded(check.name))\(check.problem.map { "fails: \($0)" } ?? "works")")
        }
        lines += [
            "", "Several processes",
            "  \(padded("c10d, Gloo"))\(ranksProblem.map { "not usable: \($0)" } ?? "works")",
        ]
        lines += ["", isHealthy ? "All required parts work." : advice]
        return lines.joined(separator: "\n")
    }

    private var advice: String {
        if versionProblem != nil {
            return "LibTorch was replaced after the build: run `make build` again, or unset LIBTORCH."
        }
        return
            "LibTorch does not compute here: remove .libtorch and run `make setup build` to install it again."
    }

    private func padded(_ name: String) -> String {
        name.padding(toLength: max(15, name.count + 1), withPad: " ", startingAt: 0)
    }

    /// Returns what an operator runs as on a CUDA device.
    private static func kernels(of operation: FusedOperators.Operator) -> String {
        let types = FusedOperators.kernelTypes(for: operation, on: .cuda(0)).map(\.rawValue)
        return types.isEmpty ? operation.otherwise : "kernel (\(types.joined(separator: ", ")))"
    }

    var tree: SettingsTree {
        [
            "version": .string(PackageVersion.current),
            "healthy": .bool(isHealthy),
            "libtorch": [
                "loaded": .string(Runtime.loadedVersion), "built": .string(Runtime.builtVersion),
                "path": .string(libraryPath), "problem": versionProblem.map { .string($0) } ?? .null,
            ],
            "cpu": [
                "cores": .int(ProcessInfo.processInfo.activeProcessorCount),
                "threads": .int(Runtime.threadCount),
                "capability": .string(Runtime.cpuCapability), "fast_bfloat16": .bool(Runtime.hasFastBFloat16),
                "memory_bytes": .int(Int(clamping: ProcessInfo.processInfo.physicalMemory)),
            ],
            "devices": Self.tree(devices),
            "cuda_kernels": [
                "problem": CUDA.kernelsProblem.map { .string($0) } ?? .null,
                "cache": CUDA.kernelCacheFolder.map { .string($0) } ?? .null,
                "operators": .array(
                    FusedOperators.Operator.allCases.map {
                        [
                            "name": .string($0.rawValue),
                            "types": .array(
                                FusedOperators.kernelTypes(for: $0, on: .cuda(0)).map { .string($0.rawValue) }
                            ),
                            "otherwise": .string($0.otherwise),
                        ]
                    }),
            ],
            "dtypes": Self.tree(elementTypes),
            "ranks": [
                "works": .bool(ranksProblem == nil), "problem": ranksProblem.map { .string($0) } ?? .null,
            ],
        ]
    }

    private static func tree(_ checks: [Check]) -> SettingsTree {
        .array(
            checks.map {
                [
                    "name": .string($0.name), "works": .bool($0.problem == nil),
                    "problem": $0.problem.map { .string($0) } ?? .null,
                ]
            })
    }
}

/// The shared libraries of this process.
enum LoadedLibrary {
    /// Returns the path of the first loaded library whose path contains the text.
    static func path(containing text: String) -> String? {
        #if canImport(Darwin)
            for index in 0..<_dyld_image_count() {
                guard let name = _dyld_get_image_name(index) else { continue }
                let path = String(cString: name)
                if path.contains(text) { return path }
            }
            return nil
        #else
            guard let data = FileManager.default.contents(atPath: "/proc/self/maps") else { return nil }
            for line in String(decoding: data, as: UTF8.self).split(separator: "\n") where line.contains(text)
            {
                if let start = line.firstIndex(of: "/") { return String(line[start...]) }
            }
            return nil
        #endif
    }
}
