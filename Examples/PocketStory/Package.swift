// swift-tools-version: 6.2
import PackageDescription

// An app that tells stories without a network: a command on Linux and macOS, a screen on iOS. Its model lies in the bundle.
// By version the dependency would be `.package(url: "…/retnet", from: "0.1.0")`.
let package = Package(
    name: "PocketStory",
    platforms: [.macOS(.v14), .iOS(.v17)],
    dependencies: [.package(name: "retnet", path: "../..")],
    targets: [
        .executableTarget(
            name: "PocketStory", dependencies: [.product(name: "RetNetRuntime", package: "retnet")],
            resources: [.copy("Story")])
    ],
    cxxLanguageStandard: .cxx20
)
