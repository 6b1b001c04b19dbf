/// The vocabulary of a SentencePiece model in the form that encoding and decoding need.
struct PieceTable: Sendable {
    /// The pieces of text: normal, user-defined and unused ones.
    let trie: PieceTrie
    /// User-defined pieces, which are never cut; `nil` without any.
    let symbols: PieceTrie?
    let scores: [Float]
    let kinds: [SentencePieceModel.Kind]
    /// The piece of text that the vocabulary cannot express; -1 in models that spell it in bytes and have none.
    let unknown: Int32
    /// The pieces of the 256 bytes, in models that spell unknown characters in bytes.
    let byteTokens: [Int32]?
    /// True if any piece is unused.
    let hasUnused: Bool
    /// True if text can be cut before every run of visible spaces, because no piece contains such a boundary.
    let splitsBeforeSpaces: Bool
    /// The bytes of the longest piece of text.
    let longestPieceByteCount: Int
    /// The texts of all tokens one after the other, and the start of each.
    private let surfaces: [UInt8]
    private let surfaceStarts: [Int]

    /// Builds the tables; throws `WireReader.Fault` for an inconsistent vocabulary.
    init(_ model: SentencePieceModel, bytes: [UInt8]) throws {
        var (trie, symbols, others) = (PieceTrie(), PieceTrie(), PieceTrie())
        var unknown: Int32?
        var byteTokens = [Int32](repeating: -1, count: 256)
        var splits = true
        var longest = 0
        for (index, piece) in model.pieces.enumerated() {
            let (text, id) = (bytes[piece.text], Int32(index))
            func fault(_ reason: String) -> WireReader.Fault {
                let name = String(decoding: text.prefix(40), as: UTF8.self)
                return WireReader.Fault(
                    byteOffset: piece.text.lowerBound, reason: "piece \(index) ('\(name)') \(reason)")
            }
            var isNew: Bool
            switch piece.kind {
            case .normal, .userDefined, .unused:
                isNew = trie.insert(text, value: id)
                longest = max(longest, text.count)
                if piece.kind == .userDefined { isNew = symbols.insert(text, value: id) && isNew }
                if splits, Self.hasSpaceInside(text) { splits = false }
            case .unknown, .control, .byte: isNew = others.insert(text, value: id)
            }
            guard isNew else { throw fault("occurs twice") }
            if piece.kind == .unknown {
                guard unknown == nil else { throw fault("is a second unknown piece") }
                unknown = id
            }
            if piece.kind == .byte {
                guard model.fallsBackToBytes, let byte = Self.byte(of: text) else {
                    throw fault("is not one of the byte pieces of the model")
                }
                byteTokens[Int(byte)] = id
            }
        }
        guard unknown != nil || model.fallsBackToBytes else {
            throw WireReader.Fault(byteOffset: 0, reason: "it has no unknown piece")
        }
        if model.fallsBackToBytes, let missing = byteTokens.firstIndex(of: -1) {
            throw WireReader.Fault(byteOffset: 0, reason: "it has no piece for the byte \(missing)")
        }
        self.trie = trie
        self.symbols = symbols.isEmpty ? nil : symbols
        self.unknown = unknown ?? -1
        self.byteTokens = model.fallsBackToBytes ? byteTokens : nil
        scores = model.pieces.map(\.score)
        kinds = model.pieces.map(\.kind)
        hasUnused = kinds.contains(.unused)
        splitsBeforeSpaces = splits
        longestPieceByteCount = longest
        (surfaces, surfaceStarts) = Self.surfaces(model, bytes)
    }

    /// Returns the byte of a piece such as `<0x0A>`.
    static func byte(of text: ArraySlice<UInt8>) -> UInt8? {
        let name = String(decoding: text, as: UTF8.self)
        guard name.utf8.count == 6, name.hasPrefix("<0x"), name.hasSuffix(">") else { return nil }
        let digits = name.dropFirst(3).dropLast()
        guard let byte = UInt8(digits, radix: 16), digits == digits.uppercased() else { return nil }
        return byte
    }

    /// Returns true if a visible space follows anything but a visible space.
    private static func hasSpaceInside(_ text: ArraySlice<UInt8>) -> Bool {
        let space = SentencePieceNormalizer.visibleSpace
        var index = text.startIndex
        var allSpaces = true
        while index < text.endIndex {
            if text[index...].starts(with: space) {
                guard allSpaces else { return true }
                index += space.count
            } else {
                allSpaces = false
                index += 1
            }
        }
        return false
    }

    /// Returns the piece of a whole string; the unknown one where there is none or it is unused.
    func piece(of text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ trie: PieceTrie.Walker) -> Int32 {
        let piece = trie.value(of: text, range)
        return piece < 0 || kinds[Int(piece)] == .unused ? unknown : piece
    }

    // MARK: Texts

    /// Returns the text of a token in bytes, with spaces as such; empty for control symbols and unknown numbers.
    func surface(_ token: Int32) -> ArraySlice<UInt8> {
        guard token >= 0, Int(token) < kinds.count else { return [] }
        return surfaces[surfaceStarts[Int(token)]..<surfaceStarts[Int(token) + 1]]
    }

    /// Returns the control symbol of a name in the training settings, or of the default name.
    static func control(
        _ text: Range<Int>?, _ usual: String, _ model: SentencePieceModel, _ bytes: [UInt8]
    ) -> Int32? {
        let name = text.map { bytes[$0] } ?? ArraySlice(usual.utf8)
        return model.pieces.firstIndex { $0.kind == .control && bytes[$0.text] == name }.map(Int32.init)
    }

    /// Returns the texts of all tokens one after the other, and the start of each.
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
            case .byte: surfaces += byte(of: bytes[piece.text]).map { [$0] } ?? []
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

    /// Returns the sentinels among the pieces: `<extra_id_0>` and so on, with or without a visible space.
    static func sentinels(_ model: SentencePieceModel, _ bytes: [UInt8]) -> [Int32] {
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
