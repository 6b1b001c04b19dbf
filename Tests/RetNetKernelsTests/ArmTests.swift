import Foundation
import Testing

/// The kernels for Arm, built by a cross compiler and run by an emulator where both are installed.
///
/// On Debian and Ubuntu: `apt-get install g++-aarch64-linux-gnu qemu-user`, beside the clang of the Swift toolchain.
@Suite struct ArmTests {
    private static let clang = tool("clang++")
    private static let linker = tool("aarch64-linux-gnu-ld")
    private static let emulator = tool("qemu-aarch64")

    private static func tool(_ name: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { $0 + "/" + name }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    private static var isPossible: Bool {
        #if arch(arm64)
            return false
        #else
            return clang != nil && linker != nil && emulator != nil
        #endif
    }

    private func run(_ command: [String]) throws -> (code: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    @Test(.enabled(if: isPossible, "needs clang++, aarch64-linux-gnu-ld and qemu-aarch64"))
    func `Products and blocks with NEON equal their definition under emulation`() throws {
        let (clang, linker) = (try #require(Self.clang), try #require(Self.linker))
        let emulator = try #require(Self.emulator)
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let root = tests.deletingLastPathComponent().deletingLastPathComponent()
        let kernels = root.appendingPathComponent("Sources/RetNetKernels")
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "retnet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let sources = try [kernels, kernels.appendingPathComponent("cpu")].flatMap { folder in
            try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
                .filter { $0.pathExtension == "cpp" }.map(\.path)
        }
        let program = folder.appendingPathComponent("check").path
        let built = try run(
            [
                clang, "--target=aarch64-linux-gnu", "--sysroot=/", "--gcc-toolchain=/usr",
                "-fuse-ld=\(linker)",
                "-std=c++20", "-O1", "-static", "-I",
                kernels.appendingPathComponent("include").path,
                tests.appendingPathComponent("Arm/check.cpp").path, "-o", program, "-lpthread",
            ] + sources)
        #expect(built.code == 0, "\(built.output)")
        let result = try run([emulator, program])
        #expect(result.code == 0, "\(result.output)")
        #expect(
            result.output.contains("passed: neondot, type 4")
                && result.output.contains("passed: baseline, type 4")
                && result.output.contains("passed: neondot, blocks, type 2"))
    }
}
