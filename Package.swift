// swift-tools-version: 6.2
import Foundation
import PackageDescription

// LibTorch is looked for in $LIBTORCH (a folder with include/ and lib/), then beside this manifest, where
// `make setup` puts it. The run path is recorded too, so programs that use this package start without
// any variable set.
let libtorch: String = {
    if let folder = Context.environment["LIBTORCH"], !folder.isEmpty { return folder }
    return Context.packageDirectory + "/.libtorch/torch"
}()

let torchCompilerFlags: [CXXSetting] = [
    .unsafeFlags([
        "-isystem\(libtorch)/include", "-isystem\(libtorch)/include/torch/csrc/api/include",
        // Operators would be slow without optimization in debug builds and tests; full debug information would cost a
        // seventh of the compile time.
        "-O2", "-fno-math-errno", "-Xclang", "-debug-info-kind=line-tables-only", "-Wall",
        "-Wno-unused-parameter",
    ])
]
// SwiftPM refuses unsafe flags in packages that are used by version. Those that only make this package's own builds quicker
// are left out there: SwiftPM and Xcode keep such packages in a folder named `checkouts`, registries below `registry`.
let isDependency: Bool = {
    let folders = Context.packageDirectory.split { $0 == "/" || $0 == "\\" }.dropLast()
    return folders.last == "checkouts" || folders.contains("registry")
}()

// The kernels need neither LibTorch nor flags, but would be useless without optimization in debug builds and tests.
let kernelCompilerFlags: [CXXSetting] =
    isDependency ? [] : [.unsafeFlags(["-O2"], .when(configuration: .debug))]
let torchLinkerFlags: [LinkerSetting] = [
    .unsafeFlags(["-L\(libtorch)/lib", "-Xlinker", "-rpath", "-Xlinker", "\(libtorch)/lib"]),
    .linkedLibrary("torch_cpu"), .linkedLibrary("c10"),
]

let strict: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]
// Commands, settings, reports and experiments wait for files and models, not for their own code: optimizing it would
// cost a fifth of the build's time and give nothing.
let unoptimized: [SwiftSetting] =
    strict + (isDependency ? [] : [.unsafeFlags(["-Onone"], .when(configuration: .release))])

let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")

let package = Package(
    name: "retnet",
    platforms: [.macOS(.v14), .iOS(.v17)],
    products: [
        .executable(name: "retnet", targets: ["retnet"]),
        // Without LibTorch.
        .executable(name: "retnet-lite", targets: ["retnet-lite"]),
        .library(
            name: "RetNetRuntime",
            targets: [
                "RetNetRuntime", "RetNetInference", "RetNetSampling", "RetNetText", "RetNetStorage",
                "RetNetArchitecture",
            ]),
        .library(
            name: "RetNet",
            targets: [
                "RetNetArchitecture", "RetNetModels", "RetNetText", "RetNetStories", "RetNetCheckpoints",
                "RetNetTraining",
                "RetNetGeneration",
                "RetNetEvaluation", "RetNetEngines",
            ]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // Files, configurations, text and reports: these do not need LibTorch.
        .systemLibrary(name: "CRetNetZlib"),
        .target(name: "RetNetSystem", dependencies: [system], swiftSettings: strict),
        .target(
            name: "RetNetStorage", dependencies: ["RetNetSystem", "CRetNetZlib", system],
            swiftSettings: strict),
        .target(name: "RetNetSettings", dependencies: ["RetNetStorage", "Yams"], swiftSettings: unoptimized),
        .target(name: "RetNetText", dependencies: ["RetNetStorage", "CRetNetZlib"], swiftSettings: strict),
        .target(
            name: "RetNetSampling",
            dependencies: ["RetNetArchitecture", "RetNetText", "RetNetSettings", "RetNetStorage"],
            swiftSettings: strict),
        // What a loaded language model does, whichever engine computes it.
        .target(
            name: "RetNetInference", dependencies: ["RetNetArchitecture", "RetNetSampling", "RetNetText"],
            swiftSettings: strict),
        .target(name: "RetNetStories", dependencies: ["RetNetText"], swiftSettings: strict),
        .target(
            name: "RetNetReporting", dependencies: ["RetNetStorage", "RetNetSystem", system],
            swiftSettings: unoptimized),
        // Models of the hub; only the command uses the network.
        .target(
            name: "RetNetHub", dependencies: ["RetNetStorage", "RetNetSystem", system], swiftSettings: strict),
        .target(
            name: "RetNetPlots", dependencies: ["RetNetReporting", "RetNetStorage"], swiftSettings: strict),

        // The sizes and choices of models: what config.json declares.
        .target(name: "RetNetArchitecture", dependencies: ["RetNetSettings"], swiftSettings: unoptimized),

        // Tensors, layers, models.
        .target(name: "RetNetKernels", cxxSettings: kernelCompilerFlags),
        .target(
            name: "RetNetTrainingKernels", dependencies: ["RetNetKernels"], cxxSettings: kernelCompilerFlags),
        // Kernels for CUDA devices as text, compiled and launched through libraries loaded at run time.
        .target(
            name: "RetNetDeviceKernels", exclude: ["kernels"],
            linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
        // Inference without LibTorch.
        .target(
            name: "RetNetRuntime",
            dependencies: [
                "RetNetArchitecture", "RetNetInference", "RetNetKernels", "RetNetSampling", "RetNetText",
                "RetNetStorage",
                "RetNetSettings", "RetNetSystem",
            ],
            swiftSettings: strict),
        // Options and output that both commands have.
        .target(
            name: "RetNetCommandLine",
            dependencies: [
                "RetNetArchitecture", "RetNetInference", "RetNetRuntime", "RetNetReporting", "RetNetSampling",
                "RetNetText", "RetNetStorage", "RetNetSettings",
                "RetNetSystem", system, .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: unoptimized),
        .executableTarget(
            name: "retnet-lite",
            dependencies: [
                "RetNetCommandLine", "RetNetInference", "RetNetRuntime", "RetNetReporting", "RetNetSampling",
                "RetNetText", "RetNetStorage",
                "RetNetSettings", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: unoptimized),
        .target(
            name: "CRetNetTorch", dependencies: ["RetNetTrainingKernels", "RetNetDeviceKernels"],
            // One translation unit per folder, since LibTorch's headers cost more time than the code.
            sources: ["library.cpp", "tensors.cpp", "ops.cpp", "cpu.cpp", "cuda.cpp"],
            cxxSettings: torchCompilerFlags,
            linkerSettings: torchLinkerFlags),
        .target(name: "RetNetTorch", dependencies: ["CRetNetTorch"], swiftSettings: strict),
        // Several processes; the headers of LibTorch for it are in one C++ file.
        .target(
            name: "CRetNetDistributed", dependencies: ["CRetNetTorch"], exclude: ["gloo"],
            // The C++ headers of CRetNetTorch are included as text, as by its own files.
            cxxSettings: torchCompilerFlags + [
                .unsafeFlags(["-fmodule-name=CRetNetTorch"]), .headerSearchPath("gloo"),
            ]),
        .target(
            name: "RetNetDistributed",
            dependencies: ["CRetNetDistributed", "CRetNetTorch", "RetNetTorch", "RetNetSystem", system],
            swiftSettings: strict),
        .target(name: "RetNetLayers", dependencies: ["RetNetTorch"], swiftSettings: strict),
        .target(
            name: "RetNetMixers", dependencies: ["RetNetArchitecture", "RetNetLayers", "RetNetTorch"],
            swiftSettings: strict),
        .target(
            name: "RetNetModels",
            dependencies: [
                "RetNetArchitecture", "RetNetMixers", "RetNetLayers", "RetNetTorch", "RetNetSettings",
            ],
            swiftSettings: strict),

        // What is done with models.
        .target(
            name: "RetNetCheckpoints",
            dependencies: [
                "RetNetSampling", "RetNetModels", "RetNetMixers", "RetNetLayers", "RetNetTorch", "RetNetText",
                "RetNetStorage",
                "RetNetSettings",
            ],
            swiftSettings: strict),
        .target(
            name: "RetNetGeneration",
            dependencies: [
                "RetNetSampling", "RetNetCheckpoints", "RetNetModels", "RetNetMixers", "RetNetLayers",
                "RetNetTorch",
                "RetNetText",
            ],
            swiftSettings: strict),
        .target(
            name: "RetNetEvaluation",
            dependencies: [
                "RetNetInference", "RetNetModels", "RetNetMixers", "RetNetTorch", "RetNetText",
                "RetNetStories",
                "RetNetStorage",
            ],
            swiftSettings: strict),
        // Both engines and the choice between them.
        .target(
            name: "RetNetEngines",
            dependencies: [
                "RetNetInference", "RetNetRuntime", "RetNetKernels", "RetNetCheckpoints", "RetNetGeneration",
                "RetNetEvaluation", "RetNetModels", "RetNetMixers", "RetNetLayers", "RetNetTorch",
                "RetNetText", "RetNetStorage",
            ], swiftSettings: strict),
        .target(
            name: "RetNetTraining",
            dependencies: [
                "RetNetCheckpoints", "RetNetEvaluation", "RetNetGeneration", "RetNetModels", "RetNetMixers",
                "RetNetDistributed", "RetNetLayers", "RetNetTorch", "RetNetText",
                "RetNetReporting", "RetNetPlots",
                "RetNetStorage", "RetNetSettings", "RetNetSystem", system,
            ], swiftSettings: strict),
        .target(
            name: "RetNetExperiments",
            dependencies: [
                "RetNetTraining", "RetNetEvaluation", "RetNetGeneration", "RetNetCheckpoints", "RetNetModels",
                "RetNetMixers", "RetNetLayers", "RetNetTorch", "RetNetArchitecture",
                "RetNetText", "RetNetStories", "RetNetReporting", "RetNetPlots", "RetNetStorage",
                "RetNetSettings",
            ], swiftSettings: unoptimized),
        .executableTarget(
            name: "retnet",
            dependencies: [
                "RetNetCommandLine", "RetNetSampling", "RetNetExperiments", "RetNetTraining",
                "RetNetEngines", "RetNetInference", "RetNetGeneration", "RetNetEvaluation",
                "RetNetRuntime", "RetNetCheckpoints", "RetNetModels", "RetNetMixers",
                "RetNetDistributed", "RetNetLayers", "RetNetTorch", "RetNetKernels",
                "RetNetText", "RetNetStories",
                "RetNetReporting", "RetNetPlots", "RetNetHub", "RetNetStorage", "RetNetSettings",
                "RetNetSystem", system,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: unoptimized),

        .target(
            name: "RetNetTestSupport",
            dependencies: [
                "RetNetDistributed", "RetNetInference", "RetNetTorch", "RetNetHub", "RetNetStorage",
            ],
            path: "Tests/RetNetTestSupport",
            swiftSettings: strict),
        .testTarget(
            name: "RetNetStorageTests", dependencies: ["RetNetStorage", system], exclude: ["Fixtures"]),
        .testTarget(
            name: "RetNetHubTests", dependencies: ["RetNetTestSupport", "RetNetHub", "RetNetStorage", system]),
        .testTarget(name: "RetNetSettingsTests", dependencies: ["RetNetSettings"]),
        .testTarget(
            name: "RetNetTextTests", dependencies: ["RetNetText", "RetNetStories", "RetNetStorage"],
            exclude: ["Fixtures"]),
        .testTarget(
            name: "RetNetStoriesTests", dependencies: ["RetNetStories", "RetNetText", "RetNetStorage"]),
        .testTarget(name: "RetNetReportingTests", dependencies: ["RetNetTestSupport", "RetNetReporting"]),
        .testTarget(name: "RetNetPlotsTests", dependencies: ["RetNetPlots", "RetNetStorage"]),
        .testTarget(name: "RetNetKernelsTests", dependencies: ["RetNetKernels"], exclude: ["Arm"]),
        // Kernels for devices as C++, thread by thread.
        .target(
            name: "RetNetDeviceEmulation", path: "Tests/RetNetDeviceEmulation",
            cxxSettings: kernelCompilerFlags + [
                .headerSearchPath("."), .headerSearchPath("../../Sources/RetNetDeviceKernels/include"),
                .headerSearchPath("../../Sources/RetNetDeviceKernels/include/RetNetDeviceKernels"),
                .headerSearchPath("../../Sources/RetNetDeviceKernels/kernels"),
            ]),
        .testTarget(
            name: "RetNetDeviceEmulationTests",
            dependencies: [
                "RetNetDeviceEmulation", "RetNetTestSupport", "RetNetModels", "RetNetMixers", "RetNetLayers",
                "RetNetArchitecture", "RetNetTorch", "CRetNetTorch",
            ]),
        // The driver and the compiler of devices as functions that record calls.
        .target(
            name: "RetNetDeviceStub", dependencies: ["RetNetDeviceKernels"], path: "Tests/RetNetDeviceStub"),
        .testTarget(
            name: "RetNetDeviceKernelsTests", dependencies: ["RetNetTestSupport", "RetNetDeviceStub"]),
        .testTarget(name: "RetNetTorchTests", dependencies: ["RetNetTestSupport", "RetNetTorch"]),
        .testTarget(
            name: "RetNetDistributedTests",
            dependencies: ["RetNetTestSupport", "RetNetDistributed", "RetNetTorch"]),
        .testTarget(
            name: "RetNetLayersTests", dependencies: ["RetNetTestSupport", "RetNetLayers", "RetNetTorch"]),
        .testTarget(
            name: "RetNetMixersTests",
            dependencies: [
                "RetNetTestSupport", "RetNetDistributed", "RetNetMixers", "RetNetLayers", "RetNetTorch",
                "RetNetSettings",
            ]),
        .testTarget(
            name: "RetNetModelsTests",
            dependencies: [
                "RetNetTestSupport", "RetNetModels", "RetNetMixers", "RetNetLayers", "RetNetTorch",
                "RetNetSettings",
            ]),
        .testTarget(
            name: "RetNetRuntimeTests",
            dependencies: [
                "RetNetTestSupport", "RetNetRuntime", "RetNetGeneration", "RetNetCheckpoints", "RetNetModels",
                "RetNetMixers", "RetNetLayers", "RetNetTorch", "RetNetArchitecture", "RetNetSampling",
                "RetNetText", "RetNetStorage",
            ]),
        .testTarget(
            name: "RetNetCheckpointsTests",
            dependencies: [
                "RetNetTestSupport", "RetNetSampling",
                "RetNetCheckpoints", "RetNetModels", "RetNetMixers", "RetNetLayers", "RetNetTorch",
                "RetNetText", "RetNetStorage", "RetNetSettings",
            ], exclude: ["Fixtures"]),
        .testTarget(
            name: "RetNetGenerationTests",
            dependencies: [
                "RetNetTestSupport",
                "RetNetGeneration", "RetNetCheckpoints", "RetNetModels", "RetNetMixers", "RetNetLayers",
                "RetNetTorch", "RetNetText",
            ]),
        .testTarget(
            name: "RetNetEvaluationTests",
            dependencies: [
                "RetNetTestSupport",
                "RetNetEvaluation", "RetNetModels", "RetNetMixers", "RetNetLayers", "RetNetTorch",
                "RetNetText", "RetNetStories", "RetNetStorage",
            ], exclude: ["Fixtures"]),
        .testTarget(
            name: "RetNetEnginesTests",
            dependencies: [
                "RetNetTestSupport",
                "RetNetEngines", "RetNetInference", "RetNetRuntime", "RetNetEvaluation", "RetNetGeneration",
                "RetNetCheckpoints", "RetNetModels", "RetNetMixers", "RetNetLayers", "RetNetTorch",
                "RetNetText", "RetNetStorage",
            ]),
        .testTarget(
            name: "RetNetTrainingTests",
            dependencies: [
                "RetNetTestSupport",
                "RetNetTraining", "RetNetCheckpoints", "RetNetEvaluation", "RetNetGeneration", "RetNetModels",
                "RetNetMixers", "RetNetDistributed", "RetNetLayers", "RetNetTorch",
                "RetNetText", "RetNetStories",
                "RetNetReporting",
                "RetNetStorage",
                "RetNetSettings",
            ]),
        .testTarget(
            name: "RetNetExperimentsTests",
            dependencies: [
                "RetNetTestSupport",
                "RetNetExperiments", "RetNetEvaluation", "RetNetModels", "RetNetTorch", "RetNetText",
                "RetNetStories", "RetNetStorage",
            ]),
        .testTarget(
            name: "CommandTests",
            dependencies: ["RetNetTestSupport", "retnet", "retnet-lite", "RetNetStorage"],
            exclude: ["Fixtures"]),
    ],
    cxxLanguageStandard: .cxx20
)

// Only `make docs` needs the plugin, so users of the package never fetch it.
if Context.environment["RETNET_DOCS"] != nil {
    package.dependencies.append(
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.4.0"))
}
