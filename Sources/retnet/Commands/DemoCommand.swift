import ArgumentParser
import Foundation

/// `retnet demo`: the whole package in a few minutes.
struct DemoCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract:
            "Train a small RetNet on made-up stories, generate, and show that decoding cost stays flat.",
        discussion: """
            The stories are written by a seeded generator and ask for things that were told earlier, so what the \
            model remembers can be counted. With --data it trains on your own text instead. About three minutes of \
            training on two cores; --minutes changes that.
            """)

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Train on these UTF-8 files or folders instead of stories.", valueName: "path"))
    var data: [String] = []

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The folder for results; that of an earlier demo is replaced.", valueName: "dir"))
    var out = "demo"

    @Option(help: "How long to train, in minutes.")
    var minutes = 3.0

    @Option(help: "How many updates to make, instead of --minutes.", transform: Arguments.positive)
    var steps: Int?

    @Option(help: ArgumentHelp("The preset to train.", valueName: "name"))
    var preset = "retnet-3m"

    @OptionGroup var device: DeviceOptions

    @Option(help: "The seed of stories, weights and samples.", transform: Arguments.seed)
    var seed = 1

    func validate() throws {
        guard (0.01...1440).contains(minutes) else {
            throw ValidationError("--minutes must be from 0.01 to 1440, not \(minutes)")
        }
        if device.elementTypeName == "float64" {
            throw ValidationError("training computes in float32 or bfloat16, not float64")
        }
        _ = try ModelSource.preset(named: preset)
    }

    func run() throws {
        let (device, type) = try device.prepare(.fast)
        let demo = Demo(
            preset: try ModelSource.preset(named: preset), text: data, folder: DemoFolder(path: out),
            minutes: minutes, steps: steps, device: device, elementType: type, seed: seed)
        try demo.run()
    }
}
