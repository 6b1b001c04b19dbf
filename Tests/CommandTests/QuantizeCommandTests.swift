import Foundation
import RetNetStorage
import RetNetTestSupport
import Testing

/// `retnet quantize` as a user runs it.
@Suite struct QuantizeCommandTests {
    private func model(in folder: TemporaryFolder) throws -> String {
        let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("RetNetCheckpointsTests/Fixtures").path
        let own = folder.path("own")
        let outcome = try RunningCommand(["convert", "\(fixtures)/dialects/fla-retnet", "--out", own]).wait()
        #expect(outcome.status == 0, "\(outcome.errors)")
        return own
    }

    private func run(_ arguments: [String], status: Int32 = 0) throws -> (output: String, errors: String) {
        let outcome = try RunningCommand(["quantize"] + arguments).wait()
        #expect(outcome.status == status, "\(arguments): \(outcome.errors)")
        return (outcome.output, outcome.errors)
    }

    @Test func `A model is written with fewer bits, and refusals leave nothing`() throws {
        let folder = try TemporaryFolder()
        let own = try model(in: folder)
        let out = folder.path("out")
        let found = try run(["--model", own, "--to", "int8", "--out", out])
        #expect(found.output.contains("scheme       matrices int8"))
        #expect(found.errors.contains("written to '\(out)'"))
        #expect(try SafetensorsFolder(path: out).metadata["quantization"] == "int8")

        #expect(
            try run(["--model", own, "--to", "int8", "--out", out], status: 1).errors.contains(
                "exists already"))
        let unknown = try run(["--model", own, "--to", "int3", "--out", folder.path("x")], status: 64)
        #expect(unknown.errors.contains("use int8 or int4"))
        let missing = try run(
            ["--model", folder.path("none"), "--to", "int8", "--out", folder.path("x")], status: 1)
        #expect(missing.errors.contains("there is no model at"))
        #expect(!folder.exists("x"))
    }
}
