import Foundation
import RetNetStorage

/// The tokenizer of a SentencePiece model file, such as T5's `spiece.model` or Llama's `tokenizer.model`.
///
/// Encodes and decodes as release 0.2.3 of the reference library does: unigram, byte-pair, word and character models, with
/// their normalizer, user-defined symbols and byte fallback. Most models normalize, so decoding returns the normalized text.
/// As in the reference, begin and end tokens are not added.
public final class SentencePieceTokenizer: SentinelTokenizer {
    /// The value of `kind` in a folder's `tokenizer_config.json`.
    public static let kind = "sentencepiece"
    /// The number of sentinels that T5 adds to its model.
    public static let usualSentinelCount = 100
    // The largest files in use have 5 MB; the tables take up to sixteen times the size.
    static let maximumByteCount = 1 << 25

    /// The number of tokens: the pieces of the file and the added sentinels.
    public let vocabularySize: Int
    /// The token before each document, if the model has one.
    public let beginToken: Int32?
    /// The token at the end of a text, if the model has one.
    public let endToken: Int32?
    /// The token at unused positions, if the model has one.
    public let paddingToken: Int32?
    /// The token for text that the vocabulary cannot express; some models that spell such text in bytes have none.
    public let unknownToken: Int32?
    /// The sentinels in the order of their use: those of the file or the added ones; often none.
    public let sentinels: [Int32]
    /// The name of this tokenizer in files of tokens, with a checksum of the model file.
    public let identity: String

    /// True if the model's texts begin with the begin token.
    private let beginsTexts: Bool
    private let companions: TokenizerCompanions
    private let file: [UInt8]
    private let model: SentencePieceModel
    private let table: PieceTable
    private let normalizer: SentencePieceNormalizer
    private let denormalizer: SentencePieceNormalizer?
    private let addedSentinelCount: Int
    private let segmenter: any PieceSegmenter

    /// Reads a model file.
    ///
    /// `sentinelCount` sentinels are added after its pieces, in descending order, if it has none of its own
    /// (`<extra_id_0>` and so on). Throws `TextError.invalidTokenizer` for a malformed file, with the byte offset,
    /// `TextError.invalidArgument`, and `StorageError`.
    public convenience init(path: String, sentinelCount: Int = 0) throws {
        try self.init(
            path: path, sentinelCount: sentinelCount, beginsTexts: true, companions: TokenizerCompanions())
    }

    convenience init(
        path: String, sentinelCount: Int, beginsTexts: Bool, companions: TokenizerCompanions
    ) throws {
        let file = try MappedFile(path: path)
        guard file.byteCount <= Self.maximumByteCount else {
            throw TextError.invalidTokenizer(
                path: path, reason: "it is larger than \(Self.maximumByteCount) bytes")
        }
        try self.init(
            bytes: file.withUnsafeBytes { Array($0) }, sentinelCount: sentinelCount, sourceName: path,
            beginsTexts: beginsTexts, companions: companions)
    }

    /// Reads the bytes of a model file; `sourceName` is its name in errors.
    public convenience init(
        bytes: [UInt8], sentinelCount: Int = 0, sourceName: String = "SentencePiece model"
    ) throws {
        try self.init(
            bytes: bytes, sentinelCount: sentinelCount, sourceName: sourceName, beginsTexts: true,
            companions: TokenizerCompanions())
    }

    private init(
        bytes: [UInt8], sentinelCount: Int, sourceName: String, beginsTexts: Bool,
        companions: TokenizerCompanions
    ) throws {
        self.beginsTexts = beginsTexts
        self.companions = companions
        guard (0...100_000).contains(sentinelCount) else {
            throw TextError.invalidArgument(
                name: "sentinel count", reason: "\(sentinelCount) is out of range; use 0 to 100,000")
        }
        file = bytes
        do {
            model = try SentencePieceModel(bytes)
            table = try PieceTable(model, bytes: bytes)
            normalizer = try SentencePieceNormalizer(
                model.normalization, bytes: bytes, putsSpacesLast: model.putsSpacesLast,
                symbols: table.symbols)
            denormalizer = try model.denormalization.flatMap {
                $0.characterMap.isEmpty ? nil : try SentencePieceNormalizer($0, bytes: bytes)
            }
        } catch let fault as WireReader.Fault {
            throw TextError.invalidTokenizer(
                path: sourceName,
                reason: "invalid SentencePiece model, \(fault.reason) (at byte \(fault.byteOffset))")
        }
        segmenter =
            switch model.algorithm {
            case .unigram: UnigramSegmenter(table)
            case .bytePairs: BytePairSegmenter(table: table)
            case .words: WordSegmenter(table: table)
            case .characters: CharacterSegmenter(table: table)
            }
        unknownToken = table.unknown < 0 ? nil : table.unknown
        beginToken = PieceTable.control(model.beginText, "<s>", model, bytes)
        endToken = PieceTable.control(model.endText, "</s>", model, bytes)
        paddingToken = PieceTable.control(model.paddingText, "<pad>", model, bytes)
        let own = PieceTable.sentinels(model, bytes)
        addedSentinelCount = own.isEmpty ? sentinelCount : 0
        vocabularySize = model.pieces.count + addedSentinelCount
        let size = Int32(vocabularySize)
        sentinels = own.isEmpty ? (0..<Int32(sentinelCount)).map { size - 1 - $0 } : own
        let checksum = bytes.withUnsafeBytes { Checksum.crc32($0) }
        identity =
            "sentencepiece-\(bytes.count)-\(Checksum.hexadecimal(checksum))"
            + (addedSentinelCount > 0 ? "+\(addedSentinelCount)" : "")
    }

    /// Creates the same tokenizer for a model whose texts begin with the begin token.
    private init(beginningTextsOf other: SentencePieceTokenizer) {
        (file, model, table, segmenter) = (other.file, other.model, other.table, other.segmenter)
        (normalizer, denormalizer) = (other.normalizer, other.denormalizer)
        (vocabularySize, identity) = (other.vocabularySize, other.identity)
        (beginToken, endToken) = (other.beginToken, other.endToken)
        (paddingToken, unknownToken) = (other.paddingToken, other.unknownToken)
        (sentinels, addedSentinelCount) = (other.sentinels, other.addedSentinelCount)
        beginsTexts = true
        var companions = other.companions
        companions.configurationIsTheirs = false
        self.companions = companions
    }

    /// The begin token, unless a model of another project does without it.
    public var textStart: [Int32] { beginsTexts ? beginToken.map { [$0] } ?? [] : [] }

    /// Returns the same tokenizer for a model whose texts begin with the begin token.
    public func beginningTexts() -> any Tokenizer {
        beginsTexts && !companions.configurationIsTheirs
            ? self : SentencePieceTokenizer(beginningTextsOf: self)
    }

    /// Returns the pieces of text after normalization; invalid bytes are encoded as U+FFFD.
    ///
    /// Text that looks like a control symbol or an added sentinel is encoded as any other text.
    public func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] {
        var place = TextPlace.beginning
        return encode(utf8: bytes, at: &place)
    }

    /// Returns the pieces of a part of a text; only at its beginning, a space is put in front.
    public func encode(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace) -> [Int32] {
        encodeCountingBytes(utf8: bytes, at: &place).tokens
    }

    /// Returns the pieces of a part of a text with the bytes of the text that each was normalized from.
    ///
    /// A joint unknown stands for all its characters and spelled bytes for parts of theirs. The space that encoding
    /// adds in front has no bytes; characters that normalization drops belong to the piece before them or to the first.
    public func encodeCountingBytes(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace)
        -> EncodedText
    {
        let (normalized, alignment) = bytes.withMemoryRebound(to: UInt8.self) {
            normalizer.normalize($0, at: &place)
        }
        guard !normalized.isEmpty else { return EncodedText() }
        var collector = PieceCollector(table, capacity: normalized.count / 3 + 1, alignment: alignment)
        normalized.withUnsafeBufferPointer { segmenter.segment($0, into: &collector) }
        return collector.finish()
    }

    /// Returns the bytes of a piece, with spaces as such; none for control symbols, sentinels and invalid tokens.
    public func bytes(of token: Int32) -> [UInt8] { Array(table.surface(token)) }
}

// MARK: Decoding

extension SentencePieceTokenizer {
    /// Returns the bytes that a piece adds to a text, without the space that encoding puts in front.
    ///
    /// After text that ends in a space for which there is no token, a space of the piece is that one.
    public func bytes(of token: Int32, at place: inout TextPlace) -> [UInt8] {
        let bytes = table.surface(token)
        // What stands for unknown text ends in a space that the text may not have.
        let next: TextPlace =
            token == unknownToken
            ? .inside : place.after(bytes, isEnd: token == beginToken || token == endToken)
        let isFirst = (place == .beginning || place == .leadingSpace) && dropsFirstSpace
        guard isFirst || place == .afterOmittedSpace, beginsWithSpace(token) else {
            place = next
            return Array(bytes)
        }
        if bytes.count > 1 || !isFirst {
            place = next
        } else {
            // With collapsed spaces, all spaces at the start are dropped.
            place = model.normalization.removesExtraSpaces ? .leadingSpace : .inside
        }
        return Array(bytes.dropFirst())
    }

    /// Returns the text of tokens, without the space that encoding adds in front.
    ///
    /// Control symbols, sentinels and tokens outside the vocabulary are left out. Each byte that is not valid UTF-8
    /// becomes U+FFFD.
    public func decode(_ tokens: [Int32]) -> String {
        var output: [UInt8] = []
        output.reserveCapacity(tokens.count * 4)
        var bytes: [UInt8] = []
        var isAtStart = true
        var droppedSpace = false
        for token in tokens {
            let isPiece = model.pieces.indices.contains(Int(token))
            if isPiece, model.pieces[Int(token)].kind == .byte {
                bytes.append(contentsOf: table.surface(token))
                continue
            }
            Self.appendValid(&bytes, to: &output)
            if droppedSpace || !output.isEmpty { isAtStart = false }
            var text = table.surface(token)
            droppedSpace = false
            if isAtStart, dropsFirstSpace, beginsWithSpace(token) {
                text = text.dropFirst()
                // With collapsed spaces, all spaces at the start are dropped.
                droppedSpace = !model.normalization.removesExtraSpaces
            }
            output.append(contentsOf: text)
        }
        Self.appendValid(&bytes, to: &output)
        if let denormalizer { output = output.withUnsafeBufferPointer { denormalizer.normalize($0) } }
        return String(decoding: output, as: UTF8.self)
    }

    private var dropsFirstSpace: Bool {
        model.normalization.addsDummyPrefix || model.normalization.removesExtraSpaces
    }

    private func beginsWithSpace(_ token: Int32) -> Bool {
        guard model.pieces.indices.contains(Int(token)) else { return false }
        let piece = model.pieces[Int(token)]
        switch piece.kind {
        case .normal, .userDefined, .unused:
            return file[piece.text].starts(with: SentencePieceNormalizer.visibleSpace)
        case .unknown, .control, .byte: return false
        }
    }

    /// Moves spelled bytes to the output, character by character.
    private static func appendValid(_ bytes: inout [UInt8], to output: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        bytes.withUnsafeBufferPointer { bytes in
            var index = 0
            while index < bytes.count {
                if let length = UTF8Character.length(bytes, at: index) {
                    output.append(contentsOf: bytes[index..<index + length])
                    index += length
                } else {
                    output.append(contentsOf: [0xEF, 0xBF, 0xBD])
                    index += 1
                }
            }
        }
        bytes.removeAll(keepingCapacity: true)
    }
}

// MARK: Files

extension SentencePieceTokenizer {
    /// The file name of a model with sentinels, as in T5's folders.
    static let sentinelFileName = "spiece.model"
    /// The file name of other models, as in most folders.
    static let plainFileName = "tokenizer.model"

    /// Writes the model file and `tokenizer_config.json` into a folder; throws `StorageError`.
    ///
    /// The file is `spiece.model` for a model with sentinels, as in T5's folders, otherwise `tokenizer.model`.
    public func save(to folder: String) throws {
        let hasSentinels = !sentinels.isEmpty
        let name = hasSentinels ? Self.sentinelFileName : Self.plainFileName
        try AtomicFile.write(Data(file), to: folder + "/" + name)
        func text(_ token: Int32?) -> String? { token.flatMap { self.text(of: $0) } }
        var configuration = TokenizerConfiguration(
            kind: Self.kind, identity: identity, vocabularySize: vocabularySize, beginTokenID: beginToken,
            endTokenID: endToken, paddingTokenID: paddingToken, beginToken: text(beginToken),
            endToken: text(endToken), paddingToken: text(paddingToken))
        configuration.unknownToken = text(unknownToken)
        configuration.sentinelCount = hasSentinels ? addedSentinelCount : nil
        // For an equal tokenizer in Hugging Face Transformers.
        configuration.className = hasSentinels ? "T5Tokenizer" : nil
        configuration.beginsTexts = beginToken == nil ? nil : beginsTexts
        try companions.save(configuration, to: folder)
    }

    // MARK: Facts

    /// Returns the text of a control symbol or of the unknown piece in the file.
    public func specialName(of token: Int32) -> String? {
        guard model.pieces.indices.contains(Int(token)),
            [.control, .unknown].contains(model.pieces[Int(token)].kind)
        else { return nil }
        return text(of: token)
    }

    /// The algorithm that cuts text into pieces.
    var algorithm: SentencePieceModel.Algorithm { model.algorithm }

    /// The control symbols and the unknown piece.
    var controlTokens: [Int32] {
        model.pieces.indices.filter { [.control, .unknown].contains(model.pieces[$0].kind) }.map { Int32($0) }
    }

    /// What the normalizer does, by the names of the file's settings.
    var normalizationParts: [String] {
        let settings = model.normalization
        return [
            (settings.characterMap.isEmpty ? nil : "precompiled_charsmap"),
            (settings.addsDummyPrefix ? "add_dummy_prefix" : nil),
            (settings.removesExtraSpaces ? "remove_extra_whitespaces" : nil),
            (settings.escapesSpaces ? "escape_whitespaces" : nil),
        ].compactMap { $0 }
    }

    /// Returns the text of a piece in the file; nil for added sentinels and numbers outside the vocabulary.
    func text(of token: Int32) -> String? {
        guard model.pieces.indices.contains(Int(token)) else { return nil }
        return String(decoding: file[model.pieces[Int(token)].text], as: UTF8.self)
    }

    /// Returns the path of the model file of a folder, if it has one.
    static func modelPath(in folder: String) -> String? {
        [sentinelFileName, plainFileName].map { folder + "/" + $0 }
            .first { FileManager.default.fileExists(atPath: $0) }
    }
}
