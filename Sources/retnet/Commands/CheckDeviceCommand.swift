import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetExperiments
import RetNetReporting
import RetNetSettings
import RetNetTorch

/// `retnet check-device`: a device against the processor.
struct CheckDeviceCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-device",
        abstract: "Compare a device with the processor: operators, models with every mixer, AltUp, T5.",
        discussion: """
            Every check computes on the device and on the processor, there in float64 where that makes sense, and prints the \
            error and its bound: single operators, then forms, gradients, training, resumption and generation of small \
            models. A check that fails does not end the rest; the exit code is 1 if one did. scripts/check-device runs \
            this on a bare machine, goes on after a crash and adds benchmarks.
            """)

    @Option(parsing: .unconditional, help: "Device: auto, cpu, cuda, cuda:N or mps.")
    var device = "auto"

    @Option(
        parsing: .unconditional,
        help: "Only checks whose group or name contains one of these texts, separated by commas.")
    var only: String?

    @Option(parsing: .unconditional, help: "Begin behind the check of this name.")
    var after: String?

    @Flag(help: "Print the names of the checks and do nothing.")
    var list = false

    @Flag(help: "Print one JSON object per check.")
    var json = false

    func run() throws {
        var checks = DeviceCheck.all
        if let only {
            let words = only.split(separator: ",").map {
                $0.trimmingCharacters(in: .whitespaces).lowercased()
            }
            checks = checks.filter { check in
                words.contains { "\(check.group) \(check.name)".lowercased().contains($0) }
            }
        }
        if let after {
            guard let place = checks.firstIndex(where: { $0.name == after }) else {
                throw CommandError("there is no check '\(after)'; see `retnet check-device --list`")
            }
            checks.removeFirst(place + 1)
        }
        if checks.isEmpty, after == nil {
            throw CommandError("no check has '\(only ?? "")' in its name; see `retnet check-device --list`")
        }
        if list {
            Console.result(checks.map { "\($0.group): \($0.name)" }.joined(separator: "\n"))
            return
        }
        try Runtime.checkVersion()
        let device = try Device(parsing: device)
        var failed = 0
        for check in checks where try !run(check, on: device) { failed += 1 }
        if !json {
            Console.result(
                failed == 0
                    ? "all \(checks.count) checks passed on \(device)"
                    : "\(failed) of \(checks.count) checks failed on \(device)")
        }
        if failed > 0 { throw ExitCode(1) }
    }

    /// Runs a check and prints what it found; returns true if it passed.
    private func run(_ check: DeviceCheck, on device: Device) throws -> Bool {
        // The name goes out first: whoever reads it knows what ran if the process dies.
        if json {
            try Console.json(["begins": .string(check.name), "group": .string(check.group)])
        }
        let start = ProcessInfo.processInfo.systemUptime
        let outcome = Result { try check.run(on: device) }
        let seconds = ProcessInfo.processInfo.systemUptime - start
        let (passed, value, limit, note): (Bool, Double?, Double?, String)
        switch outcome {
        case .success(let found):
            (passed, value, limit, note) = (found.isPassed, found.value, found.limit, found.note)
        case .failure(let error):
            (passed, value, limit, note) = (false, nil, nil, Console.describe(error))
        }
        if json {
            try Console.json(
                .ordered([
                    ("name", .string(check.name)), ("group", .string(check.group)), ("passed", .bool(passed)),
                    ("value", value.map { .double($0) } ?? .null),
                    ("limit", limit.map { .double($0) } ?? .null),
                    ("note", .string(note)), ("seconds", .double(seconds)),
                ]))
        } else {
            let figure = value.map { String(format: "%.1e", $0) } ?? "error"
            Console.result(
                "\(passed ? "passed" : "FAILED")  \(figure)  \(check.group): \(check.name)"
                    + " (\(Format.fixed(seconds, decimals: 1)) s; \(note))")
        }
        return passed
    }
}
