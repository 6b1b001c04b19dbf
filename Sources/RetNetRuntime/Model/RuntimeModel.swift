import Foundation
import RetNetArchitecture
import RetNetKernels
import RetNetSettings

/// A decoder-only language model whose weights lie in mapped files, for inference without LibTorch.
///
///     X⁰ = Embedding(tokens)        Xˡ = Blockˡ(Xˡ⁻¹), l = 1 … L        logits = Norm(Xᴸ) W_outᵀ
///
/// A model is constant: any number of ``ModelRunner``s on any threads may use it at once. Sums and states are float32
/// whatever the element type of the weights.
public final class RuntimeModel: @unchecked Sendable {
    // Sendable: nothing changes after the initializer, and the mapped pages are never written.
    /// The architecture.
    public let configuration: LanguageModelConfiguration
    /// The folder.
    public let path: String
    let weights: ModelWeights
    private let embedding: rn_weights
    private let positionTable: rn_weights?
    private let embeddingNorm: Norm?
    private let blocks: [RuntimeBlock]
    private let stack: LayerStack
    private let finalNorm: Norm?
    private let output: Matrix
    /// The factor of hidden states before the output matrix.
    private let outputFactor: Double
    private let rotations: [Rotary]
    let layout: StateLayout

    /// The largest `config.json` in bytes.
    static let maximumConfigurationByteCount = 1 << 24

    /// Opens a folder of `retnet train` or `retnet convert`: its weights are mapped, not read.
    ///
    /// Every tensor of the model must be there with its shape, without extras. Their values are not read: see ``verify()``.
    /// `stateType` is that of the large parts of states. Throws ``RuntimeError``, `SettingsError` for the configuration, and
    /// `StorageError`.
    public convenience init(path: String, stateType: StateElementType = .float32) throws {
        let file = path + "/config.json"
        let text = try JSONFile.text(file, maximumByteCount: Self.maximumConfigurationByteCount)
        let tree = try SettingsDocument(pythonJSON: text, sourceName: file).tree
        guard LanguageModelConfiguration.recognizes(tree) else {
            throw T5Configuration.recognizes(tree)
                ? RuntimeError.encoderDecoder(path: path) : RuntimeError.otherForm(path: path)
        }
        try self.init(
            LanguageModelConfiguration(json: text, sourceName: file), weights: ModelWeights(path: path),
            path: path, stateType: stateType)
    }

    private init(
        _ c: LanguageModelConfiguration, weights: ModelWeights, path: String, stateType: StateElementType
    ) throws {
        configuration = c
        self.path = path
        self.weights = weights
        guard c.layerCount <= weights.tensorCount else {
            throw RuntimeError.weights(
                path: path,
                problem:
                    "config.json has \(c.layerCount) layers, but there are only \(weights.tensorCount) tensors"
            )
        }
        var builder = ModelBuilder(weights, stateType: stateType)
        embedding = try builder.linear("embedding", from: c.embeddingWidth, to: c.vocabularySize).weights
        positionTable =
            c.positionEmbedding == .learned
            ? try builder.linear("position_embedding", from: c.hiddenSize, to: c.positionCount).weights : nil
        embeddingNorm =
            c.embeddingNorm ? try Norm(&builder, "embedding_norm", size: c.embeddingWidth, c.norm) : nil
        blocks = try (0..<c.layerCount).map { layer in
            builder.state.add(c.stateTensors(layer: layer), layer: layer)
            return try builder.scope("layers.\(layer)") { try RuntimeBlock(&$0, c, layer: layer) }
        }
        stack = try LayerStack(&builder, c.altUp, hiddenSize: c.hiddenSize, layerCount: c.layerCount)
        finalNorm = c.finalNorm ? try Norm(&builder, "final_norm", size: c.outputWidth, c.norm) : nil
        output =
            c.tiedOutput
            ? Matrix(weights: embedding, bias: nil)
            : try builder.linear("output", from: c.outputWidth, to: c.vocabularySize, bias: c.outputBias)
        // Logits from a tied table of width K d are K times as large as from one of width d.
        let ratio = Double(c.outputWidth) / Double(c.hiddenSize)
        outputFactor = c.tiedOutput ? 1 / ratio.squareRoot() : 1
        rotations = builder.rotations
        layout = builder.state
        try weights.checkLeftOver(copies: c.tiedOutput ? ["output.weight"] : [])
    }

    /// Bytes of the weights that the model computes with.
    public var weightByteCount: Int { weights.byteCount }

    /// Number of parameters.
    public var parameterCount: Int { weights.parameterCount }

    /// Bytes of the weights that one token reads: all but the rows of the embedding that are not its own.
    public var weightByteCountPerToken: Int {
        let table = Int(rn_weight_bytes(embedding.type, embedding.rows, embedding.columns))
        return configuration.tiedOutput ? weights.byteCount : weights.byteCount - table
    }

    /// The matrices of which a pass reads all rows.
    var matricesOfPasses: [rn_weights] {
        weights.matrices.map(\.weights).filter { configuration.tiedOutput || $0.data != embedding.data }
    }

    /// The element types of matrices by their share of values, the most frequent first.
    public var elementTypes: [String] { weights.elementTypes }

    /// The same in words, such as `int8 and float16`.
    public var weightSummary: String { weights.summary }

    /// Returns the state before the first token.
    public func initialState() -> SequenceState { SequenceState(layout) }

    /// Bytes of the state of one sequence, without keys and values of attention.
    public var stateByteCount: Int { layout.byteCount }

    /// Bytes that every token adds to the state of a sequence: keys and values of attention, 0 without it.
    public var stateByteCountPerToken: Int {
        layout.caches.reduce(0) { $0 + 2 * $1.width * layout.type.byteCount }
    }

    /// The element type of the large parts of states.
    public var stateType: StateElementType { layout.type }

    // MARK: Passes

    /// Returns hidden states [rows, outputWidth] of the tokens of a pass, behind the final norm.
    func hidden(_ tokens: UnsafePointer<Int32>, _ pass: Pass) throws -> Rows {
        pass.prepare(rotations)
        var parts = stack.begin(embed(tokens, pass), pass)
        for (layer, block) in blocks.enumerated() {
            try stack.layer(layer, &parts, pass) { try block($0, pass) }
        }
        let y = stack.end(parts, pass)
        return finalNorm?(y, pass) ?? y
    }

    /// Returns logits [rows, vocabulary] of hidden states.
    func logits(_ hidden: Rows, _ pass: Pass) -> Rows {
        if outputFactor != 1 { pass.add(hidden, times: 0, to: hidden, times: outputFactor) }
        return pass.multiply(hidden, output)
    }

    private func embed(_ tokens: UnsafePointer<Int32>, _ pass: Pass) -> Rows {
        let c = configuration
        let x = pass.rows(c.embeddingWidth)
        withUnsafePointer(to: embedding) { table in
            for row in 0..<x.count { rn_weight_row(table, Int64(tokens[row]), x.data + row * x.width) }
        }
        let scale = c.embeddingScale.factor(hiddenSize: c.hiddenSize)
        if scale != 1 { pass.add(x, times: 0, to: x, times: scale) }
        addPositions(to: x, pass)
        return embeddingNorm?(x, pass) ?? x
    }

    /// Adds the vectors of positions, the same to every stream.
    private func addPositions(to x: Rows, _ pass: Pass) {
        guard configuration.positionEmbedding != .none else { return }
        let d = configuration.hiddenSize
        let mark = pass.workspace.mark
        let vector = pass.rows(d, count: 1)
        for row in 0..<x.count {
            if let positionTable {
                withUnsafePointer(to: positionTable) { rn_weight_row($0, pass.positions[row], vector.data) }
            } else {
                let half = d / 2
                for j in 0..<half {
                    let angle = Double(pass.positions[row]) * pow(10_000, -Double(j) / Double(half))
                    vector.data[j] = Float(sin(angle))
                    vector.data[half + j] = Float(cos(angle))
                }
            }
            for stream in 0..<x.width / d {
                pass.add(vector, to: Rows(x.data + row * x.width + stream * d, count: 1, width: d))
            }
        }
        pass.workspace.release(to: mark)
    }
}

extension RuntimeModel: PassModel {
    var vocabularySize: Int { configuration.vocabularySize }
    var positionLimit: Int? {
        configuration.positionEmbedding == .learned ? configuration.positionCount : nil
    }

    func check(_ storage: StateStorage) {}
}

/// A block that sees all rows, or every k-th token of each sequence.
struct RuntimeBlock {
    private let block: MixerBlock
    private let reduction: SequenceReduction?

    init(_ builder: inout ModelBuilder, _ c: LanguageModelConfiguration, layer: Int) throws {
        reduction = try SequenceReduction(&builder, c, layer: layer)
        block = try MixerBlock(&builder, c, layer: layer)
    }

    func callAsFunction(_ x: Rows, _ pass: Pass) throws -> Rows {
        guard let reduction else { return try block(x, pass) }
        return try reduction(x, pass) { try block($0, $1) }
    }
}
