import Foundation
import RetNetTestSupport

/// A small configuration, text and model for tests.
enum TinyModel {
    /// A RetNet of forty thousand parameters that trains a step in milliseconds.
    static func configuration(steps: Int, checkpointInterval: Int = 0) -> String {
        """
        model:
          vocabulary_size: 256
          hidden_size: 32
          layer_count: 2
          mixer: {head_count: 2, key_size: 16, value_size: 32}
          feed_forward: {inner_size: 64}
          dropout: {residual: 0.1}
        data: {length: 32, batch_size: 4}
        steps: \(steps)
        precision: float32
        schedule: {warmup_steps: 5}
        log: {every: 1}
        evaluation: {every: 20, batches: 2}
        sample: {every: 0}
        checkpoint: {every: \(checkpointInterval), keep_last: 2}
        """
    }

    /// Some thousands of bytes with characters of one, two and three bytes.
    static var text: String {
        (0..<400).map { "Line \($0): the fox, naïve as ever, has €\($0 * 7 % 100) and \($0 % 13) hens.\n" }
            .joined()
    }

    /// Writes configuration and text into a folder and returns the arguments of a training run there.
    static func arguments(
        in folder: TemporaryFolder, steps: Int, checkpointInterval: Int = 0, run: String = "run"
    )
        throws -> [String]
    {
        try folder.write(
            configuration(steps: steps, checkpointInterval: checkpointInterval), to: "config.yaml")
        try folder.write(text, to: "text.txt")
        return [
            "train", "--config", folder.path("config.yaml"), "--data", folder.path("text.txt"), "--out",
            folder.path(run), "--threads", "1", "--device", "cpu",
        ]
    }

    /// Trains a model in a folder and returns the path of the run.
    @discardableResult
    static func train(in folder: TemporaryFolder, steps: Int = 12) throws -> String {
        try succeed(arguments(in: folder, steps: steps))
        return folder.path("run")
    }
}

/// The losses of a run as its metrics hold them, by step: texts, so that equality means the same bits.
func losses(ofRun path: String) throws -> [Int: String] {
    let text = String(
        decoding: try Data(contentsOf: URL(fileURLWithPath: path + "/metrics.jsonl")), as: UTF8.self)
    var result: [Int: String] = [:]
    for line in text.split(separator: "\n") {
        guard let record = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
            let step = record["step"] as? Int, let loss = record["loss"] as? Double
        else { continue }
        guard result[step] == nil else { throw CommandFailure("step \(step) is recorded twice") }
        result[step] = String(loss.bitPattern, radix: 16)
    }
    return result
}

/// The weights of the newest checkpoint of a run.
func weights(ofRun path: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path + "/model/model.safetensors"))
}

/// Bytes of a file as numbers, which need not lie where numbers usually do.
func floats(_ bytes: UnsafeRawBufferPointer) -> [Float] {
    stride(from: 0, to: bytes.count - 3, by: 4).map {
        bytes.loadUnaligned(fromByteOffset: $0, as: Float.self)
    }
}
