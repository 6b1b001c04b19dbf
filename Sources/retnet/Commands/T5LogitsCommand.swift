import ArgumentParser
import RetNetCheckpoints
import RetNetModels
import RetNetSettings
import RetNetStorage
import RetNetTorch

/// `retnet t5 logits`: the raw outputs of a T5 for given targets.
struct T5LogitsCommand: ParsableCommand, ComputingCommand {
    static let configuration = CommandConfiguration(
        commandName: "logits",
        abstract: "Write the logits of targets after sources as safetensors.",
        discussion: """
            The output holds 'logits', float32 [B, T, V], and 'loss', the mean cross entropy in nats. Sources and \
            targets are JSON arrays of rows of token ids; rows are filled up with padding, and the decoder reads the \
            targets shifted right by one.
            """)

    @Option(help: ArgumentHelp("A folder with a T5 model.", valueName: "dir"))
    var model: String
    @OptionGroup var device: DeviceOptions
    @Option(help: ArgumentHelp("A JSON array of rows of token ids, or -.", valueName: "file"))
    var sources: String
    @Option(help: ArgumentHelp("A JSON array of rows of token ids, or -.", valueName: "file"))
    var targets: String
    @Option(name: .shortAndLong, help: ArgumentHelp("The safetensors file to write.", valueName: "file"))
    var output: String
    @Flag(help: "Compute every position by a step with a cache instead of one pass.")
    var steps = false

    func run() throws {
        try Arguments.checkOutput(output, replaceable: true)
        let (device, type) = try device.prepare(.exact)
        let model = try T5Folder.load(
            ModelOptions.modelPath(model), elementType: type, device: device, computeType: type
        ).model
        let batch = try T5Batch(
            sources: RaggedRows(path: sources).rows, targets: RaggedRows(path: targets).rows,
            configuration: model.configuration, device: device)
        try withoutGradients {
            let logits = try steps ? stepped(model, batch) : model(batch)
            let loss =
                try FusedOperators.tokenLosses(
                    logits.reshaped([-1, logits.size(-1)]), targets: batch.targets.reshaped([-1])
                ).losses.sum() / Double(batch.targetCount)
            try SafetensorsWriter(
                tensors: [("logits", logits.to(.float32)), ("loss", loss.to(.float32))]
            ).write(to: output)
            Console.note("logits \(logits.shape) written to \(output)")
        }
    }

    private func stepped(_ model: T5Model, _ batch: T5Batch) throws -> Tensor {
        var state = try model.startDecoding(model.encode(batch.source, segments: batch.sourceSegments))
        let parts = try (0..<batch.decoderInput.size(1)).map { time in
            let (logits, next) = try model.cachedStep(batch.decoderInput.selected(1, time), state: state)
            state = next
            return logits
        }
        return try Tensor.stacked(parts, axis: 1)
    }
}
