// swift-tools-version: 6.2
import PackageDescription

// A package that depends on this one, as yours would; by version it would be
// `.package(url: "…/retnet", from: "0.1.0")`.
let package = Package(
    name: "TextStreamer",
    platforms: [.macOS(.v14)],
    dependencies: [.package(name: "retnet", path: "../..")],
    targets: [
        .executableTarget(name: "TextStreamer", dependencies: [.product(name: "RetNet", package: "retnet")]),
        .executableTarget(name: "TinyTrainer", dependencies: [.product(name: "RetNet", package: "retnet")]),
        // Without LibTorch, as on a phone.
        .executableTarget(
            name: "LiteStreamer", dependencies: [.product(name: "RetNetRuntime", package: "retnet")]),
    ],
    cxxLanguageStandard: .cxx20
)
