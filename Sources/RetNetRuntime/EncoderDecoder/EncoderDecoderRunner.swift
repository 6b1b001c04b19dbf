import RetNetArchitecture
import RetNetKernels

/// Runs an encoder-decoder: sources through the encoder, and the decoder over batches of outputs.
///
///     let states = try runner.encode(sources)                      // keys and values of the sources, once
///     let logits = try runner.read(sources.map { _ in [model.startToken] }, &states)
///     let next = try runner.step(tokens, &states)                  // and so on, a token of every output
///
/// What a source or an output gets does not depend on the others of a call, bit for bit, nor on how it is cut.
public final class EncoderDecoderRunner: SequenceRunner {
    /// The model.
    public let model: EncoderDecoderModel

    /// A runner with worker threads, by default one per processor core, the calling one included.
    ///
    /// `instructionSet` is for tests; by default the best one that the processor has. Throws ``RuntimeError/noThreads(reason:)``.
    public init(
        _ model: EncoderDecoderModel, threads: Int = SequenceRunner.defaultThreadCount,
        instructionSet: String? = nil
    ) throws {
        self.model = model
        try super.init(model, threads: threads, instructionSet: instructionSet)
    }

    /// Returns the states of the decoder before its first token, for sources as the encoder reads them.
    ///
    /// A source ends with the end token where the model was trained so. Throws ``RuntimeError`` for empty sources and tokens
    /// outside the vocabulary.
    public func encode(_ sources: [[Int32]]) throws -> [SequenceState] {
        let readings = try sources.map { try SourceReading($0, model) }
        try read(readings)
        return readings.compactMap(\.state)
    }

    /// Reads on in sources, and returns when the work is that of about so many tokens through the whole encoder.
    ///
    /// A part of a layer is read at least. Those in front come first; others are read with them where they are equally far.
    /// A source is whole when its ``SourceReading/state`` is there. Returns the number of tokens that the work was worth.
    @discardableResult
    public func read(_ sources: [SourceReading], tokenLimit: Int = .max) throws -> Int {
        let stageCount = SourceReading.Stage.count(layerCount: model.encoder.layers.count)
        let limit = tokenLimit.multipliedReportingOverflow(by: stageCount)
        var work = 0
        while work < (limit.overflow ? Int.max : limit.partialValue),
            let first = sources.first(where: { !$0.isDone })
        {
            work += try readPart(sources.filter { !$0.isDone && $0.stage == first.stage })
        }
        return (work + stageCount - 1) / stageCount
    }

    /// The largest number of rows of a part.
    private static let rowLimit = 256
    /// Rows of a part times keys that they see.
    private static let scoreLimit = 1 << 18

    /// Reads the next rows of sources that are equally far; returns the work, in rows.
    private func readPart(_ sources: [SourceReading]) throws -> Int {
        prepare()
        let stage = sources[0].stage
        var parts: [SourcePart] = []
        var (count, work) = (0, 0)
        for source in sources where count < Self.rowLimit {
            // Attention costs rows times keys: of a long source fewer rows.
            let most = max(16, Self.scoreLimit / source.tokens.count)
            let length = min(source.rest, Self.rowLimit - count, most)
            let rows = source.row..<source.row + length
            parts.append(SourcePart(source: source, rows: rows, first: count))
            pass.add(
                source.storage, at: SequencePosition(position: rows.lowerBound, count: rows.lowerBound),
                length: length)
            count += length
            work += length * (1024 + source.tokens.count) / 1024
        }
        try run(stage, parts)
        for part in parts { part.source.advance(part.rows.count) }
        return work
    }

    private func run(_ stage: SourceReading.Stage, _ parts: [SourcePart]) throws {
        let encoder = model.encoder
        switch stage {
        case .embedding:
            let tokens = parts.flatMap { $0.source.tokens[$0.rows] }
            let streams = tokens.withUnsafeBufferPointer { tokens in
                tokens.baseAddress.map { encoder.stack.begin(model.embed($0, pass), pass) } ?? []
            }
            scatter(streams, to: parts)
        case .keys(let index):
            var streams = gather(parts)
            // What the layer's input is depends on what is around it; the streams themselves are computed later.
            try encoder.stack.layer(index, &streams, pass) { x in
                encoder.layers[index].read(x, pass)
                return x
            }
        case .rows(let index):
            var streams = gather(parts)
            let length = parts.reduce(0) { max($0, $1.source.tokens.count) }
            let bias = pass.table(encoder.bias, length: length)
            try encoder.stack.layer(index, &streams, pass) { try encoder.layers[index]($0, bias, pass) }
            scatter(streams, to: parts)
        case .output:
            let encoded = encoder.norm(encoder.stack.end(gather(parts), pass), pass)
            let memories = parts.map(\.source.memory)
            for layer in model.decoder.layers {
                let mark = workspace.mark
                layer.read(encoded, memories, pass)
                workspace.release(to: mark)
            }
        }
    }

    /// Returns copies of the rows of all parts, one stream's behind another's.
    private func gather(_ parts: [SourcePart]) -> [Rows] {
        (0..<model.encoder.streamCount).map { stream in
            let rows = pass.rows(model.configuration.hiddenSize)
            for part in parts {
                (rows.data + part.first * rows.width).update(
                    from: part.source.hidden(stream) + part.rows.lowerBound * rows.width,
                    count: part.rows.count * rows.width)
            }
            return rows
        }
    }

    private func scatter(_ streams: [Rows], to parts: [SourcePart]) {
        for (stream, rows) in streams.enumerated() {
            for part in parts {
                (part.source.hidden(stream) + part.rows.lowerBound * rows.width).update(
                    from: rows.data + part.first * rows.stride, count: part.rows.count * rows.width)
            }
        }
    }
}

/// Rows of one source among those of a pass.
private struct SourcePart {
    let source: SourceReading
    let rows: Range<Int>
    /// The place of the first one in the pass.
    let first: Int
}

/// A source on its way through the encoder, some rows of a layer at a time.
///
/// It may be used by one runner at a time, and by another one later.
public final class SourceReading {
    /// What is computed of all rows before anything that follows.
    enum Stage: Equatable {
        case embedding
        /// The keys and values of a layer.
        case keys(Int)
        /// The rows behind a layer.
        case rows(Int)
        /// The encoder's output, as keys and values of the decoder's layers.
        case output

        static func count(layerCount: Int) -> Int { 2 * layerCount + 2 }
    }

    /// The tokens.
    public let tokens: [Int32]
    private let model: EncoderDecoderModel
    private(set) var stage = Stage.embedding
    /// The next row of the stage.
    private(set) var row = 0
    private(set) var isDone = false
    /// The keys and values of the layer that is being computed.
    private(set) var storage: StateStorage
    let memory: SourceMemory
    /// The streams between layers, [streams, tokens, d].
    private var streams: UnsafeMutablePointer<Float>

    /// A source that has not been read; throws ``RuntimeError`` if it is empty or has tokens outside the vocabulary.
    public init(_ tokens: [Int32], _ model: EncoderDecoderModel) throws {
        let c = model.configuration
        guard !tokens.isEmpty else { throw RuntimeError.emptySequence }
        for token in tokens where token < 0 || Int(token) >= c.vocabularySize {
            throw RuntimeError.unknownToken(Int(token), vocabularySize: c.vocabularySize)
        }
        self.tokens = tokens
        self.model = model
        var layout = StateLayout(type: .float32)
        layout.add(
            ["key", "value"].map { StateTensor($0, [c.headCount, 0, c.keySize], growingAlong: 1) }, layer: 0)
        storage = StateStorage(layout)
        storage.reserve(cache: 0, tokens.count)
        memory = SourceMemory(
            tokenCount: tokens.count, layerCount: c.decoderLayerCount, c, type: model.layout.type)
        streams = .allocate(capacity: model.encoder.streamCount * tokens.count * c.hiddenSize)
    }

    deinit { streams.deallocate() }

    /// The state of the decoder before its first token; nil until the source is read.
    public var state: SequenceState? { isDone ? SequenceState(model.layout, source: memory) : nil }

    /// Bytes of what is kept while the source is read.
    public var byteCount: Int {
        storage.byteCount + memory.byteCount
            + (isDone ? 0 : 4 * model.encoder.streamCount * tokens.count * model.configuration.hiddenSize)
    }

    /// Number of rows that are left in the stage.
    var rest: Int { tokens.count - row }

    /// The rows of a stream, [tokens, d]; only while the source is being read.
    func hidden(_ stream: Int) -> UnsafeMutablePointer<Float> {
        streams + stream * tokens.count * model.configuration.hiddenSize
    }

    /// Moves behind rows of the stage, and to the next stage behind the last one.
    func advance(_ count: Int) {
        row += count
        guard row == tokens.count else { return }
        row = 0
        let last = model.encoder.layers.count - 1
        switch stage {
        case .embedding: stage = .keys(0)
        case .keys(let layer): stage = .rows(layer)
        case .rows(let layer):
            stage = layer < last ? .keys(layer + 1) : .output
            storage.resize(cache: 0, to: 0)
        case .output:
            isDone = true
            streams.deallocate()
            streams = .allocate(capacity: 1)
            storage = StateStorage(StateLayout(type: .float32))
        }
    }
}
