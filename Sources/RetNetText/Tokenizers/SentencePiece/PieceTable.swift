/// The vocabulary of a SentencePiece model, ready for encoding.
struct PieceTable: Sendable {
    /// The pieces that text is cut into: normal, user-defined and unused ones.
    let trie: PieceTrie
    /// User-defined pieces, which are always kept whole; nil if there are none.
    let symbols: PieceTrie?
    let scores: [Float]
    let kinds: [SentencePieceModel.Kind]
    let unknown: Int32
    /// The pieces of the 256 bytes, of models that spell unknown characters.
    let byteTokens: [Int32]?
    /// Whether any piece is unused.
    let hasUnused: Bool
    /// Whether text can be cut before every run of visible spaces, because no piece reaches over such a place.
    let splitsBeforeSpaces: Bool

    /// Builds the tables; throws `WireReader.Fault` for a vocabulary that contradicts itself.
    init(_ model: SentencePieceModel, bytes: [UInt8]) throws {
        var (trie, symbols, others) = (PieceTrie(), PieceTrie(), PieceTrie())
        var unknown: Int32?
        var byteTokens = [Int32](repeating: -1, count: 256)
        var splits = true
        for (index, piece) in model.pieces.enumerated() {
            let (text, id) = (bytes[piece.text], Int32(index))
            func fault(_ reason: String) -> WireReader.Fault {
                let name = String(decoding: text.prefix(40), as: UTF8.self)
                return WireReader.Fault(
                    byteOffset: piece.text.lowerBound, reason: "piece \(index), \"\(name)\", \(reason)")
            }
            var isNew: Bool
            switch piece.kind {
            case .normal, .userDefined, .unused:
                isNew = trie.insert(text, value: id)
                if piece.kind == .userDefined { isNew = symbols.insert(text, value: id) && isNew }
                if splits, Self.hasSpaceInside(text) { splits = false }
            case .unknown, .control, .byte: isNew = others.insert(text, value: id)
            }
            guard isNew else { throw fault("is there twice") }
            if piece.kind == .unknown {
                guard unknown == nil else { throw fault("is a second unknown piece") }
                unknown = id
            }
            if piece.kind == .byte {
                guard model.fallsBackToBytes, let byte = Self.byte(of: text) else {
                    throw fault("stands for no byte that the model could use")
                }
                byteTokens[Int(byte)] = id
            }
        }
        guard let unknown else {
            throw WireReader.Fault(byteOffset: 0, reason: "it has no piece for what is unknown")
        }
        if model.fallsBackToBytes, let missing = byteTokens.firstIndex(of: -1) {
            throw WireReader.Fault(byteOffset: 0, reason: "it has no piece for the byte \(missing)")
        }
        self.trie = trie
        self.symbols = symbols.isEmpty ? nil : symbols
        self.unknown = unknown
        self.byteTokens = model.fallsBackToBytes ? byteTokens : nil
        scores = model.pieces.map(\.score)
        kinds = model.pieces.map(\.kind)
        hasUnused = kinds.contains(.unused)
        splitsBeforeSpaces = splits
    }

    /// The byte that a piece such as `<0x0A>` stands for.
    static func byte(of text: ArraySlice<UInt8>) -> UInt8? {
        let name = String(decoding: text, as: UTF8.self)
        guard name.utf8.count == 6, name.hasPrefix("<0x"), name.hasSuffix(">") else { return nil }
        let digits = name.dropFirst(3).dropLast()
        guard let byte = UInt8(digits, radix: 16), digits == digits.uppercased() else { return nil }
        return byte
    }

    /// Whether a visible space follows something else than such a space.
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
}
