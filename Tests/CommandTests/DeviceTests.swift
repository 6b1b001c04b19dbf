import Foundation
import RetNetStorage
import RetNetTestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The device to test, if one is named that is not the CPU.
private let accelerator: String? = ProcessInfo.processInfo.environment["RETNET_TEST_DEVICE"].flatMap {
    $0.isEmpty || $0 == "cpu" ? nil : $0
}

/// Compares an accelerator with the CPU through the command; `scripts/check-device` runs these.
@Suite(
    .enabled(
        if: accelerator != nil, "RETNET_TEST_DEVICE names no accelerator: the device tests are skipped"
    ),
    .serialized)
struct DeviceTests {
    private var device: String { accelerator ?? "cpu" }

    @Test("All forms give the logits of the CPU on the device")
    func forms() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder)
        func logits(_ device: String, _ form: String) throws -> [Float] {
            let path = folder.path(UUID().uuidString)
            let tokens = "[[" + (0..<70).map { String($0 * 3 % 250) }.joined(separator: ",") + "]]"
            try succeed(
                [
                    "logits", "--model", run, "--tokens", "-", "--output", path, "--device", device, "--form",
                    form,
                    "--dtype", "float32",
                ], input: tokens)
            let file = try SafetensorsFile(path: path)
            let entry = try #require(file.entry(named: "logits"))
            return try file.withUnsafeBytes(of: entry.name) { floats($0) }
        }
        let expected = try logits("cpu", "parallel")
        let scale = expected.map(abs).max() ?? 1
        for form in ["parallel", "chunkwise:16", "recurrent"] {
            let found = try logits(device, form)
            #expect(zip(expected, found).allSatisfy { abs($0 - $1) < 1e-3 * scale }, "\(form)")
        }
    }

    @Test(
        "A short training, and so every gradient, follows the CPU's", arguments: ["parallel", "chunkwise:16"])
    func training(form: String) throws {
        let folder = try TemporaryFolder()
        var runs: [[Int: String]] = []
        for device in ["cpu", device] {
            var arguments = try TinyModel.arguments(in: folder, steps: 20, run: "run-\(device)")
            arguments += ["--device", device, "--set", "form=\(form)", "--set", "model.dropout.residual=0"]
            // The later of two options of one name counts, but not for --device.
            let first = try #require(arguments.firstIndex(of: "--device"))
            arguments.removeSubrange(first...first + 1)
            try succeed(arguments)
            runs.append(try losses(ofRun: folder.path("run-\(device)")))
        }
        for (step, bits) in runs[0] {
            let cpu = Double(bitPattern: try #require(UInt64(bits, radix: 16)))
            let other = Double(bitPattern: try #require(runs[1][step].flatMap { UInt64($0, radix: 16) }))
            #expect(abs(cpu - other) < 5e-3 * cpu, "step \(step)")
        }
    }

    @Test("The most probable text is that of the CPU")
    func generation() throws {
        let folder = try TemporaryFolder()
        let run = try TinyModel.train(in: folder, steps: 60)
        let texts = try ["cpu", device].map {
            try succeed([
                "generate", "--model", run, "--prompt", "Line 1", "-n", "30", "--temperature", "0", "--dtype",
                "float32", "--device", $0,
            ]).output
        }
        #expect(texts[0] == texts[1])
    }

    @Test("A training run killed on the device and resumed equals one that was never interrupted")
    func resuming() throws {
        let folder = try TemporaryFolder()
        let steps = 400
        func arguments(_ run: String) throws -> [String] {
            var arguments = try TinyModel.arguments(
                in: folder, steps: steps, checkpointInterval: 20, run: run)
            let place = try #require(arguments.firstIndex(of: "--device"))
            arguments[place + 1] = device
            return arguments
        }
        try succeed(arguments("whole"))
        let command = try RunningCommand(arguments("killed"))
        // Killed between checkpoints: after the first, and long before the end.
        for _ in 0..<6000 where command.isRunning && !folder.exists("killed/checkpoints/step-00000020") {
            Thread.sleep(forTimeInterval: 0.01)
        }
        command.signal(SIGKILL)
        #expect(try command.wait().status == -SIGKILL)
        let resumed = try succeed(arguments("killed") + ["--resume"]).errors
        let start = try #require((1..<steps).last { resumed.contains("after step \($0) of") })
        let (whole, killed) = (
            try losses(ofRun: folder.path("whole")), try losses(ofRun: folder.path("killed"))
        )
        #expect(whole.count == steps && killed.count == steps)
        #expect((start + 1...steps).allSatisfy { whole[$0] == killed[$0] }, "resumed after step \(start)")
        #expect(try weights(ofRun: folder.path("whole")) == weights(ofRun: folder.path("killed")))
    }

    @Test("Every benchmark runs on the device", arguments: ["train", "prefill", "decode"])
    func bench(kind: String) throws {
        let report = try succeed([
            "bench", kind, "--preset", "retnet-1m", "--device", device, "--repetitions", "2", "--json",
        ]).json()
        #expect((report["device"] as? String)?.hasPrefix(device.prefix(4)) == true)
    }
}
