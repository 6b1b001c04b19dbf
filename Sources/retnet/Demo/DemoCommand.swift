import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetStorage
import RetNetStories
import RetNetTraining

/// `retnet demo`: a tour of the package in a few minutes.
struct DemoCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract:
            "Train a small RetNet on generated stories, generate text, and show that the cost of decoding is constant.",
        discussion: """
            A seeded generator writes the stories, which need facts again that they stated earlier, so the recall of \
            the model can be measured. The speed of the machine determines the size of the model. A Transformer is trained as well, for its \
            cost of decoding. --data trains on other text instead. Training takes about four minutes; --minutes changes that.
            """)

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("UTF-8 files or folders to train on instead of stories.", valueName: "path"))
    var data: [String] = []

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Folder of the results; that of an earlier demo is replaced.", valueName: "dir"))
    var out = "demo"

    @Option(parsing: .unconditional, help: "Training time in minutes, of both models together.")
    var minutes = 4.0

    @Option(
        parsing: .unconditional, help: "Number of updates, instead of --minutes.",
        transform: Arguments.positive)
    var steps: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Preset to train, with a vocabulary of byte pairs (default: a RetNet of the size that suits the machine).",
            valueName: "name"))
    var preset: String?

    @Option(
        parsing: .unconditional,
        help:
            "Variety of the stories: basic, simple, mixed or standard (default: basic or simple, by the speed of the machine)."
    )
    var level: StoryLevel?

    @OptionGroup var device: DeviceOptions

    @Option(
        parsing: .unconditional, help: "Seed for stories, weights and samples.", transform: Arguments.seed)
    var seed = 1

    func validate() throws {
        guard (0.01...1440).contains(minutes) else {
            throw ValidationError("--minutes must be from 0.01 to 1440, not \(minutes)")
        }
        if device.elementTypeName == "float64" {
            throw ValidationError("training computes in float32 or bfloat16, not float64")
        }
        if let preset { _ = try ModelSource.preset(named: preset) }
    }

    func run() throws {
        for path in data {
            try Arguments.checkRereadable(path, because: "the demo trains on it and continues parts of it")
        }
        let (device, type) = try device.prepare(.fast)
        let demo = Demo(
            plans: try preset.map { [DemoPlan(preset: try ModelSource.preset(named: $0))] }
                ?? (data.isEmpty ? DemoPlan.all : DemoPlan.all.filter { $0.level != .basic }),
            level: level, text: data, folder: DemoFolder(path: out), minutes: minutes,
            steps: steps, device: device, elementType: type, seed: seed)
        try demo.run()
    }
}

/// The folder of a demo's results.
struct DemoFolder {
    let path: String

    var storiesPath: String { path + "/stories.txt" }
    var runPath: String { path + "/run" }
    var peerPath: String { path + "/transformer" }
    var lossPath: String { path + "/loss" }
    var decodePath: String { path + "/decode" }
    private var markerPath: String { path + "/demo.txt" }
    private static let lockName = "demo.lock"

    /// Empties the folder or creates it; an existing one must be that of an earlier demo.
    ///
    /// Returns the exclusive right to write it, which must be kept until the end of the demo.
    func prepare() throws -> FolderLock {
        let lock: FolderLock
        do {
            lock = try FolderLock(path, fileName: Self.lockName)
        } catch StorageError.inUse {
            throw CommandError(
                "another demo is writing '\(path)': wait for it to end, or choose another folder with --out")
        }
        do {
            try empty()
            let note =
                "Written by `retnet demo`, which replaces the contents of this folder when it is run again.\n"
            try AtomicFile.write(Data(note.utf8), to: markerPath)
            return lock
        } catch {
            lock.abandon()
            throw error
        }
    }

    /// Removes the files of an earlier demo; others stay.
    private func empty() throws {
        let files = FileManager.default
        let names = try files.contentsOfDirectory(atPath: path).filter { $0 != Self.lockName }
        guard names.isEmpty || files.fileExists(atPath: markerPath) else {
            throw CommandError(
                "'\(path)' exists and is not the folder of an earlier demo: choose another with --out")
        }
        // Interrupted training may be resumed in it by `retnet train` at this moment.
        let locks = try [runPath, peerPath].filter { files.fileExists(atPath: $0) }
            .map { try RunFolder(path: $0).lock(resume: true) }
        for item in [storiesPath, runPath, peerPath]
            + ["svg", "png"].flatMap({ ["\(lossPath).\($0)", "\(decodePath).\($0)"] })
        where files.fileExists(atPath: item) {
            try files.removeItem(atPath: item)
        }
        withExtendedLifetime(locks) {}
    }
}
