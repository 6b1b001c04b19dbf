import Foundation
import RetNetRuntime
import RetNetSampling
import RetNetServing
import RetNetStorage
import RetNetText

/// A folder with a small T5 over bytes with sentinels and random weights, which is removed with the value.
public final class SmallT5: Sendable {
    /// The folder.
    public let path: String

    /// The sizes: encoder and decoder have two layers each.
    private static let (vocabulary, width, heads, keySize, inner, layers) = (384, 24, 3, 8, 32, 2)

    /// Writes the folder; with a template it takes part in conversations.
    public init(template: String? = nil, configuration: [String: Any] = [:]) throws {
        path = NSTemporaryDirectory() + "/t5-\(UUID())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        var object: [String: Any] = [
            "model_type": "t5", "vocab_size": Self.vocabulary, "d_model": Self.width, "d_kv": Self.keySize,
            "d_ff": Self.inner, "num_heads": Self.heads, "num_layers": Self.layers,
            "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false, "pad_token_id": 0,
            "eos_token_id": 1, "decoder_start_token_id": 0,
        ]
        object.merge(configuration) { $1 }
        try JSONSerialization.data(withJSONObject: object).write(
            to: URL(fileURLWithPath: path + "/config.json"))
        try SafetensorsWriter(Self.tensors()).write(to: path + "/model.safetensors")
        try SentinelByteTokenizer().save(to: path)
        if let template {
            try Data(template.utf8).write(to: URL(fileURLWithPath: path + "/chat_template.jinja"))
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    private static func tensors() -> [SafetensorsWriter.Tensor] {
        var random = SeededGenerator(seed: 17)
        func tensor(_ name: String, _ shape: Int...) -> SafetensorsWriter.Tensor {
            let isNorm = name.contains("norm")
            let scale = isNorm ? 0.2 : 3 / Double(shape[shape.count - 1]).squareRoot()
            var data = Data()
            for _ in 0..<shape.reduce(1, *) {
                let value = Float((isNorm ? 1 : 0) + scale * (2 * random.unitDouble() - 1))
                withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
            }
            return .init(name: name, elementType: .float32, shape: shape, data: data)
        }
        let attended = heads * keySize
        func attention(_ name: String) -> [SafetensorsWriter.Tensor] {
            ["q", "k", "v"].map { tensor("\(name).\($0).weight", attended, width) }
                + [tensor("\(name).o.weight", width, attended)]
        }
        func fed(_ name: String) -> [SafetensorsWriter.Tensor] {
            let own = name + ".DenseReluDense"
            return [
                tensor("\(own).wi_0.weight", inner, width), tensor("\(own).wi_1.weight", inner, width),
                tensor("\(own).wo.weight", width, inner),
            ]
        }
        var all = [tensor("shared.weight", vocabulary, width), tensor("lm_head.weight", vocabulary, width)]
        for side in ["encoder", "decoder"] {
            let table = "\(side).block.0.layer.0.SelfAttention.relative_attention_bias.weight"
            all += [tensor(table, 32, heads), tensor("\(side).final_layer_norm.weight", width)]
            for layer in 0..<layers {
                let block = "\(side).block.\(layer).layer"
                all += attention("\(block).0.SelfAttention")
                if side == "decoder" { all += attention("\(block).1.EncDecAttention") }
                let last = side == "decoder" ? 2 : 1
                all += fed("\(block).\(last)")
                all += (0...last).map { tensor("\(block).\($0).layer_norm.weight", width) }
            }
        }
        return all
    }

    /// Opens the model.
    public func model() throws -> ServingModel { try ServingModel(path: path, name: "t5") }

    /// Starts an engine with one thread.
    public func engine(
        rows: Int = 16, piece: Int = 64, _ change: (inout ServingEngine.Configuration) -> Void = { _ in }
    ) throws -> ServingEngine {
        var configuration = ServingEngine.Configuration()
        (configuration.threadCount, configuration.rowLimit) = (1, rows)
        configuration.pieceLength = piece
        change(&configuration)
        return try ServingEngine(try model(), configuration, store: StateStore(byteLimit: 1 << 24))
    }

    /// What the runtime generates for a prompt alone.
    public func expected(_ prompt: String, _ parameters: SamplingParameters) throws -> GenerationResult {
        let folder = try EncoderDecoderFolder(path: path)
        let runner = try EncoderDecoderRunner(folder.model, threads: 1)
        return try OutputGenerator(runner, tokenizer: folder.tokenizer).generate([prompt], parameters)[0]
    }
}
