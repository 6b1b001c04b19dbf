/// Prepares text as SentencePiece does: characters mapped, spaces collapsed and made visible, a dummy space in front.
struct SentencePieceNormalizer: Sendable {
    /// U+2581, which stands for a space.
    static let visibleSpace: [UInt8] = [0xE2, 0x96, 0x81]
    private static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]
    private static let space: UInt8 = 0x20

    private let addsDummyPrefix: Bool
    private let removesExtraSpaces: Bool
    private let putsSpacesLast: Bool
    private let space: [UInt8]
    private let map: CharacterMap?
    private let symbols: PieceTrie?
    /// ASCII characters other than the space that stay as they are when another of ASCII follows.
    private let isPlain: [Bool]

    /// A normalizer that leaves texts of `symbols` as they are; throws `WireReader.Fault`.
    init(
        _ specification: SentencePieceModel.Normalization, bytes: [UInt8], putsSpacesLast: Bool = false,
        symbols: PieceTrie? = nil
    ) throws {
        addsDummyPrefix = specification.addsDummyPrefix
        removesExtraSpaces = specification.removesExtraSpaces
        self.putsSpacesLast = putsSpacesLast
        space = specification.escapesSpaces ? Self.visibleSpace : [Self.space]
        let map =
            try specification.characterMap.isEmpty
            ? nil : CharacterMap(bytes, in: specification.characterMap)
        self.map = map
        self.symbols = symbols
        isPlain = (0..<256).map { byte in
            guard byte < 0x80, byte != Int(Self.space) else { return false }
            if let symbols, symbols.withWalker({ $0.child(of: 0, UInt8(byte)) != 0 }) { return false }
            return map?.keepsASCII(UInt8(byte)) ?? true
        }
    }

    /// What a prefix of the input becomes.
    private enum Prefix {
        case same(Range<Int>)
        case mapped(Range<Int>)
        case replaced
    }

    /// The text as pieces are looked for in it.
    func normalize(_ input: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        guard let symbols else { return normalize(input, nil) }
        return symbols.withWalker { normalize(input, $0) }
    }

    private func normalize(_ input: UnsafeBufferPointer<UInt8>, _ symbols: PieceTrie.Walker?) -> [UInt8] {
        var index = 0
        if removesExtraSpaces {
            while index < input.count {
                let (prefix, byteCount) = self.prefix(input, at: index, symbols)
                guard isSpace(prefix, in: input) else { break }
                index += byteCount
            }
        }
        guard index < input.count else { return [] }
        var output: [UInt8] = []
        output.reserveCapacity((input.count - index) + (input.count - index) / 2 + 8)
        if addsDummyPrefix, !putsSpacesLast { output.append(contentsOf: space) }
        var followsSpace = removesExtraSpaces
        while index < input.count {
            var end = index
            while end + 1 < input.count, isPlain[Int(input[end])], input[end + 1] < 0x80 { end += 1 }
            if end > index {
                output.append(contentsOf: UnsafeBufferPointer(rebasing: input[index..<end]))
                followsSpace = false
                index = end
            }
            let (prefix, byteCount) = self.prefix(input, at: index, symbols)
            index += byteCount
            switch prefix {
            case .same(let range):
                append(UnsafeBufferPointer(rebasing: input[range]), to: &output, &followsSpace)
            case .mapped(let range): append(map?.text(range) ?? [], to: &output, &followsSpace)
            case .replaced: append(Self.replacement, to: &output, &followsSpace)
            }
        }
        if removesExtraSpaces {
            while output.count >= space.count, output.suffix(space.count).elementsEqual(space) {
                output.removeLast(space.count)
            }
        }
        if addsDummyPrefix, putsSpacesLast { output.append(contentsOf: space) }
        return output
    }

    private func append(
        _ text: some RandomAccessCollection<UInt8>, to output: inout [UInt8], _ followsSpace: inout Bool
    ) {
        var text = text[...]
        if followsSpace { text = text.drop { $0 == Self.space } }
        guard let last = text.last else {
            if !removesExtraSpaces { followsSpace = false }
            return
        }
        for byte in text {
            if byte == Self.space { output.append(contentsOf: space) } else { output.append(byte) }
        }
        followsSpace = removesExtraSpaces && last == Self.space
    }

    private func isSpace(_ prefix: Prefix, in input: UnsafeBufferPointer<UInt8>) -> Bool {
        switch prefix {
        case .same(let range): range.count == 1 && input[range.lowerBound] == Self.space
        case .mapped(let range): map?.text(range).elementsEqual([Self.space]) ?? false
        case .replaced: false
        }
    }

    /// What the input at an index begins with, and how many bytes of it that takes.
    private func prefix(
        _ input: UnsafeBufferPointer<UInt8>, at index: Int, _ symbols: PieceTrie.Walker?
    ) -> (Prefix, byteCount: Int) {
        if let length = symbols?.longestMatch(input, at: index), length > 0 {
            return (.same(index..<index + length), length)
        }
        if let match = map?.longestMatch(input, at: index) { return (.mapped(match.text), match.byteCount) }
        guard let length = UTF8Character.length(input, at: index) else { return (.replaced, 1) }
        return (.same(index..<index + length), length)
    }
}
