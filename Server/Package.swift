// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that whoever uses or builds the root package compiles no HTTP server. It needs no LibTorch.

let strict: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]
let runtime = Target.Dependency.product(name: "RetNetRuntime", package: "retnet")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let http: [Target.Dependency] = [
    hummingbird,
    .product(name: "HummingbirdCore", package: "hummingbird"),
    .product(name: "HummingbirdTLS", package: "hummingbird", condition: .when(traits: ["TLS"])),
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOSSL", package: "swift-nio-ssl", condition: .when(traits: ["TLS"])),
    .product(name: "HTTPTypes", package: "swift-http-types"),
    .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
    .product(name: "UnixSignals", package: "swift-service-lifecycle"),
]

let pageFiles = [
    "index.html", "icon.svg", "base.css", "layout.css", "parts.css", "theme.js", "main.js", "api.js",
    "branches.js",
    "conversation.js", "dom.js", "format.js", "generation.js", "markdown.js", "memory.js", "panels.js",
    "parameters.js",
    "states.js", "storage.js", "transcript.js",
]

let package = Package(
    name: "retnet-server",
    platforms: [.macOS(.v14)],
    products: [
        .executable(name: "retnet-server", targets: ["retnet-server"]),
        .library(name: "RetNetServing", targets: ["RetNetServing"]),
    ],
    traits: [
        .trait(name: "TLS", description: "Encrypted connections; BoringSSL takes minutes to compile.")
    ],
    dependencies: [
        // A link to "..": a package is known by the last part of its path, and a clone may have any name, this folder's too.
        .package(path: "retnet"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Batches, states and their cache: no HTTP.
        .target(name: "RetNetServing", dependencies: [runtime, logging], swiftSettings: strict),
        // The templates of chats: Jinja2's language as they use it.
        .target(name: "ChatTemplates", swiftSettings: strict),
        // The page at `/`; its files are part of the program, so that it works wherever the program is.
        .target(
            name: "RetNetPage", resources: pageFiles.map { .embedInCode("Page/" + $0) }, swiftSettings: strict
        ),
        // Requests and answers.
        .target(
            name: "RetNetHTTP",
            dependencies: ["ChatTemplates", "RetNetPage", "RetNetServing", runtime, logging] + http,
            swiftSettings: strict),
        .executableTarget(
            name: "retnet-server",
            dependencies: [
                "RetNetHTTP", "RetNetServing", runtime, logging,
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: strict),
        .target(
            name: "ServerTestSupport", dependencies: ["RetNetServing", runtime],
            path: "Tests/ServerTestSupport",
            swiftSettings: strict),
        .testTarget(
            name: "RetNetServingTests", dependencies: ["ServerTestSupport", "RetNetServing", runtime]),
        .testTarget(
            name: "RetNetHTTPTests",
            dependencies: [
                "ServerTestSupport", "retnet-server", "ChatTemplates", "RetNetHTTP", "RetNetServing", runtime,
            ]
                + http),
    ],
    cxxLanguageStandard: .cxx20
)
