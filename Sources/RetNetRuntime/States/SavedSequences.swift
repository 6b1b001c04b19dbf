import Foundation
import RetNetArchitecture
import RetNetKernels
import RetNetSampling
import RetNetStorage
import RetNetText

/// Some sequences at one moment, with everything needed to continue them: a value, in memory or in a state file.
///
/// State files are those of the LibTorch engine, both ways; see `StateFileHeader` for the format.
public struct SavedSequences: Sendable {
    /// The state of every sequence after the tokens read.
    public var states: [SequenceState]
    /// The logits of every sequence after its last token; nil if they are not known.
    public var logits: [[Float]]?
    /// The rest of every sequence: tokens that were chosen but not read, random numbers, the place in the text.
    public var rows: [SessionRow]
    /// The identity of the tokenizer in use, if there was one.
    public var tokenizerIdentity: String?
    /// Free texts, for the writer's own use.
    public var texts: [String: String]

    /// Creates saved sequences; rows are those of sequences that begin inside of a text, by default.
    public init(
        states: [SequenceState], logits: [[Float]]? = nil, rows: [SessionRow]? = nil,
        tokenizerIdentity: String? = nil, texts: [String: String] = [:]
    ) {
        self.states = states
        self.logits = logits
        self.rows =
            rows
            ?? states.map { _ in
                var row = SessionRow()
                row.place = .inside
                return row
            }
        self.tokenizerIdentity = tokenizerIdentity
        self.texts = texts
    }

    /// Number of tokens that each sequence has read and chosen.
    public var tokenCounts: [Int] { zip(states, rows).map { $0.tokenCount + $1.pendingTokens.count } }

    /// Bytes of all states.
    public var byteCount: Int { states.reduce(0) { $0 + $1.byteCount } }

    /// Returns the given sequences in their order; further copies of one draw from other streams of random numbers.
    ///
    /// Throws `GenerationError.noSuchRow(_:rowCount:)`.
    public func selecting(_ indices: [Int]) throws -> SavedSequences {
        if let bad = indices.first(where: { !states.indices.contains($0) }) {
            throw GenerationError.noSuchRow(bad, rowCount: states.count)
        }
        var result = self
        result.states = indices.map { states[$0] }
        result.logits = logits.map { logits in indices.map { logits[$0] } }
        result.rows = SessionRow.selected(indices, of: rows)
        return result
    }
}

// MARK: Files

extension RuntimeModel {
    /// Writes sequences of this model to a state file, which is then either complete or unchanged.
    ///
    /// Throws ``RuntimeError/wrongState(reason:)``, `StateFileError` for numbers that are not finite, and `StorageError`.
    public func save(_ saved: SavedSequences, to path: String) throws {
        try writer(of: saved, path: path).write(to: path)
    }

    /// Returns the bytes of a state file of sequences of this model; `path` appears in errors.
    public func data(of saved: SavedSequences, path: String = "a state in memory") throws -> Data {
        try writer(of: saved, path: path).data(path: path)
    }

    /// Reads a state file.
    ///
    /// `tokenizer` is the one in use; nil accepts states of any. Throws `StorageError` for files that are not complete,
    /// and `StateFileError` for states of another model or tokenizer and for parts that are missing, unexpected, of the
    /// wrong shape, out of range or not finite.
    public func load(_ path: String, tokenizer: (any Tokenizer)?) throws -> SavedSequences {
        try read(SafetensorsFile(path: path), tokenizer)
    }

    /// Reads the bytes of a state file; `path` appears in errors.
    public func load(
        _ data: Data, path: String = "a state in memory", tokenizer: (any Tokenizer)?
    ) throws -> SavedSequences {
        try read(SafetensorsFile(data: data, path: path), tokenizer)
    }
}

// MARK: Writing

extension RuntimeModel {
    private func writer(of saved: SavedSequences, path: String) throws -> SafetensorsWriter {
        // Files have matrices with all tokens.
        let states = saved.states.map { state in
            var state = state
            state.settle()
            return state
        }
        guard states.allSatisfy({ $0.storage.layout.signature == layout.signature }) else {
            throw RuntimeError.wrongState(reason: "it was made by another model")
        }
        guard saved.rows.count == states.count, saved.logits.map({ $0.count == states.count }) ?? true else {
            throw RuntimeError.wrongState(
                reason: "it has \(states.count) sequences, but \(saved.rows.count) rows and"
                    + " \(saved.logits?.count ?? states.count) logits")
        }
        let header = StateFileHeader(
            fingerprint: try fingerprint(), positions: states.map(\.place),
            pendingTokens: saved.rows.map(\.pendingTokens), tokenizerIdentity: saved.tokenizerIdentity,
            texts: try saved.texts.merging(SessionRow.texts(of: saved.rows)) { $1 })
        var tensors: [SafetensorsWriter.Tensor] = []
        var entries = layout.entries[...]
        var cache = 0
        for layer in 0..<configuration.layerCount {
            for tensor in configuration.stateTensors(layer: layer) {
                let name = StateFileHeader.name(tensor, layer: layer)
                if tensor.growingAxis == nil, let entry = entries.popFirst() {
                    tensors.append(try Self.fixed(name, tensor, entry, states, path))
                } else {
                    tensors.append(try Self.growing(name, tensor, cache, states, path))
                    if tensor.name == StateLayout.cacheNames.values { cache += 1 }
                }
            }
        }
        if let logits = saved.logits {
            tensors.append(try Self.logits(logits, configuration.vocabularySize, path))
        }
        return SafetensorsWriter(tensors, metadata: try header.metadata(path: path))
    }

    private static func fixed(
        _ name: String, _ tensor: StateTensor, _ entry: StateLayout.Entry, _ states: [SequenceState],
        _ path: String
    ) throws -> SafetensorsWriter.Tensor {
        let bytes = states.map {
            UnsafeRawBufferPointer(start: $0.storage.memory + entry.place.offset, count: entry.byteCount)
        }
        let type = entry.place.type
        guard bytes.allSatisfy({ StateNumbers.areFinite($0, type.stored) }) else {
            throw StateFileError.notFinite(path: path, name: name)
        }
        return SafetensorsWriter.Tensor(
            name: name, elementType: type.stored, shape: [states.count] + tensor.shape
        ) { sink in try withExtendedLifetime(states) { for row in bytes { try sink.write(row) } } }
    }

    /// Keys or values [rows, groups, tokens, size]; rows with fewer tokens than the longest have zeros behind theirs.
    private static func growing(
        _ name: String, _ tensor: StateTensor, _ index: Int, _ states: [SequenceState], _ path: String
    ) throws -> SafetensorsWriter.Tensor {
        let caches = states.map { $0.storage.caches[index] }
        let tokens = caches.reduce(0) { max($0, $1.count) }
        func groups(of cache: KeyValueCache) -> [UnsafeRawBufferPointer] {
            let start = tensor.name == StateLayout.cacheNames.keys ? cache.keys : cache.values
            return (0..<cache.groups).map {
                UnsafeRawBufferPointer(start: start + $0 * cache.groupStride, count: cache.groupByteCount)
            }
        }
        let type = caches.first?.type ?? .float32
        guard caches.allSatisfy({ groups(of: $0).allSatisfy { StateNumbers.areFinite($0, type.stored) } })
        else {
            throw StateFileError.notFinite(path: path, name: name)
        }
        return SafetensorsWriter.Tensor(
            name: name, elementType: type.stored, shape: [states.count] + tensor.shape(tokenCount: tokens)
        ) { sink in
            try withExtendedLifetime(states) {
                for cache in caches {
                    let padding = Data(count: (tokens - cache.count) * cache.size * type.byteCount)
                    for group in groups(of: cache) {
                        try sink.write(group)
                        try sink.write(padding)
                    }
                }
            }
        }
    }

    private static func logits(_ logits: [[Float]], _ size: Int, _ path: String) throws
        -> SafetensorsWriter.Tensor
    {
        guard logits.allSatisfy({ $0.count == size }) else {
            throw RuntimeError.wrongState(reason: "its logits are not those of \(size) tokens")
        }
        guard logits.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
            throw StateFileError.notFinite(path: path, name: StateFileHeader.logitsName)
        }
        return SafetensorsWriter.Tensor(
            name: StateFileHeader.logitsName, elementType: .float32, shape: [logits.count, size]
        ) { sink in for row in logits { try row.withUnsafeBytes { try sink.write($0) } } }
    }
}

// MARK: Reading

extension RuntimeModel {
    private func read(_ file: SafetensorsFile, _ tokenizer: (any Tokenizer)?) throws -> SavedSequences {
        let path = file.path
        let header = try StateFileHeader(
            reading: file.metadata, path: path, of: configuration, tokenizerIdentity: tokenizer?.identity
        ) { $0 == StateFileHeader.version ? try fingerprint() : nil }
        let parts = try header.parts(of: configuration, in: file.entries, path: path)
        var states = header.positions.map { place in
            var state = initialState()
            state.place = place
            return state
        }
        var entries = layout.entries[...]
        var cache = 0
        for part in parts.layers {
            try file.withUnsafeBytes(of: part.entry.name) { bytes in
                let numbers = StateNumbers(bytes: bytes, entry: part.entry, path: path)
                try numbers.checkFinite()
                if part.tensor.growingAxis == nil, let entry = entries.popFirst() {
                    for (row, state) in states.enumerated() {
                        try numbers.copy(
                            row * entry.elementCount, entry.elementCount, to: entry.place.type,
                            state.storage.memory + entry.place.offset)
                    }
                } else {
                    try read(numbers, part, cache, &states)
                    if part.tensor.name == StateLayout.cacheNames.values { cache += 1 }
                }
            }
        }
        let logits = try parts.logits.map { entry in
            try file.withUnsafeBytes(of: entry.name) { bytes in
                let numbers = StateNumbers(bytes: bytes, entry: entry, path: path)
                try numbers.checkFinite()
                let size = configuration.vocabularySize
                return try states.indices.map { row in
                    var values = [Float](repeating: 0, count: size)
                    try values.withUnsafeMutableBytes { memory in
                        guard let start = memory.baseAddress else { return }
                        try numbers.copy(row * size, size, to: .float32, start)
                    }
                    return values
                }
            }
        }
        return SavedSequences(
            states: states, logits: logits, rows: try rows(of: header, tokenizer),
            tokenizerIdentity: header.tokenizerIdentity, texts: header.texts)
    }

    private func rows(of header: StateFileHeader, _ tokenizer: (any Tokenizer)?) throws -> [SessionRow] {
        try SessionRow.resumed(
            texts: header.texts, pendingTokens: header.pendingTokens,
            tokenCounts: header.positions.map(\.count), tokenizer: tokenizer)
    }

    /// Reads keys or values [rows, groups, tokens, size]: of every row the tokens that its layer has seen.
    private func read(
        _ numbers: StateNumbers, _ part: StateFileHeader.Part, _ index: Int, _ states: inout [SequenceState]
    ) throws {
        let tokens = part.entry.shape[2]
        for (row, state) in states.enumerated() {
            let seen = configuration.seenTokenCount(layer: part.layer, of: state.place.count)
            state.storage.resize(cache: index, to: seen)
            let cache = state.storage.caches[index]
            let start = part.tensor.name == StateLayout.cacheNames.keys ? cache.keys : cache.values
            for group in 0..<cache.groups {
                try numbers.copy(
                    (row * cache.groups + group) * tokens * cache.size, seen * cache.size, to: cache.type,
                    start + group * cache.groupStride)
            }
        }
    }
}

/// The numbers of a tensor of a state file, in the type in which they are stored.
private struct StateNumbers {
    let bytes: UnsafeRawBufferPointer
    let entry: SafetensorsEntry
    let path: String

    func checkFinite() throws {
        guard Self.areFinite(bytes, entry.elementType) else {
            throw StateFileError.notFinite(path: path, name: entry.name)
        }
    }

    /// Returns true if no exponent has all its bits set.
    static func areFinite(_ bytes: UnsafeRawBufferPointer, _ type: StoredElementType) -> Bool {
        func check<Bits: FixedWidthInteger>(_ type: Bits.Type, _ exponent: Bits) -> Bool {
            let size = MemoryLayout<Bits>.size
            var found = Bits.zero
            for index in 0..<bytes.count / size {
                let bits = bytes.loadUnaligned(fromByteOffset: index * size, as: Bits.self)
                found |= bits & exponent == exponent ? 1 : 0
            }
            return found == 0
        }
        return switch type {
        case .float64: check(UInt64.self, 0x7ff0_0000_0000_0000)
        case .float32: check(UInt32.self, 0x7f80_0000)
        case .bfloat16: check(UInt16.self, 0x7f80)
        default: check(UInt16.self, 0x7c00)
        }
    }

    /// Copies elements to memory of another type; throws where they are beyond its range.
    func copy(_ first: Int, _ count: Int, to type: StateElementType, _ target: UnsafeMutableRawPointer) throws
    {
        let size = entry.elementType.bitCount / 8
        guard count > 0, let base = bytes.baseAddress, (first + count) * size <= bytes.count else { return }
        let source = base + first * size
        if entry.elementType == type.stored {
            target.copyMemory(from: source, byteCount: count * size)
            return
        }
        // Aligned, and in float32.
        var values = [Float](repeating: 0, count: count)
        switch entry.elementType {
        case .float32:
            values.withUnsafeMutableBytes { $0.copyMemory(from: .init(start: source, count: 4 * count)) }
        case .float64:
            for index in 0..<count {
                values[index] = Float(source.loadUnaligned(fromByteOffset: 8 * index, as: Double.self))
            }
        case .bfloat16: rn_widen(nil, source, RN_BF16, &values, Int64(count))
        default: rn_widen(nil, source, RN_F16, &values, Int64(count))
        }
        rn_narrow(nil, values, type.kernel, target, Int64(count))
        let written = UnsafeRawBufferPointer(start: target, count: count * type.byteCount)
        guard Self.areFinite(written, type.stored) else {
            throw RuntimeError.stateRange(path: path, name: entry.name, type: type)
        }
    }
}
