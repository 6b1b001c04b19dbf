/// The contents of a SentencePiece model file that encoding and decoding need.
///
/// The field numbers are those of `sentencepiece_model.proto`; fields for training only are skipped.
struct SentencePieceModel {
    /// The algorithm that cuts text into pieces.
    enum Algorithm: UInt64 {
        case unigram = 1
        case bytePairs = 2
        case words = 3
        case characters = 4
    }

    /// The purpose of a piece.
    enum Kind: UInt64 {
        case normal = 1
        case unknown = 2
        case control = 3
        case userDefined = 4
        case unused = 5
        case byte = 6
    }

    /// One entry of the vocabulary; its text is a range of the file.
    struct Piece {
        var text = 0..<0
        var score: Float = 0
        var kind = Kind.normal
    }

    /// The preparation of text (`NormalizerSpec`).
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

    /// Reads the bytes of a file; throws `WireReader.Fault`.
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
                        byteOffset: range.lowerBound, reason: "a piece has the unknown kind \(number)")
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
                        byteOffset: range.lowerBound, reason: "the model has the unknown type \(number)")
                }
                algorithm = known
            case (24, .varint(let flag)): putsSpacesLast = flag != 0
            case (35, .varint(let flag)): fallsBackToBytes = flag != 0
            case (44, .bytes(let text)): unknownSurface = text
            // An empty name means the default.
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
            byteOffset: reader.offset, reason: "field \(field) of \(place) has the wrong wire type")
    }
}

/// A strict reader of the fields of one message in protobuf's wire format.
///
/// Truncated or overlong values and obsolete types are faults with their offsets. Nothing is copied, and each length
/// is checked against the bytes left.
struct WireReader {
    /// The value of a field, by its wire type.
    enum Value: Equatable {
        case varint(UInt64)
        case fixed64(UInt64)
        /// The byte range of a text, a message or packed numbers.
        case bytes(Range<Int>)
        case fixed32(UInt32)
    }

    /// A malformed part of a file.
    struct Fault: Error {
        let byteOffset: Int
        let reason: String
    }

    private let bytes: [UInt8]
    private(set) var offset: Int
    private let end: Int

    /// Creates a reader of a whole message, or of one inside another.
    init(_ bytes: [UInt8], in range: Range<Int>? = nil) {
        self.bytes = bytes
        offset = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
    }

    /// Returns the next field, or `nil` after the last.
    mutating func next() throws -> (field: Int, value: Value)? {
        guard offset < end else { return nil }
        let start = offset
        let tag = try varint()
        guard tag >> 3 > 0, tag >> 3 <= 0x1FFF_FFFF else {
            throw Fault(byteOffset: start, reason: "a field has the number \(tag >> 3)")
        }
        let field = Int(tag >> 3)
        switch tag & 7 {
        case 0: return (field, .varint(try varint()))
        case 1: return (field, .fixed64(try fixed(8)))
        case 2:
            let count = try varint()
            guard count <= UInt64(end - offset) else {
                throw Fault(
                    byteOffset: start,
                    reason: "field \(field) is \(count) bytes long, but \(end - offset) are left")
            }
            let range = offset..<offset + Int(count)
            offset = range.upperBound
            return (field, .bytes(range))
        case 5: return (field, .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        default:
            throw Fault(byteOffset: start, reason: "field \(field) has the unknown wire type \(tag & 7)")
        }
    }

    private mutating func varint() throws -> UInt64 {
        let start = offset
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            guard offset < end else { throw Fault(byteOffset: start, reason: "a number is truncated") }
            let byte = bytes[offset]
            offset += 1
            // The tenth byte has room for one bit.
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw Fault(byteOffset: start, reason: "a number is longer than 64 bits")
    }

    private mutating func fixed(_ count: Int) throws -> UInt64 {
        guard count <= end - offset else {
            throw Fault(byteOffset: offset, reason: "a number is truncated")
        }
        defer { offset += count }
        return (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
    }
}
