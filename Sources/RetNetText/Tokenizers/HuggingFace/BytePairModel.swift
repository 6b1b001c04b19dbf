/// A byte-pair model: symbols of a word are merged pair by pair, lowest rank first, leftmost first among equal ranks.
///
/// Source: Hugging Face tokenizers 0.23, `models/bpe`.
struct BytePairModel: Sendable {
    /// The options of a model.
    struct Options: Sendable {
        var unknown: Int32 = -1
        /// True if unknown characters side by side become one unknown token.
        var fusesUnknown = false
        /// True if unknown characters are spelled in tokens `<0x00>` to `<0xFF>`.
        var spellsBytes = false
        /// True if a word that is a token is that token, whatever the merges make of it.
        var ignoresMerges = false
        /// The text before symbols that do not begin a word, such as `##`.
        var prefix: [UInt8] = []
        /// The text behind the last symbol of a word, such as `</w>`.
        var suffix: [UInt8] = []
    }

    let options: Options
    private let merges: MergeTable
    /// The token of each byte in the byte-level alphabet, and that of each spelled byte; -1 without one.
    private let byteTokens: [Int32]
    private let spelledBytes: [Int32]

    init(_ vocabulary: TokenVocabulary, merges: MergeTable, options: Options) {
        self.options = options
        self.merges = merges
        byteTokens = (0...255).map { byte in
            var text: [UInt8] = []
            ByteAlphabet.append(UInt8(byte), to: &text)
            return text.withUnsafeBufferPointer { vocabulary.number($0) }
        }
        spelledBytes = (0...255).map { vocabulary.number(SpelledByte.name(UInt8($0))) ?? -1 }
    }

    /// True if words of bytes can be merged without spelling them in the alphabet first.
    var takesBytes: Bool { options.prefix.isEmpty && options.suffix.isEmpty && !options.ignoresMerges }

    /// A symbol of a word, with its end in the word.
    struct Symbol {
        var token: Int32
        var end: Int32
        var previous: Int32
        var next: Int32
    }

    /// The buffers of one thread.
    struct Workspace {
        var symbols: [Symbol] = []
        fileprivate var ranks: [UInt32] = []
        fileprivate var heap = PriorityHeap<UInt64>()
        fileprivate var text: [UInt8] = []
    }

    /// Appends the tokens of a word with their ends in it; a word of bytes is one of the byte-level alphabet.
    func encode(
        _ word: UnsafeBufferPointer<UInt8>, isBytes: Bool, _ vocabulary: TokenVocabulary,
        _ excluded: Set<Int32>,
        _ workspace: inout Workspace
    ) {
        workspace.symbols.removeAll(keepingCapacity: true)
        if options.ignoresMerges {
            let number = vocabulary.number(word)
            if number >= 0, !excluded.contains(number) {
                add(number, Int32(word.count), &workspace)
                return
            }
        }
        if isBytes {
            for index in 0..<word.count {
                let token = byteTokens[Int(word[index])]
                if token >= 0 {
                    add(token, Int32(index + 1), &workspace)
                } else if options.unknown >= 0 {
                    addUnknown(Int32(index + 1), &workspace)
                }
            }
        } else {
            split(word, vocabulary, &workspace)
        }
        merge(&workspace)
    }

    private func add(_ token: Int32, _ end: Int32, _ workspace: inout Workspace) {
        let count = Int32(workspace.symbols.count)
        if count > 0 { workspace.symbols[Int(count) - 1].next = count }
        workspace.symbols.append(Symbol(token: token, end: end, previous: count - 1, next: -1))
    }

    private func addUnknown(_ end: Int32, _ workspace: inout Workspace) {
        if options.fusesUnknown, let last = workspace.symbols.last, last.token == options.unknown {
            workspace.symbols[workspace.symbols.count - 1].end = end
        } else {
            add(options.unknown, end, &workspace)
        }
    }

    /// Fills the workspace with the symbols of the characters of a word.
    private func split(
        _ word: UnsafeBufferPointer<UInt8>, _ vocabulary: TokenVocabulary, _ workspace: inout Workspace
    ) {
        var start = 0
        while start < word.count {
            let end = min(start + UTF8Character.leadLength(word[start]), word.count)
            let character = UnsafeBufferPointer(rebasing: word[start..<end])
            let isPlain =
                (start == 0 || options.prefix.isEmpty) && (end < word.count || options.suffix.isEmpty)
            var token: Int32
            if isPlain {
                token = vocabulary.number(character)
            } else {
                workspace.text.removeAll(keepingCapacity: true)
                if start > 0 { workspace.text.append(contentsOf: options.prefix) }
                workspace.text.append(contentsOf: character)
                if end == word.count { workspace.text.append(contentsOf: options.suffix) }
                token = workspace.text.withUnsafeBufferPointer { vocabulary.number($0) }
            }
            if token >= 0 {
                add(token, Int32(end), &workspace)
            } else if options.spellsBytes, canSpell(isPlain ? Array(character) : workspace.text) {
                let bytes = isPlain ? Array(character) : workspace.text
                // The bytes of a prefix or suffix stand for no text.
                for (index, byte) in bytes.enumerated() {
                    token = spelledBytes[Int(byte)]
                    add(token, Int32(min(start + index + 1, end)), &workspace)
                }
            } else if options.unknown >= 0 {
                addUnknown(Int32(end), &workspace)
            }
            start = end
        }
    }

    private func canSpell(_ bytes: [UInt8]) -> Bool { bytes.allSatisfy { spelledBytes[Int($0)] >= 0 } }

    // MARK: Merging

    /// Merges the symbols in the workspace; what is left has no holes.
    private func merge(_ workspace: inout Workspace) {
        guard workspace.symbols.count > 1 else { return }
        if workspace.symbols.count <= 48 { mergeShort(&workspace) } else { mergeLong(&workspace) }
    }

    /// Merges by looking for the lowest rank anew each time, which is fast for short words.
    private func mergeShort(_ workspace: inout Workspace) {
        var count = workspace.symbols.count
        workspace.ranks.removeAll(keepingCapacity: true)
        workspace.ranks.append(contentsOf: repeatElement(UInt32.max, count: count))
        workspace.symbols.withUnsafeMutableBufferPointer { symbols in
            workspace.ranks.withUnsafeMutableBufferPointer { ranks in
                merges.withReader { merges in
                    for index in 0..<count - 1 {
                        ranks[index] = merges.rank(symbols[index].token, symbols[index + 1].token)
                    }
                    while true {
                        var (best, place) = (UInt32.max, -1)
                        for index in 0..<count - 1 where ranks[index] < best {
                            (best, place) = (ranks[index], index)
                        }
                        guard place >= 0 else { return }
                        symbols[place].token = merges.token(symbols[place].token, symbols[place + 1].token)
                        symbols[place].end = symbols[place + 1].end
                        count -= 1
                        for index in place + 1..<max(count, place + 1) {
                            symbols[index] = symbols[index + 1]
                            ranks[index] = ranks[index + 1]
                        }
                        ranks[count] = .max
                        if place > 0 {
                            ranks[place - 1] = merges.rank(symbols[place - 1].token, symbols[place].token)
                        }
                        ranks[place] =
                            place + 1 < count
                            ? merges.rank(symbols[place].token, symbols[place + 1].token) : .max
                    }
                }
            }
        }
        workspace.symbols.removeLast(workspace.symbols.count - count)
    }

    /// Merges with a heap of pairs, in time that grows little faster than the word.
    private func mergeLong(_ workspace: inout Workspace) {
        workspace.heap.removeAll(keepingCapacity: true)
        merges.withReader { merges in
            for index in 0..<workspace.symbols.count - 1 {
                offer(index, merges, &workspace)
            }
            while let key = workspace.heap.popFirst() {
                let place = Int(truncatingIfNeeded: key & 0xFFFF_FFFF)
                let left = workspace.symbols[place]
                guard left.token >= 0, left.next >= 0 else { continue }
                let right = workspace.symbols[Int(left.next)]
                // Either part may have been merged with another in the meantime.
                guard UInt64(merges.rank(left.token, right.token)) == key >> 32 else { continue }
                workspace.symbols[place].token = merges.token(left.token, right.token)
                workspace.symbols[place].end = right.end
                workspace.symbols[place].next = right.next
                workspace.symbols[Int(left.next)].token = -1
                if right.next >= 0 { workspace.symbols[Int(right.next)].previous = Int32(place) }
                if left.previous >= 0 { offer(Int(left.previous), merges, &workspace) }
                offer(place, merges, &workspace)
            }
        }
        workspace.symbols.removeAll { $0.token < 0 }
    }

    @inline(__always) private func offer(
        _ place: Int, _ merges: MergeTable.Reader, _ workspace: inout Workspace
    ) {
        let left = workspace.symbols[place]
        guard left.next >= 0 else { return }
        let rank = merges.rank(left.token, workspace.symbols[Int(left.next)].token)
        if rank != .max { workspace.heap.insert(UInt64(rank) << 32 | UInt64(place)) }
    }
}

/// The names of tokens that spell one byte.
enum SpelledByte {
    static func name(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "<0x" + (digits.count < 2 ? "0" : "") + digits + ">"
    }

    /// Returns the byte that a token spells, if it has the form of such a name.
    static func byte(_ token: some Collection<UInt8>) -> UInt8? {
        guard token.count == 6, token.starts(with: "<0x".utf8),
            token.dropFirst(5).first == 0x3E
        else { return nil }
        return UInt8(String(decoding: token.dropFirst(3).prefix(2), as: UTF8.self), radix: 16)
    }
}
