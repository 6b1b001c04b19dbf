// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that whoever uses or builds the root package compiles no server. It needs no LibTorch.

let strict: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]
let runtime = Target.Dependency.product(name: "RetNetRuntime", package: "retnet")

let package = Package(
    name: "retnet-server",
    platforms: [.macOS(.v14)],
    products: [.library(name: "RetNetServing", targets: ["RetNetServing"])],
    dependencies: [.package(name: "retnet", path: "..")],
    targets: [
        // Batches, states and their cache: no HTTP.
        .target(name: "RetNetServing", dependencies: [runtime], swiftSettings: strict),

        .target(
            name: "ServerTestSupport", dependencies: ["RetNetServing", runtime],
            path: "Tests/ServerTestSupport",
            swiftSettings: strict),
        .testTarget(
            name: "RetNetServingTests", dependencies: ["ServerTestSupport", "RetNetServing", runtime]),
    ],
    cxxLanguageStandard: .cxx20
)
