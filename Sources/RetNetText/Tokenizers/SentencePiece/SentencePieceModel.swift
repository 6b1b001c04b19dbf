/// What a SentencePiece model file says, as far as encoding and decoding need it.
///
/// The field numbers are those of `sentencepiece_model.proto`; fields that only training uses are skipped.
struct SentencePieceModel {
    /// How text is cut into pieces.
    enum Algorithm: UInt64 {
        case unigram = 1
        case bytePairs = 2
        case words = 3
        case characters = 4
    }

    /// What a piece is there for.
    enum Kind: UInt64 {
        case normal = 1
        case unknown = 2
        case control = 3
        case userDefined = 4
        case unused = 5
        case byte = 6
    }

    /// One entry of the vocabulary; its text lies in the file.
    struct Piece {
        var text = 0..<0
        var score: Float = 0
        var kind = Kind.normal
    }

    /// How text is prepared (`NormalizerSpec`).
    struct Normalization {
        var characterMap = 0..<0
        var addsDummyPrefix = true
        var removesExtraSpaces = true
        var escapesSpaces = true
    }

    private(set) var pieces: [Piece] = []
    private(set) var algorithm = Algorithm.unigram
    private(set) var fallsBackToBytes = false
    private(set) var putsSpacesLast = false
    private(set) var unknownSurface: Range<Int>?
    private(set) var beginText: Range<Int>?
    private(set) var endText: Range<Int>?
    private(set) var paddingText: Range<Int>?
    private(set) var normalization = Normalization()
    private(set) var denormalization: Normalization?

    /// Reads a file; throws `WireReader.Fault`.
    init(_ bytes: [UInt8]) throws {
        var reader = WireReader(bytes)
        while let (field, value) = try reader.next() {
            switch field {
            case 1: pieces.append(try Self.piece(bytes, Self.message(value, field, reader)))
            case 2: try readTraining(bytes, Self.message(value, field, reader))
            case 3: normalization = try Self.normalization(bytes, Self.message(value, field, reader))
            case 5: denormalization = try Self.normalization(bytes, Self.message(value, field, reader))
            default: break
            }
        }
        guard !pieces.isEmpty else { throw WireReader.Fault(byteOffset: 0, reason: "it has no pieces") }
    }

    // MARK: Messages

    private static func piece(_ bytes: [UInt8], _ range: Range<Int>) throws -> Piece {
        var piece = Piece()
        var reader = WireReader(bytes, in: range)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let text)): piece.text = text
            case (2, .fixed32(let bits)): piece.score = Float(bitPattern: bits)
            case (3, .varint(let number)):
                guard let kind = Kind(rawValue: number) else {
                    throw WireReader.Fault(
                        byteOffset: range.lowerBound, reason: "a piece is of the unknown kind \(number)")
                }
                piece.kind = kind
            case (1...3, _): throw mistyped(field, "a piece", reader)
            default: break
            }
        }
        guard !piece.text.isEmpty else {
            throw WireReader.Fault(byteOffset: range.lowerBound, reason: "a piece is empty")
        }
        guard piece.score.isFinite else {
            throw WireReader.Fault(
                byteOffset: range.lowerBound, reason: "a piece has the score \(piece.score)")
        }
        return piece
    }

    private mutating func readTraining(_ bytes: [UInt8], _ range: Range<Int>) throws {
        var reader = WireReader(bytes, in: range)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (3, .varint(let number)):
                guard let known = Algorithm(rawValue: number) else {
                    throw WireReader.Fault(
                        byteOffset: range.lowerBound, reason: "the model is of the unknown type \(number)")
                }
                algorithm = known
            case (24, .varint(let flag)): putsSpacesLast = flag != 0
            case (35, .varint(let flag)): fallsBackToBytes = flag != 0
            case (44, .bytes(let text)): unknownSurface = text
            // An empty name means the usual one.
            case (46, .bytes(let text)): beginText = text.isEmpty ? nil : text
            case (47, .bytes(let text)): endText = text.isEmpty ? nil : text
            case (48, .bytes(let text)): paddingText = text.isEmpty ? nil : text
            case (3, _), (24, _), (35, _), (44, _), (46...48, _):
                throw Self.mistyped(field, "the training settings", reader)
            default: break
            }
        }
    }

    private static func normalization(_ bytes: [UInt8], _ range: Range<Int>) throws -> Normalization {
        var result = Normalization()
        var reader = WireReader(bytes, in: range)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (2, .bytes(let map)): result.characterMap = map
            case (3, .varint(let flag)): result.addsDummyPrefix = flag != 0
            case (4, .varint(let flag)): result.removesExtraSpaces = flag != 0
            case (5, .varint(let flag)): result.escapesSpaces = flag != 0
            case (2...5, _): throw mistyped(field, "a normalizer", reader)
            default: break
            }
        }
        return result
    }

    private static func message(
        _ value: WireReader.Value, _ field: Int, _ reader: WireReader
    ) throws -> Range<Int> {
        guard case .bytes(let range) = value else { throw mistyped(field, "the model", reader) }
        return range
    }

    private static func mistyped(_ field: Int, _ place: String, _ reader: WireReader) -> WireReader.Fault {
        WireReader.Fault(
            byteOffset: reader.offset, reason: "field \(field) of \(place) is of the wrong wire type")
    }
}
