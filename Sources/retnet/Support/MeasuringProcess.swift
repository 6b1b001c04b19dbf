import Foundation
import RetNetTraining

/// This program with other arguments in a process of its own, where memory and speed are nobody else's.
enum MeasuringProcess {
    /// Runs the program and returns the JSON object that it prints; ends it when the flag is raised.
    static func run(_ arguments: [String], interrupt: InterruptFlag) throws -> [String: Any] {
        guard let program = Bundle.main.executableURL else {
            throw CommandError(
                "the place of this program is not known, so it cannot measure in a fresh process")
        }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "retnet-measuring-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Files, for a full pipe that nobody reads would stop the process.
        let (output, errors) = (folder.appendingPathComponent("out"), folder.appendingPathComponent("err"))
        for file in [output, errors] { try Data().write(to: file) }
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        while process.isRunning {
            if interrupt.isRaised { process.terminate() }
            Thread.sleep(forTimeInterval: 0.02)
        }
        process.waitUntilExit()
        guard process.terminationStatus == 0,
            let object = try? JSONSerialization.jsonObject(with: Data(contentsOf: output)) as? [String: Any]
        else {
            let reason = String(decoding: (try? Data(contentsOf: errors)) ?? Data(), as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            throw CommandError("`retnet \(arguments.joined(separator: " "))` failed: \(reason.suffix(400))")
        }
        return object
    }
}
