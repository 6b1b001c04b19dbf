/// A model that makes tokens of words.
enum WordModel: Sendable {
    case bytePairs(BytePairModel)
    case unigram(UnigramWords)
    case wordPieces(WordPieces)
    /// Whole words.
    case words(unknown: Int32)

    /// True if words of bytes need not be spelled in the byte-level alphabet.
    var takesBytes: Bool {
        if case .bytePairs(let model) = self { return model.takesBytes }
        return false
    }

    /// The buffers of one thread.
    ///
    /// `symbols` are the tokens of the last word, with their ends in it.
    struct Workspace {
        var pairs = BytePairModel.Workspace()
        /// Groups of symbols that share a range of the word: the bytes of unknown text.
        var groups: [(symbols: Range<Int>, bytes: Range<Int>)] = []
        fileprivate var steps: [UnigramWords.Step] = []
        fileprivate var text: [UInt8] = []
    }

    /// Fills `workspace.pairs.symbols` with the tokens of a word.
    ///
    /// Tokens for which `isExcluded` is true are no tokens of text.
    func encode(
        _ word: UnsafeBufferPointer<UInt8>, isBytes: Bool, _ vocabulary: TokenVocabulary,
        _ excluded: Set<Int32>,
        _ workspace: inout Workspace
    ) {
        workspace.groups.removeAll(keepingCapacity: true)
        switch self {
        case .bytePairs(let model):
            model.encode(word, isBytes: isBytes, vocabulary, excluded, &workspace.pairs)
        case .unigram(let model):
            workspace.pairs.symbols.removeAll(keepingCapacity: true)
            model.encode(word, vocabulary, excluded, &workspace)
        case .wordPieces(let model):
            workspace.pairs.symbols.removeAll(keepingCapacity: true)
            model.encode(word, vocabulary, excluded, &workspace)
        case .words(let unknown):
            workspace.pairs.symbols.removeAll(keepingCapacity: true)
            let number = vocabulary.number(word)
            let token = number >= 0 && !excluded.contains(number) ? number : unknown
            if token >= 0 { workspace.add(token, word.count) }
        }
    }
}

extension WordModel.Workspace {
    @inline(__always) fileprivate mutating func add(_ token: Int32, _ end: Int) {
        pairs.symbols.append(
            .init(token: token, end: Int32(truncatingIfNeeded: end), previous: -1, next: -1))
    }
}

/// A model of word pieces: the longest piece that fits, again and again (BERT).
///
/// Source: Hugging Face tokenizers 0.23, `models/wordpiece`.
struct WordPieces: Sendable {
    var unknown: Int32
    /// The text before pieces that do not begin a word.
    var prefix: [UInt8]
    /// The largest number of characters of a word; longer ones are unknown.
    var maximumCharacterCount: Int
    /// The length of the longest piece.
    var longestByteCount: Int

    fileprivate func encode(
        _ word: UnsafeBufferPointer<UInt8>, _ vocabulary: TokenVocabulary, _ excluded: Set<Int32>,
        _ workspace: inout WordModel.Workspace
    ) {
        var characterCount = 0
        for byte in word where byte & 0xC0 != 0x80 { characterCount += 1 }
        var start = 0
        if characterCount > maximumCharacterCount { start = -1 }
        while start >= 0, start < word.count {
            workspace.text.removeAll(keepingCapacity: true)
            if start > 0 { workspace.text.append(contentsOf: prefix) }
            let prefixCount = workspace.text.count
            var end = word.count
            if end - start > longestByteCount {
                end = start + longestByteCount
                // Not inside of a character.
                while end > start, word[end] & 0xC0 == 0x80 { end -= 1 }
            }
            workspace.text.append(contentsOf: UnsafeBufferPointer(rebasing: word[start..<end]))
            var found: Int32 = -1
            while end > start {
                found = workspace.text.withUnsafeBufferPointer {
                    vocabulary.number(UnsafeBufferPointer(rebasing: $0[..<(prefixCount + end - start)]))
                }
                if found >= 0, !excluded.contains(found) { break }
                found = -1
                end = UTF8Reader.characterStart(word, before: end)
            }
            guard found >= 0 else {
                start = -1
                break
            }
            workspace.add(found, end)
            start = end
        }
        if start < 0 {
            workspace.pairs.symbols.removeAll(keepingCapacity: true)
            if unknown >= 0 { workspace.add(unknown, word.count) }
        }
    }
}

/// A unigram model: the pieces with the largest sum of scores.
///
/// Source: Hugging Face tokenizers 0.23, `models/unigram`: as `UnigramSegmenter`, but scores are added in float64, all tokens
/// are pieces of text, and joined unknown characters may be a token after all.
struct UnigramWords: Sendable {
    private let trie: PieceTrie
    private let scores: [Double]
    private let unknownScore: Double
    private let unknown: Int32
    /// The tokens of the 256 bytes, where unknown text is spelled; -1 for bytes without one.
    private let byteTokens: [Int32]?

    fileprivate struct Step {
        var score = 0.0
        var start: Int32 = -1
        var piece: Int32 = -1
    }

    /// Creates a model; `unknown` is -1 for files without a token for unknown text.
    init(_ vocabulary: TokenVocabulary, scores: [Double], unknown: Int32, spellsBytes: Bool) {
        var trie = PieceTrie()
        for number in 0..<vocabulary.endNumber where vocabulary.has(number) {
            _ = trie.insert(vocabulary.text(number), value: Int32(number))
        }
        self.trie = trie
        self.scores = scores
        self.unknown = unknown
        unknownScore = (scores.min() ?? 0) - 10
        byteTokens =
            spellsBytes ? (0...255).map { vocabulary.number(SpelledByte.name(UInt8($0))) ?? -1 } : nil
    }

    fileprivate func encode(
        _ word: UnsafeBufferPointer<UInt8>, _ vocabulary: TokenVocabulary, _ excluded: Set<Int32>,
        _ workspace: inout WordModel.Workspace
    ) {
        workspace.steps.removeAll(keepingCapacity: true)
        workspace.steps.append(contentsOf: repeatElement(Step(), count: word.count + 1))
        workspace.steps.withUnsafeMutableBufferPointer { steps in
            trie.withWalker { trie in search(word, excluded, trie, steps) }
            // The links lead backward; reversed, they lead from piece to piece.
            var (end, next): (Int, Int32) = (word.count, -1)
            while end > 0 {
                let start = Int(steps[end].start)
                steps[end].start = next
                (next, end) = (Int32(truncatingIfNeeded: end), start)
            }
            steps[0].start = next
        }
        var (start, position) = (0, 0)
        while true {
            let next = Int(workspace.steps[position].start)
            guard next > position else { break }
            let piece = workspace.steps[next].piece
            let follower = Int(workspace.steps[next].start)
            let joinsNext = piece == unknown && follower > next && workspace.steps[follower].piece == unknown
            position = next
            if joinsNext { continue }
            add(piece, word, start..<next, vocabulary, excluded, &workspace)
            start = next
        }
    }

    private func search(
        _ word: UnsafeBufferPointer<UInt8>, _ excluded: Set<Int32>, _ trie: PieceTrie.Walker,
        _ steps: UnsafeMutableBufferPointer<Step>
    ) {
        @inline(__always) func offer(_ score: Double, _ piece: Int32, _ start: Int, _ end: Int) {
            guard steps[end].start < 0 || score > steps[end].score else { return }
            steps[end] = Step(score: score, start: Int32(truncatingIfNeeded: start), piece: piece)
        }
        var start = 0
        while start < word.count {
            let before = steps[start].score
            let length = min(UTF8Character.leadLength(word[start]), word.count - start)
            var hasCharacter = false
            var (end, node) = (start, 0)
            while end < word.count {
                node = trie.child(of: node, word[end])
                if node == 0 { break }
                end += 1
                let piece = trie.value(of: node)
                guard piece >= 0, excluded.isEmpty || !excluded.contains(piece) else { continue }
                offer(scores[Int(piece)] + before, piece, start, end)
                if end - start == length { hasCharacter = true }
            }
            if !hasCharacter { offer(unknownScore + before, unknown, start, start + length) }
            start += length
        }
    }

    private func add(
        _ piece: Int32, _ word: UnsafeBufferPointer<UInt8>, _ range: Range<Int>,
        _ vocabulary: TokenVocabulary,
        _ excluded: Set<Int32>, _ workspace: inout WordModel.Workspace
    ) {
        guard piece == unknown else { return workspace.add(piece, range.upperBound) }
        let number = vocabulary.number(UnsafeBufferPointer(rebasing: word[range]))
        if number >= 0, !excluded.contains(number) { return workspace.add(number, range.upperBound) }
        if let byteTokens, word[range].allSatisfy({ byteTokens[Int($0)] >= 0 }) {
            let first = workspace.pairs.symbols.count
            for index in range { workspace.add(byteTokens[Int(word[index])], index + 1) }
            workspace.groups.append((first..<workspace.pairs.symbols.count, range))
        } else if unknown >= 0 {
            workspace.add(unknown, range.upperBound)
        }
    }
}
