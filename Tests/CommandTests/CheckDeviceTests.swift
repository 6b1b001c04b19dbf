import Foundation
import RetNetTestSupport
import Testing

/// The comparison of a device with the processor, rehearsed on the processor.
@Suite struct CheckDeviceTests {
    @Test("Every check has a name of its own, and --only and --after choose among them")
    func list() throws {
        let names = try succeed(["check-device", "--list"]).output.split(separator: "\n").map(String.init)
        #expect(names.count > 100 && Set(names).count == names.count)
        for group in ["operators", "models", "altup", "t5"] {
            #expect(names.contains { $0.hasPrefix("\(group): ") })
        }
        let some = try succeed(["check-device", "--list", "--only", "mamba, T5: generation"]).output
        #expect(some.contains("Mamba") && some.contains("t5: T5: generation") && !some.contains("Hyena"))
        let rest = try succeed(["check-device", "--list", "--after", "T5 with Sequence-AltUp: generation"])
        #expect(rest.output.trimmingCharacters(in: .whitespacesAndNewlines).isEmpty)
        for (option, text) in [("--only", "nothing like it"), ("--after", "no such check")] {
            let outcome = try RunningCommand(["check-device", option, text]).wait()
            #expect(outcome.status == 1 && outcome.errors.contains("'\(text)'"))
            #expect(outcome.errors.contains("check-device --list"))
        }
    }

    @Test("Checks pass on the processor and say what they found")
    func processor() throws {
        let outcome = try succeed([
            "check-device", "--device", "cpu", "--only", "step of retention,RetNet: forms,T5: generation",
            "--json",
        ])
        #expect(outcome.output.contains("\"begins\": \"step of retention"))
        #expect(outcome.output.contains("\"passed\": true") && !outcome.output.contains("\"passed\": false"))
        let text = try succeed([
            "check-device", "--device", "cpu", "--only", "RMS norm",
        ])
        #expect(text.output.contains("passed") && text.output.contains("all 2 checks passed on cpu"))
    }

    /// A program whose checks pass, fail, die and hang, and whose benchmarks fail.
    private static let program = #"""
        #!/usr/bin/env python3
        import json, os, signal, sys, time

        words = sys.argv[1:]
        if words[0] == "doctor":
            print(json.dumps({"version": "9", "libtorch": {"loaded": "1", "built": "1"},
                              "cpu": {"cores": 1, "capability": "none"},
                              "devices": [{"name": "cpu", "works": True, "problem": None},
                                          {"name": "cuda", "works": False, "problem": "no driver"}],
                              "cuda_kernels": {"problem": "no compiler", "cache": None, "operators": [
                                  {"name": "wkv", "types": [], "otherwise": "the parallel form"}]}}, indent=2))
        elif words[0] == "check-device":
            names = ["one", "two", "three", "four"]
            after = words[words.index("--after") + 1] if "--after" in words else None
            for name in names[names.index(after) + 1 if after else 0:]:
                print(json.dumps({"begins": name, "group": "models"}, indent=2), flush=True)
                if name == "two":
                    print("the device is lost", file=sys.stderr)
                    os.kill(os.getpid(), signal.SIGKILL)
                print(json.dumps({"name": name, "group": "models", "passed": name != "three", "value": 0.5,
                                  "limit": 1.0, "note": "a | b", "seconds": 0.1}, indent=2), flush=True)
            sys.exit(1)
        else:
            sys.exit("error: no memory")
        """#

    @Test("The report goes on after failures and crashes and names them")
    func report() throws {
        let python = URL(fileURLWithPath: "/usr/bin/env")
        let folder = try TemporaryFolder()
        let program = try folder.write(Self.program, to: "retnet")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Benchmarks/device/check.py").path
        func check(_ arguments: [String]) throws -> CommandOutcome {
            try RunningCommand(
                ["python3", script, "--binary", program, "--report", folder.path("report.md")] + arguments,
                program: python.path
            ).wait()
        }
        let outcome = try check(["--device", "cpu"])
        // Not every machine that builds the package has Python.
        if outcome.status == 127 { return }
        #expect(outcome.status == 1, "\(outcome.errors)")
        let report = try folder.text("report.md")
        #expect(report.contains("2 passed, 2 failed"))
        #expect(report.contains("| **models: two** | died |  | killed by signal 9: the device is lost |"))
        #expect(report.contains("| **models: three** | 5.0e-01 | 1.0e+00 | a \\| b |"))
        #expect(report.contains("| models: four | 5.0e-01 | 1.0e+00 | 0.1 |"))
        #expect(!report.contains("Incomplete"))
        #expect(report.contains("| operator wkv | the parallel form |"))
        #expect(report.contains("exit code 1: error: no memory"))
        #expect(report.contains("## Training step") && report.contains("## Generation, position 2,048"))

        // Without a device that was asked for there is nothing to report, which is no failure.
        let skipped = try check([])
        #expect(skipped.status == 0)
        #expect(skipped.output.contains("Skipped: there is no usable device 'cuda' here: no driver"))
    }
}
