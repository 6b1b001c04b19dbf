import Foundation

/// Writes SentencePiece model files for tests, field by field.
struct SentencePieceWriter {
    enum Kind: Int {
        case normal = 1
        case unknown = 2
        case control = 3
        case userDefined = 4
        case unused = 5
        case byte = 6
    }

    var pieces: [(text: String, score: Float, kind: Kind)] = []
    var type = 1
    var addsDummyPrefix = true
    var removesExtraSpaces = true
    var putsSpacesLast = false
    var fallsBackToBytes = false
    var unknownSurface: String?
    var padding: String?
    var characterMap: [(String, String)] = []

    /// `<unk>`, `<s>` and `</s>`, then the given pieces.
    static func pieces(_ pieces: [(String, Float)]) -> SentencePieceWriter {
        var writer = SentencePieceWriter()
        writer.pieces = [("<unk>", 0, .unknown), ("<s>", 0, .control), ("</s>", 0, .control)]
        writer.pieces += pieces.map { ($0.0, $0.1, .normal) }
        return writer
    }

    /// Adds the pieces of all bytes.
    mutating func addBytes() {
        fallsBackToBytes = true
        for byte in 0..<256 {
            let digits = String(byte, radix: 16, uppercase: true)
            pieces.append(("<0x\(byte < 16 ? "0" : "")\(digits)>", 0, .byte))
        }
    }

    var bytes: [UInt8] {
        var result: [UInt8] = []
        for piece in pieces {
            var message = Self.bytes(1, Array(piece.text.utf8))
            message += Self.tag(2, 5)
            message += (0..<4).map { UInt8(truncatingIfNeeded: piece.score.bitPattern >> (8 * UInt32($0))) }
            if piece.kind != .normal { message += Self.number(3, piece.kind.rawValue) }
            result += Self.bytes(1, message)
        }
        var training = Self.number(3, type) + Self.number(24, putsSpacesLast ? 1 : 0)
        training += Self.number(35, fallsBackToBytes ? 1 : 0)
        if let unknownSurface { training += Self.bytes(44, Array(unknownSurface.utf8)) }
        if let padding { training += Self.bytes(48, Array(padding.utf8)) }
        result += Self.bytes(2, training)
        var normalizer = Self.number(3, addsDummyPrefix ? 1 : 0) + Self.number(4, removesExtraSpaces ? 1 : 0)
        normalizer += Self.number(5, 1)
        if !characterMap.isEmpty { normalizer += Self.bytes(2, Self.map(characterMap)) }
        return result + Self.bytes(3, normalizer)
    }

    // MARK: Wire format

    static func varint(_ value: UInt64) -> [UInt8] {
        var (value, result) = (value, [UInt8]())
        while value >= 0x80 {
            result.append(UInt8(value & 0x7F) | 0x80)
            value >>= 7
        }
        return result + [UInt8(value)]
    }

    static func tag(_ field: Int, _ type: Int) -> [UInt8] { varint(UInt64(field << 3 | type)) }
    static func number(_ field: Int, _ value: Int) -> [UInt8] { tag(field, 0) + varint(UInt64(value)) }
    static func bytes(_ field: Int, _ bytes: [UInt8]) -> [UInt8] {
        tag(field, 2) + varint(UInt64(bytes.count)) + bytes
    }

    /// A character map: every node of the trie has 256 units of its own, which wastes space and is simple.
    static func map(_ rules: [(String, String)]) -> [UInt8] {
        var texts: [UInt8] = []
        var children: [[UInt8: Int]] = [[:]]
        var values: [Int?] = [nil]
        for (key, text) in rules {
            var node = 0
            for byte in key.utf8 {
                if let child = children[node][byte] {
                    node = child
                } else {
                    children[node][byte] = children.count
                    node = children.count
                    children.append([:])
                    values.append(nil)
                }
            }
            values[node] = texts.count
            texts += Array(text.utf8) + [0]
        }
        // The block of node n begins at 256 * (n + 1); the root itself is unit 0.
        var units = [UInt32](repeating: 0x8000_0000, count: 256 * (children.count + 1))
        func unit(_ node: Int, at place: Int, label: UInt8) -> UInt32 {
            UInt32((256 * (node + 1)) ^ place) << 10 | (values[node] == nil ? 0 : 1 << 8) | UInt32(label)
        }
        units[0] = unit(0, at: 0, label: 0)
        for node in children.indices {
            if let value = values[node] { units[256 * (node + 1)] = 0x8000_0000 | UInt32(value) }
            for (byte, child) in children[node] {
                let place = 256 * (node + 1) ^ Int(byte)
                units[place] = unit(child, at: place, label: byte)
            }
        }
        let size = UInt32(units.count * 4)
        return ([size] + units).flatMap { unit in
            (0..<4).map { UInt8(truncatingIfNeeded: unit >> (8 * UInt32($0))) }
        } + texts
    }
}

/// The folder `shared/data` beside the package, which not every checkout has.
enum SharedData {
    /// Its path, or nil.
    static let folder: String? = {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let folder = package.deletingLastPathComponent().path + "/shared/data"
        return FileManager.default.fileExists(atPath: folder) ? folder : nil
    }()
}
