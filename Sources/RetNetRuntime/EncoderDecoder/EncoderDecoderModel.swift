import Foundation
import RetNetArchitecture
import RetNetKernels
import RetNetSettings
import RetNetStorage

/// A T5 encoder-decoder whose weights lie in mapped files, for inference without LibTorch (arXiv 1910.10683).
///
///     encoded = Norm(EncoderLayers(E[source]))     hidden = Norm(DecoderLayers(E[shifted target], encoded))
///     logits = d^(-1/2) hidden Eᵀ (v1.0)  or  hidden Wᵀ (v1.1)
///
/// A model is constant: any number of ``EncoderDecoderRunner``s on any threads may use it at once. Sums, and the keys and values
/// of the encoder, are float32 whatever the element type of the weights.
public final class EncoderDecoderModel: @unchecked Sendable {
    // Sendable: nothing changes after the initializer, and the mapped pages are never written.
    /// The architecture.
    public let configuration: T5Configuration
    /// The folder.
    public let path: String
    let weights: ModelWeights
    private let embedding: rn_weights
    let encoder: T5Encoder
    let decoder: T5Decoder
    private let output: Matrix
    /// The factor of hidden states before the output matrix.
    private let outputFactor: Double
    let layout: StateLayout

    /// Opens a folder in the form of Hugging Face's checkpoints: its weights are mapped, not read.
    ///
    /// Every tensor of the model must be there with its shape, without extras but copies of the embedding. Their values are
    /// not read: see ``verify()``. `stateType` is that of keys and values in the decoder. Throws ``RuntimeError``,
    /// `SettingsError` for the configuration, and `StorageError`.
    public init(path: String, stateType: StateElementType = .float32) throws {
        let file = path + "/config.json"
        let text = try JSONFile.text(file, maximumByteCount: RuntimeModel.maximumConfigurationByteCount)
        var c = try T5Configuration(huggingFaceJSON: text, sourceName: file)
        if c.altUp?.sequence != nil {
            throw RuntimeError.unsupported(part: "encoders whose layers see some of the tokens")
        }
        let weights = try ModelWeights(path: path)
        self.path = path
        self.weights = weights
        let layerCount = c.encoderLayerCount + c.decoderLayerCount
        guard layerCount <= weights.tensorCount else {
            throw RuntimeError.weights(
                path: path,
                problem:
                    "config.json has \(layerCount) layers, but there are only \(weights.tensorCount) tensors")
        }
        let aliases = T5Configuration.toleratedNames.embeddingAliases
        let table =
            ([T5Configuration.embeddingName] + aliases).first(where: weights.contains)
            ?? T5Configuration.embeddingName
        // Newer versions of Transformers write v1.1 as if it were tied.
        if c.tiedOutput, !c.scaledOutput, weights.contains(T5Configuration.outputName),
            try !weights.areEqual(T5Configuration.outputName, table)
        {
            c.tiedOutput = false
        }
        configuration = c
        let embeddingWidth = c.altUp?.embeddingWidth(hiddenSize: c.hiddenSize) ?? c.hiddenSize
        let outputWidth = c.altUp?.outputWidth(hiddenSize: c.hiddenSize) ?? c.hiddenSize
        var builder = ModelBuilder(weights, stateType: stateType)
        embedding = try builder.linear(Self.matrix(table), from: embeddingWidth, to: c.vocabularySize).weights
        encoder = try builder.scope("encoder") { try T5Encoder(&$0, c, outputWidth: outputWidth) }
        decoder = try builder.scope("decoder") { try T5Decoder(&$0, c, outputWidth: outputWidth) }
        output =
            c.tiedOutput
            ? Matrix(weights: embedding, bias: nil)
            : try builder.linear(
                Self.matrix(T5Configuration.outputName), from: outputWidth, to: c.vocabularySize)
        outputFactor = c.scaledOutput ? 1 / Double(outputWidth).squareRoot() : 1
        layout = builder.state
        let copies = (c.tiedOutput ? [T5Configuration.outputName] : []) + aliases.filter { $0 != table }
        for copy in copies where weights.contains(copy) {
            guard try weights.areEqual(copy, table) else {
                throw RuntimeError.weights(
                    path: path,
                    problem: "'\(copy)' must equal '\(table)', of which config.json makes it a copy")
            }
        }
        try weights.checkLeftOver(copies: Set(copies + T5Configuration.toleratedNames.unused))
    }

    /// Returns the name of a matrix without its ending.
    private static func matrix(_ name: String) -> String {
        name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name
    }

    // MARK: Sizes

    /// Bytes of the weights that the model computes with.
    public var weightByteCount: Int { weights.byteCount }
    /// Number of parameters.
    public var parameterCount: Int { weights.parameterCount }
    /// The element types of matrices by their share of values, the most frequent first.
    public var elementTypes: [String] { weights.elementTypes }
    /// The same in words, such as `int8 and float16`.
    public var weightSummary: String { weights.summary }
    /// The element type of keys and values in the decoder.
    public var stateType: StateElementType { layout.type }
    /// The first token that the decoder reads.
    public var startToken: Int32 { Int32(clamping: configuration.startToken) }
    /// The token that ends sources and outputs.
    public var endToken: Int32 { Int32(clamping: configuration.endToken) }
    /// Bytes of keys and values that every token of an output adds in the decoder, and every token of a source at once.
    public var stateByteCountPerToken: Int {
        layout.caches.reduce(0) { $0 + 2 * $1.width * layout.type.byteCount }
    }

    /// Reads all weights; throws ``RuntimeError/weights(path:problem:)`` with the first tensor that has a value that is not
    /// finite.
    public func verify() throws { try weights.verify() }

    // MARK: Passes

    /// Returns the embeddings of tokens, [rows, embedding width].
    func embed(_ tokens: UnsafePointer<Int32>, _ pass: Pass) -> Rows {
        let x = pass.rows(Int(embedding.columns))
        withUnsafePointer(to: embedding) { table in
            for row in 0..<x.count { rn_weight_row(table, Int64(tokens[row]), x.data + row * x.width) }
        }
        return x
    }
}

extension EncoderDecoderModel: PassModel {
    var vocabularySize: Int { configuration.vocabularySize }
    /// None: distances count.
    var positionLimit: Int? { nil }

    /// The matrices of the decoder; those of the encoder are read once for every source.
    var matricesOfPasses: [rn_weights] {
        weights.matrices.map(\.weights).filter { configuration.tiedOutput || $0.data != embedding.data }
    }

    func hidden(_ tokens: UnsafePointer<Int32>, _ pass: Pass) throws -> Rows {
        try decoder(embed(tokens, pass), pass)
    }

    func logits(_ hidden: Rows, _ pass: Pass) -> Rows {
        if outputFactor != 1 { pass.add(hidden, times: 0, to: hidden, times: outputFactor) }
        return pass.multiply(hidden, output)
    }

    func check(_ storage: StateStorage) throws {
        guard let source = storage.source, source.caches.count == configuration.decoderLayerCount else {
            throw RuntimeError.wrongState(reason: "it has no source of this model")
        }
    }
}

/// The encoder's layers, with AltUp's streams around them where the model has them.
struct T5Encoder {
    let layers: [T5EncoderLayer]
    let stack: LayerStack
    let bias: PositionBias
    let norm: Norm
    /// The number of streams between layers.
    let streamCount: Int

    init(_ builder: inout ModelBuilder, _ c: T5Configuration, outputWidth: Int) throws {
        bias = try PositionBias(&builder, c, isDecoder: false)
        layers = try (0..<c.encoderLayerCount).map { layer in
            try builder.scope("block.\(layer)") { try T5EncoderLayer(&$0, c, layer: layer) }
        }
        stack = try LayerStack(
            &builder, c.altUp, hiddenSize: c.hiddenSize, layerCount: c.encoderLayerCount, layers: "block")
        norm = try Norm(&builder, c, "final_layer_norm", size: outputWidth)
        streamCount = c.altUp.map { $0.mixesStreams ? $0.streamCount : 1 } ?? 1
    }
}

/// The decoder's layers, with AltUp's streams around them where the model has them.
struct T5Decoder {
    let layers: [T5DecoderLayer]
    private let stack: LayerStack
    private let bias: PositionBias
    private let norm: Norm

    init(_ builder: inout ModelBuilder, _ c: T5Configuration, outputWidth: Int) throws {
        bias = try PositionBias(&builder, c, isDecoder: true)
        let tensors = ["key", "value"].map {
            StateTensor($0, [c.headCount, 0, c.keySize], growingAlong: 1)
        }
        layers = try (0..<c.decoderLayerCount).map { layer in
            builder.state.add(tensors, layer: layer)
            return try builder.scope("block.\(layer)") {
                try T5DecoderLayer(&$0, c, layer: layer, sourceWidth: outputWidth)
            }
        }
        stack = try LayerStack(
            &builder, c.altUp, hiddenSize: c.hiddenSize, layerCount: c.decoderLayerCount, layers: "block")
        norm = try Norm(&builder, c, "final_layer_norm", size: outputWidth)
    }

    /// Returns hidden states [rows, output width] of embedded rows, behind the final norm.
    func callAsFunction(_ x: Rows, _ pass: Pass) throws -> Rows {
        let memories = pass.storages.compactMap(\.source)
        guard memories.count == pass.segmentCount else {
            throw RuntimeError.wrongState(reason: "it has no source of this model")
        }
        let length = zip(pass.places, pass.segments).reduce(0) { max($0, $1.0.count + $1.1.count) }
        let table = pass.table(bias, length: length)
        var parts = stack.begin(x, pass)
        for (index, layer) in layers.enumerated() {
            try stack.layer(index, &parts, pass) { try layer($0, table, memories, pass) }
        }
        return norm(stack.end(parts, pass), pass)
    }
}
