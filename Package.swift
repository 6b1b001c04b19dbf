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
        // The fused operators are useless without optimisation, in debug builds and tests too.
        "-O2", "-fno-math-errno", "-Wall", "-Wno-unused-parameter",
    ])
]
let torchLinkerFlags: [LinkerSetting] = [
    .unsafeFlags(["-L\(libtorch)/lib", "-Xlinker", "-rpath", "-Xlinker", "\(libtorch)/lib"]),
    .linkedLibrary("torch_cpu"), .linkedLibrary("c10"),
]

let strict: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]

let package = Package(
    name: "retnet",
    platforms: [.macOS(.v14)],
    products: [
        .executable(name: "retnet", targets: ["retnet"]),
        .library(
            name: "RetNet",
            targets: ["Models", "Text", "Checkpoints", "Training", "Generation", "Evaluation"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // Files, configurations, text and reports: these do not need LibTorch.
        .systemLibrary(name: "CZlib"),
        .target(name: "Storage", dependencies: ["CZlib"], swiftSettings: strict),
        .target(name: "Settings", dependencies: ["Yams"], swiftSettings: strict),
        .target(name: "Text", dependencies: ["Storage", "CZlib"], swiftSettings: strict),
        .target(name: "Reporting", dependencies: ["Storage"], swiftSettings: strict),

        // Tensors, layers, models.
        .target(name: "CTorch", cxxSettings: torchCompilerFlags, linkerSettings: torchLinkerFlags),
        .target(name: "Torch", dependencies: ["CTorch"], swiftSettings: strict),
        .target(name: "Layers", dependencies: ["Torch"], swiftSettings: strict),
        .target(name: "Mixers", dependencies: ["Layers", "Torch", "Settings"], swiftSettings: strict),
        .target(
            name: "Models", dependencies: ["Mixers", "Layers", "Torch", "Settings"], swiftSettings: strict),

        // What is done with models.
        .target(
            name: "Checkpoints",
            dependencies: ["Models", "Mixers", "Layers", "Torch", "Text", "Storage", "Settings"],
            swiftSettings: strict),
        .target(
            name: "Generation", dependencies: ["Checkpoints", "Models", "Mixers", "Layers", "Torch", "Text"],
            swiftSettings: strict),
        .target(
            name: "Evaluation", dependencies: ["Models", "Mixers", "Layers", "Torch", "Text", "Storage"],
            swiftSettings: strict),
        .target(
            name: "Training",
            dependencies: [
                "Checkpoints", "Evaluation", "Generation", "Models", "Mixers", "Layers", "Torch", "Text",
                "Reporting",
                "Storage", "Settings",
            ], swiftSettings: strict),
        .target(
            name: "Experiments",
            dependencies: [
                "Training", "Generation", "Evaluation", "Checkpoints", "Models", "Mixers", "Layers", "Torch",
                "Text", "Reporting", "Storage", "Settings",
            ], swiftSettings: strict),
        .executableTarget(
            name: "retnet",
            dependencies: [
                "Experiments", "Training", "Generation", "Evaluation", "Checkpoints", "Models", "Mixers",
                "Layers", "Torch",
                "Text",
                "Reporting", "Storage", "Settings",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: strict),

        .testTarget(name: "StorageTests", dependencies: ["Storage"]),
        .testTarget(name: "SettingsTests", dependencies: ["Settings"]),
        .testTarget(name: "TextTests", dependencies: ["Text", "Storage"]),
        .testTarget(name: "ReportingTests", dependencies: ["Reporting", "Storage"]),
        .testTarget(name: "TorchTests", dependencies: ["Torch"]),
        .testTarget(name: "LayersTests", dependencies: ["Layers", "Torch"]),
        .testTarget(name: "MixersTests", dependencies: ["Mixers", "Layers", "Torch", "Settings"]),
        .testTarget(name: "ModelsTests", dependencies: ["Models", "Mixers", "Layers", "Torch", "Settings"]),
        .testTarget(
            name: "CheckpointsTests",
            dependencies: [
                "Checkpoints", "Models", "Mixers", "Layers", "Torch", "Text", "Storage", "Settings",
            ]),
        .testTarget(
            name: "GenerationTests",
            dependencies: ["Generation", "Checkpoints", "Models", "Mixers", "Layers", "Torch", "Text"]),
        .testTarget(
            name: "EvaluationTests",
            dependencies: ["Evaluation", "Models", "Mixers", "Layers", "Torch", "Text"]),
        .testTarget(
            name: "TrainingTests",
            dependencies: [
                "Training", "Checkpoints", "Evaluation", "Generation", "Models", "Mixers", "Layers", "Torch",
                "Text",
                "Reporting",
                "Storage",
                "Settings",
            ]),
        .testTarget(
            name: "ExperimentsTests",
            dependencies: [
                "Experiments", "Training", "Models", "Mixers", "Layers", "Torch", "Text", "Reporting",
            ]),
        .testTarget(name: "CommandTests", dependencies: ["retnet", "Storage"]),
    ],
    cxxLanguageStandard: .cxx20
)

// Only `make docs` needs the plugin, so users of the package never fetch it.
if Context.environment["RETNET_DOCS"] != nil {
    package.dependencies.append(
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.4.0"))
}
