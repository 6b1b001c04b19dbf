import Foundation
import RetNetStorage

/// The tokenizer of a SentencePiece model file, such as T5's `spiece.model` or Llama's `tokenizer.model`.
///
/// Encodes and decodes like the reference library: unigram, byte-pair, word and character models, with their
/// normalizer, user-defined symbols and byte fallback. Most models normalize, so decoding gives the normalized text.
/// As with the reference, begin and end tokens are not added.
public final class SentencePieceTokenizer: SentinelTokenizer {
    /// The value of `kind` in a folder's `tokenizer_config.json`.
    public static let kind = "sentencepiece"
    /// The number of sentinels that T5 adds to its model.
    public static let usualSentinelCount = 100
    // The largest in use have 5 MB; tables take up to sixteen times the size.
    static let maximumByteCount = 1 << 25

    /// The number of tokens: the pieces of the file and the sentinels added to them.
    public let vocabularySize: Int
    /// The token before each document, if the model has one.
    public let beginToken: Int32?
    /// The token that ends a text, if the model has one.
    public let endToken: Int32?
    /// The token that fills unused places, if the model has one.
    public let paddingToken: Int32?
    /// The token of what the vocabulary cannot express.
    public let unknownToken: Int32
    /// The sentinels in the order of their use: those of the file, or those added above it; often none.
    public let sentinels: [Int32]
    /// The name of this tokenizer in files; it changes with every byte of the model file.
    public let identity: String

    let file: [UInt8]
    let model: SentencePieceModel
    let table: PieceTable
    let denormalizer: SentencePieceNormalizer?
    let addedSentinelCount: Int
    private let normalizer: SentencePieceNormalizer
    private let segmenter: any PieceSegmenter
    /// The bytes of all tokens one after the other, and where each begins.
    private let surfaces: [UInt8]
    private let surfaceStarts: [Int]

    /// Reads a model file.
    ///
    /// `sentinelCount` sentinels are added above its pieces, the first of them last, unless it has some of its own
    /// (`<extra_id_0>` and so on). Throws `TextError.invalidTokenizer` that says what is wrong with the file and at
    /// which byte, `TextError.invalidArgument`, and `StorageError`.
    public convenience init(path: String, sentinelCount: Int = 0) throws {
        let file = try MappedFile(path: path)
        guard file.byteCount <= Self.maximumByteCount else {
            throw TextError.invalidTokenizer(
                path: path, reason: "it is larger than \(Self.maximumByteCount) bytes")
        }
        try self.init(
            bytes: file.withUnsafeBytes { Array($0) }, sentinelCount: sentinelCount, sourceName: path)
    }

    /// Reads the bytes of a model file; `sourceName` is what errors call it.
    public init(bytes: [UInt8], sentinelCount: Int = 0, sourceName: String = "The SentencePiece model") throws
    {
        guard (0...100_000).contains(sentinelCount) else {
            throw TextError.invalidArgument(
                name: "sentinel count", reason: "\(sentinelCount) is not from 0 to 100,000")
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
                reason: "as a SentencePiece model, \(fault.reason) (at byte \(fault.byteOffset))")
        }
        segmenter =
            switch model.algorithm {
            case .unigram: UnigramSegmenter(table)
            case .bytePairs: BytePairSegmenter(table: table)
            case .words: WordSegmenter(table: table)
            case .characters: CharacterSegmenter(table: table)
            }
        unknownToken = table.unknown
        beginToken = Self.control(model.beginText, "<s>", model, bytes)
        endToken = Self.control(model.endText, "</s>", model, bytes)
        paddingToken = Self.control(model.paddingText, "<pad>", model, bytes)
        (surfaces, surfaceStarts) = Self.surfaces(model, bytes)
        let own = Self.ownSentinels(model, bytes)
        addedSentinelCount = own.isEmpty ? sentinelCount : 0
        vocabularySize = model.pieces.count + addedSentinelCount
        let size = Int32(vocabularySize)
        sentinels = own.isEmpty ? (0..<Int32(sentinelCount)).map { size - 1 - $0 } : own
        let checksum = bytes.withUnsafeBytes { Checksum.crc32($0) }
        identity =
            "sentencepiece-\(bytes.count)-\(Checksum.hexadecimal(checksum))"
            + (addedSentinelCount > 0 ? "+\(addedSentinelCount)" : "")
    }

    /// The pieces of text after normalization; invalid bytes are encoded as U+FFFD.
    ///
    /// Text in the form of a control symbol or an added sentinel is text like other.
    public func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] {
        let normalized = bytes.withMemoryRebound(to: UInt8.self) { normalizer.normalize($0) }
        guard !normalized.isEmpty else { return [] }
        var collector = PieceCollector(table, capacity: normalized.count / 3 + 1)
        normalized.withUnsafeBufferPointer { segmenter.segment($0, into: &collector) }
        return collector.tokens
    }

    /// The bytes of a piece, with spaces as such; none for control symbols, sentinels and unknown numbers.
    public func bytes(of token: Int32) -> [UInt8] { Array(surface(token)) }

    func surface(_ token: Int32) -> ArraySlice<UInt8> {
        guard token >= 0, Int(token) < model.pieces.count else { return [] }
        return surfaces[surfaceStarts[Int(token)]..<surfaceStarts[Int(token) + 1]]
    }

    // MARK: Reading the vocabulary

    /// The control symbol of a name that the training settings give, or of the usual one.
    private static func control(
        _ text: Range<Int>?, _ usual: String, _ model: SentencePieceModel, _ bytes: [UInt8]
    ) -> Int32? {
        let name = text.map { bytes[$0] } ?? ArraySlice(usual.utf8)
        return model.pieces.firstIndex { $0.kind == .control && bytes[$0.text] == name }.map(Int32.init)
    }

    /// The text of every token in a row.
    private static func surfaces(_ model: SentencePieceModel, _ bytes: [UInt8]) -> ([UInt8], [Int]) {
        var surfaces: [UInt8] = []
        var starts = [0]
        starts.reserveCapacity(model.pieces.count + 1)
        for piece in model.pieces {
            switch piece.kind {
            case .normal, .userDefined, .unused: appendText(bytes[piece.text], to: &surfaces)
            case .unknown:
                // U+2047 between spaces, as in the reference.
                surfaces += model.unknownSurface.map { bytes[$0] } ?? [0x20, 0xE2, 0x81, 0x87, 0x20]
            case .byte: surfaces += PieceTable.byte(of: bytes[piece.text]).map { [$0] } ?? []
            case .control: break
            }
            starts.append(surfaces.count)
        }
        return (surfaces, starts)
    }

    private static func appendText(_ text: ArraySlice<UInt8>, to output: inout [UInt8]) {
        let space = SentencePieceNormalizer.visibleSpace
        var index = text.startIndex
        while index < text.endIndex {
            if text[index] == space[0], text[index...].starts(with: space) {
                output.append(0x20)
                index += space.count
            } else {
                output.append(text[index])
                index += 1
            }
        }
    }

    /// The sentinels among the pieces: `<extra_id_0>` and those that follow, with or without a visible space.
    private static func ownSentinels(_ model: SentencePieceModel, _ bytes: [UInt8]) -> [Int32] {
        var found: [Int: Int32] = [:]
        for (index, piece) in model.pieces.enumerated() where piece.text.count >= 12 {
            var text = bytes[piece.text]
            if text.starts(with: SentencePieceNormalizer.visibleSpace) { text = text.dropFirst(3) }
            guard text.starts(with: "<extra_id_".utf8), text.last == 0x3E else { continue }
            let digits = String(decoding: text.dropFirst(10).dropLast(), as: UTF8.self)
            guard let number = Int(digits), String(number) == digits else { continue }
            found[number] = Int32(index)
        }
        return Array((0..<found.count).lazy.map { found[$0] }.prefix { $0 != nil }.compactMap { $0 })
    }
}
