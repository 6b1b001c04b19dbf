import Foundation
import RetNetArchitecture
import RetNetStorage

/// What a state file holds beside its numbers: the model, the place of every row, and tokens that were not read yet.
///
/// A state file is one safetensors file, the same for every engine. Its tensors are `layers.N.NAME` with the names and, behind
/// an axis of rows, the shapes of `StateTensor`, and `logits` [rows, vocabulary] after the last token read where they are
/// known; any floating-point type may hold them. The metadata have ``format``, ``version``, the fingerprint of the model, the
/// identity of the tokenizer, the positions as `[[position, count], …]`, the pending tokens, and free texts under names that
/// begin with `user.`.
public struct StateFileHeader: Sendable, Equatable {
    /// The value of `format` in the metadata.
    public static let format = "retnet-state"
    /// The value of `version` in the metadata.
    ///
    /// Version 1 had another fingerprint, over parameters in the order of the LibTorch engine.
    public static let version = "2"
    /// The name of the tensor of logits.
    public static let logitsName = "logits"
    private static let userPrefix = "user."
    /// Positions beyond this are refused, so that no arithmetic with them can overflow.
    private static let maximumPosition = 1 << 48

    /// The fingerprint of the model, see ``ModelFingerprint``.
    public var fingerprint: String
    /// The version of the file.
    public private(set) var version = Self.version
    /// The place of every row in its sequence.
    public var positions: [SequencePosition]
    /// Tokens of each row that were chosen but not read yet; they come before anything new.
    public var pendingTokens: [[Int32]]
    /// The identity of the tokenizer in use, if there was one.
    public var tokenizerIdentity: String?
    /// Free texts, for the writer's own use.
    public var texts: [String: String]

    /// Creates the header of a new file.
    public init(
        fingerprint: String, positions: [SequencePosition], pendingTokens: [[Int32]],
        tokenizerIdentity: String?,
        texts: [String: String]
    ) {
        self.fingerprint = fingerprint
        self.positions = positions
        self.pendingTokens = pendingTokens
        self.tokenizerIdentity = tokenizerIdentity
        self.texts = texts
    }

    // MARK: Metadata

    /// Returns true if the file is a state of version 1, which only the LibTorch engine reads; files that cannot be read are none.
    public static func isOfVersion1(path: String) -> Bool {
        guard let metadata = try? SafetensorsFile(path: path).metadata else { return false }
        return metadata["format"] == Self.format && metadata["version"] == "1"
    }

    /// Returns the metadata of a file at `path`; throws ``StateFileError`` if there are not as many rows of pending tokens
    /// as positions.
    public func metadata(path: String) throws -> [ExactString: String] {
        guard pendingTokens.count == positions.count else {
            throw StateFileError.malformed(
                path: path,
                reason: "there are pending tokens for \(pendingTokens.count) rows, but the state has "
                    + "\(positions.count)")
        }
        func json(_ value: some Encodable) throws -> String {
            String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
        }
        var result: [ExactString: String] = [
            "format": Self.format, "version": Self.version, "fingerprint": fingerprint,
            "positions": try json(positions.map { [$0.position, $0.count] }),
            "pending_tokens": try json(pendingTokens),
        ]
        result["tokenizer"] = tokenizerIdentity
        for (key, value) in texts { result[ExactString(Self.userPrefix + key)] = value }
        return result
    }

    /// Reads the metadata of a file of a model.
    ///
    /// `fingerprint` returns that of the model in use for a version of the format, nil for unknown versions;
    /// `tokenizerIdentity` is that of the tokenizer in use, nil accepts any. Throws ``StateFileError``.
    public init(
        reading metadata: [ExactString: String], path: String, of configuration: LanguageModelConfiguration,
        tokenizerIdentity: String?, fingerprint: (_ version: String) throws -> String?
    ) throws {
        guard metadata["format"] == Self.format else { throw StateFileError.notStateFile(path: path) }
        let version = metadata["version"] ?? "(none)"
        guard let own = try fingerprint(version) else {
            throw StateFileError.unknownVersion(path: path, version: version)
        }
        let found = metadata["fingerprint"] ?? "(none)"
        guard found == own else {
            throw StateFileError.wrongModel(path: path, expected: own, found: found)
        }
        if let tokenizerIdentity, let found = metadata["tokenizer"], found != tokenizerIdentity {
            throw StateFileError.wrongTokenizer(path: path, expected: tokenizerIdentity, found: found)
        }
        func malformed(_ reason: String) -> StateFileError { .malformed(path: path, reason: reason) }
        func decoded<T: Decodable>(_ type: T.Type, _ key: String) throws -> T {
            guard let text = metadata[ExactString(key)] else {
                throw malformed("its metadata has no '\(key)'")
            }
            do {
                return try JSONDecoder().decode(type, from: Data(text.utf8))
            } catch {
                throw malformed("'\(key)' is not a JSON array of the right form")
            }
        }
        let pairs = try decoded([[Int]].self, "positions")
        guard !pairs.isEmpty else { throw malformed("it has no rows") }
        let limit = Self.maximumPosition
        positions = try pairs.map { pair in
            guard pair.count == 2, (-limit...limit).contains(pair[0]), (0...limit).contains(pair[1]) else {
                throw malformed("'positions' holds \(pair), which is not a position and a token count")
            }
            return SequencePosition(position: pair[0], count: pair[1])
        }
        pendingTokens = try decoded([[Int32]].self, "pending_tokens")
        guard pendingTokens.count == positions.count else {
            throw malformed(
                "'pending_tokens' has \(pendingTokens.count) rows, but the state has \(positions.count)")
        }
        let size = configuration.vocabularySize
        for token in pendingTokens.joined() where token < 0 || Int(token) >= size {
            throw malformed("the pending token \(token) is not in the vocabulary of \(size)")
        }
        self.version = version
        self.fingerprint = found
        self.tokenizerIdentity = metadata["tokenizer"]
        texts = [:]
        for (key, value) in metadata {
            guard let name = key.text.dropping(exactPrefix: Self.userPrefix) else { continue }
            texts[name] = value
        }
    }

    // MARK: Tensors

    /// A tensor of a file.
    public struct Part: Sendable {
        /// The layer.
        public let layer: Int
        /// What it is.
        public let tensor: StateTensor
        /// Where it is; its shape begins with the rows.
        public let entry: SafetensorsEntry
    }

    /// Returns the name of a layer's tensor in files.
    public static func name(_ tensor: StateTensor, layer: Int) -> String { "layers.\(layer).\(tensor.name)" }

    /// Returns the tensors of all layers, layer by layer, and that of the logits if they are known.
    ///
    /// Throws ``StateFileError`` for tensors that are missing, unexpected, of another shape or not floating-point numbers.
    public func parts(
        of configuration: LanguageModelConfiguration, in entries: [SafetensorsEntry], path: String
    ) throws -> (layers: [Part], logits: SafetensorsEntry?) {
        func malformed(_ reason: String) -> StateFileError { .malformed(path: path, reason: reason) }
        var left = Dictionary(entries.map { (ExactString($0.name), $0) }) { first, _ in first }
        func check(_ entry: SafetensorsEntry, _ shape: [Int]) throws {
            guard entry.shape == shape else {
                throw malformed("'\(entry.name)' has the shape \(entry.shape) instead of \(shape)")
            }
            guard [.float16, .bfloat16, .float32, .float64].contains(entry.elementType) else {
                throw malformed(
                    "'\(entry.name)' has \(entry.elementType.summary) of the type \(entry.elementType.rawValue),"
                        + " but a state has floating-point numbers")
            }
        }
        var layers: [Part] = []
        for layer in 0..<configuration.layerCount {
            for tensor in configuration.stateTensors(layer: layer) {
                let name = Self.name(tensor, layer: layer)
                guard let entry = left.removeValue(forKey: ExactString(name)) else {
                    throw malformed("the tensor '\(name)' is missing")
                }
                var shape = [positions.count] + tensor.shape
                if let axis = tensor.growingAxis, axis + 1 < entry.shape.count {
                    // Rows that have seen fewer tokens have padding behind theirs.
                    let needed =
                        positions.map { configuration.seenTokenCount(layer: layer, of: $0.count) }.max() ?? 0
                    shape[axis + 1] = entry.shape[axis + 1]
                    guard shape[axis + 1] >= needed else {
                        throw malformed("'\(name)' holds \(shape[axis + 1]) tokens, but \(needed) were read")
                    }
                }
                try check(entry, shape)
                layers.append(Part(layer: layer, tensor: tensor, entry: entry))
            }
        }
        let logits = left.removeValue(forKey: ExactString(Self.logitsName))
        if let logits { try check(logits, [positions.count, configuration.vocabularySize]) }
        if let name = left.keys.min()?.text {
            throw malformed("the tensor '\(name)' belongs to no layer of this model")
        }
        return (layers, logits)
    }
}

/// A short text that differs between models with incompatible states.
public enum ModelFingerprint {
    /// The number of values of a parameter that count.
    public static let sampledValueCount = 16

    /// Returns the CRC-32 of the configuration and that of the leading values of every parameter, in hexadecimal.
    ///
    /// Parameters count in the order of their names; `leadingValues` returns the first ``sampledValueCount`` values of one, or
    /// all of them. Values count rounded to bfloat16, so that a model has the same fingerprint whether it was loaded in that
    /// type, in float32 or in float64. Throws what `leadingValues` throws, and `SettingsError` for invalid configurations.
    public static func make(
        _ configuration: LanguageModelConfiguration, parameters: [String],
        leadingValues: (_ name: String) throws -> [Float]
    ) throws -> String {
        try make(configuration, ordered: parameters.sorted(), leadingValues: leadingValues)
    }

    /// Returns the fingerprint with the parameters in the order given.
    package static func make(
        _ configuration: LanguageModelConfiguration, ordered parameters: [String],
        leadingValues: (_ name: String) throws -> [Float]
    ) throws -> String {
        var weights: UInt32 = 0
        for name in parameters {
            let bits = try leadingValues(name).prefix(sampledValueCount).map { rounded($0).littleEndian }
            weights = bits.withUnsafeBytes { Checksum.crc32($0, continuing: weights) }
        }
        let text = Checksum.crc32(Data(try configuration.jsonText().utf8))
        return Checksum.hexadecimal(text) + "-" + Checksum.hexadecimal(weights)
    }

    /// The bits of the nearest bfloat16 number, of two equally near ones the even one.
    private static func rounded(_ value: Float) -> UInt16 {
        guard !value.isNaN else { return 0x7fc0 }
        let bits = value.bitPattern
        return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
    }
}

/// An error for a state file that cannot be used.
public enum StateFileError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The file is a safetensors file of another kind.
    case notStateFile(path: String)
    /// The file has an unknown version of the format.
    case unknownVersion(path: String, version: String)
    /// The state was made by another model.
    case wrongModel(path: String, expected: String, found: String)
    /// The state was made with another tokenizer.
    case wrongTokenizer(path: String, expected: String, found: String)
    /// A part of the file is missing, unexpected or out of range.
    case malformed(path: String, reason: String)
    /// A tensor holds NaN or infinite values.
    case notFinite(path: String, name: String)

    /// The problem and the remedy.
    public var description: String {
        switch self {
        case .notStateFile(let path):
            "'\(path)' is not a state file: the 'format' of its metadata is not '\(StateFileHeader.format)'; "
                + "give a file with a saved state"
        case .unknownVersion(let path, let version):
            "cannot read '\(path)': it has version '\(version)' of the state format, and only version "
                + "'\(StateFileHeader.version)' is known; use the program that wrote it"
        case .wrongModel(let path, let expected, let found):
            "'\(path)' was saved with another model: its fingerprint is '\(found)', this model's is "
                + "'\(expected)'; use the model that it was saved with"
        case .wrongTokenizer(let path, let expected, let found):
            "'\(path)' was saved with the tokenizer '\(found)', but '\(expected)' is in use; "
                + "use the model folder that it was saved with"
        case .malformed(let path, let reason):
            "'\(path)' is not a valid state file: \(reason); save the state again"
        case .notFinite(let path, let name):
            "cannot use '\(path)': '\(name)' holds NaN or infinite values; save the state again"
        }
    }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
