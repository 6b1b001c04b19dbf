import Foundation

/// The parts of a `tokenizer.json` in the form that encoding and decoding need.
struct TokenizerCore: Sendable {
    var vocabulary: TokenVocabulary
    var model: WordModel
    var added: AddedTokens
    var normalizer = TextNormalizer()
    var preTokenizer = PreTokenizer()
    var decoder = TokenDecoder()
    var frame = TextFrame()
    /// The unknown token of the model, if it has one.
    var unknown: Int32?

    /// The largest number of a token plus one.
    var endNumber: Int {
        max(vocabulary.endNumber, added.tokens.reduce(0) { max($0, Int($1.number) + 1) })
    }

    /// Returns the number of a token by its text, that of an added one first.
    func number(_ text: String) -> Int32? {
        let bytes = Array(text.utf8)
        return added.tokens.first { $0.content == bytes }?.number ?? vocabulary.number(text)
    }

    /// Returns the text of a token as the decoder takes it; `nil` for special ones and numbers without a token.
    func content(_ token: Int32) -> [UInt8]? {
        if let added = added.token(token) {
            if added.isSpecial { return nil }
            // As in the reference, the decoder undoes what the normalizer did to the token.
            return added.isNormalized && !normalizer.steps.isEmpty
                ? normalizer.normalize(added.content) : added.content
        }
        guard vocabulary.has(Int(token)) else { return nil }
        return Array(vocabulary.text(Int(token)))
    }
}

/// The buffers and the word cache of an encoder, for one thread at a time.
struct EncodingState {
    var cache = WordCache()
    var model = WordModel.Workspace()
    var normalizer = TextNormalizer.Workspace()
    var preTokenizer = PreTokenizer.Workspace()
    fileprivate var spelled: [UInt8] = []
    var output = Output()

    /// The tokens of a text and, where asked for, their ranges in the source.
    struct Output {
        var tokens: [Int32] = []
        var tracks = false
        var starts: [Int] = []
        var ends: [Int] = []
        /// The places up to which the tokens so far stand for the source.
        var cuts: [Int] = []
        /// True if the normalizer left out spaces at the end.
        var omitsSpace = false
    }
}

/// Encoders that wait for the next text.
final class EncodingStates: @unchecked Sendable {
    // Sendable: the list is only touched under the lock.
    private let lock = NSLock()
    private var states: [EncodingState] = []

    /// Returns an encoder, with the cache of an earlier text if there is one.
    func take() -> EncodingState { lock.withLock { states.popLast() } ?? EncodingState() }

    /// Puts an encoder back.
    func put(_ state: EncodingState) {
        lock.withLock { if states.count < 16 { states.append(state) } }
    }
}

extension TokenizerCore {
    /// How a text is encoded.
    struct Request {
        var place: TextPlace
        var recognizesSpecial: Bool
        /// The tokens that no text becomes.
        var excluded: Set<Int32>
        var tracks: Bool
    }

    /// Encodes UTF-8 text into the output of a state.
    func encode(_ source: UnsafeBufferPointer<UInt8>, _ request: Request, _ state: inout EncodingState) {
        let tracks = request.tracks
        state.output = EncodingState.Output()
        state.output.tracks = tracks
        state.output.tokens.reserveCapacity(source.count / 4 + 8)
        guard !source.isEmpty else { return }
        var whole =
            AlignedText.repaired(source, tracks: tracks)
            ?? AlignedText(source: source, range: 0..<source.count)
        if request.place == .afterOmittedSpace, !normalizer.steps.isEmpty {
            let text = whole
            whole.changed = text.withBytes { bytes in
                var transform = TextTransform(text, bytes, tracks: tracks)
                transform.putAtBeginning([0x20])
                transform.keep(bytes.count)
                return transform.new
            }
        }
        whole.withBytes { bytes in
            added.forEachPart(
                bytes, 0..<bytes.count, added.plain, recognizesSpecial: request.recognizesSpecial
            ) { part in
                if let token = part.token {
                    state.output.append(token, whole, part.range)
                    state.output.omitsSpace = false
                    return
                }
                let continues = part.range.lowerBound == 0 && request.place != .beginning
                encode(whole.slice(part.range), continues: continues, request, &state)
            }
        }
        if tracks { trim(source, &state.output) }
    }

    /// Encodes text between added tokens.
    private func encode(
        _ text: AlignedText, continues: Bool, _ request: Request, _ state: inout EncodingState
    ) {
        state.output.omitsSpace = false
        let text =
            normalizer.steps.isEmpty
            ? text
            : normalizer.normalize(
                text, continues: continues, tracks: request.tracks, omitsSpace: &state.output.omitsSpace,
                &state.normalizer)
        text.withBytes { bytes in
            added.forEachPart(
                bytes, 0..<bytes.count, added.normalized, recognizesSpecial: request.recognizesSpecial
            ) { part in
                if let token = part.token {
                    state.output.append(token, text, part.range)
                } else if let scanner = preTokenizer.onlyScanner {
                    scanner.forEachWord(bytes, part.range) { start, end in
                        encodeWord(bytes, start, end, text, isBytes: true, request, &state)
                    }
                } else {
                    let continues = continues && part.range.lowerBound == 0
                    let pieces = preTokenizer.split(
                        text, part.range, continues: continues, tracks: request.tracks, &state.preTokenizer)
                    pieces.text.withBytes { bytes in
                        for range in pieces.ranges where !range.isEmpty {
                            encodeWord(
                                bytes, range.lowerBound, range.upperBound, pieces.text,
                                isBytes: pieces.text.isBytes, request, &state)
                        }
                    }
                }
            }
        }
    }

    @inline(__always)
    private func encodeWord(
        _ bytes: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int, _ text: AlignedText, isBytes: Bool,
        _ request: Request, _ state: inout EncodingState
    ) {
        let word = UnsafeBufferPointer(rebasing: bytes[start..<end])
        guard word.count <= WordCache.longestByteCount else {
            return encodeNewWord(word, start, text, isBytes: isBytes, request, &state)
        }
        let key = WordCache.key(word)
        guard let found = state.cache.find(key, word) else {
            encodeNewWord(word, start, text, isBytes: isBytes, request, &state)
            // The cache has no ranges that tokens share.
            if state.model.groups.isEmpty {
                state.cache.insert(key, word, state.model.pairs.symbols.lazy.map { ($0.token, $0.end) })
            }
            return
        }
        if state.output.tracks {
            var begin = start
            for index in found {
                let end = start + Int(state.cache.ends[index])
                state.output.append(state.cache.tokens[index], text, begin..<end)
                begin = end
            }
        } else {
            for index in found { state.output.tokens.append(state.cache.tokens[index]) }
        }
    }

    private func encodeNewWord(
        _ word: UnsafeBufferPointer<UInt8>, _ start: Int, _ text: AlignedText, isBytes: Bool,
        _ request: Request,
        _ state: inout EncodingState
    ) {
        if isBytes, !model.takesBytes {
            encodeSpelled(word, request, &state)
        } else {
            model.encode(word, isBytes: isBytes, vocabulary, request.excluded, &state.model)
        }
        var begin = start
        let first = state.output.tokens.count
        for symbol in state.model.pairs.symbols {
            if state.output.tracks {
                let end = start + Int(symbol.end)
                state.output.append(symbol.token, text, begin..<end)
                begin = end
            } else {
                state.output.tokens.append(symbol.token)
            }
        }
        guard state.output.tracks else { return }
        for group in state.model.groups {
            let range = start + group.bytes.lowerBound..<start + group.bytes.upperBound
            state.output.share(
                range, text, first + group.symbols.lowerBound..<first + group.symbols.upperBound)
        }
    }

    /// Encodes a word of bytes that the model must see in the byte-level alphabet.
    private func encodeSpelled(
        _ word: UnsafeBufferPointer<UInt8>, _ request: Request, _ state: inout EncodingState
    ) {
        var spelled = state.spelled
        spelled.removeAll(keepingCapacity: true)
        for byte in word { ByteAlphabet.append(byte, to: &spelled) }
        spelled.withUnsafeBufferPointer {
            model.encode($0, isBytes: false, vocabulary, request.excluded, &state.model)
        }
        // Each character is a byte: the ends of tokens are counts of characters.
        var counts: [Int32] = [0]
        counts.reserveCapacity(spelled.count + 1)
        for byte in spelled { counts.append(counts[counts.count - 1] + (byte & 0xC0 != 0x80 ? 1 : 0)) }
        for place in state.model.pairs.symbols.indices {
            let end = Int(state.model.pairs.symbols[place].end)
            state.model.pairs.symbols[place].end = counts[end]
        }
        for place in state.model.groups.indices {
            let bytes = state.model.groups[place].bytes
            state.model.groups[place].bytes = Int(counts[bytes.lowerBound])..<Int(counts[bytes.upperBound])
        }
        state.spelled = spelled
    }

    // MARK: Offsets

    /// Takes white space at the ends of tokens out of their ranges, where the file says so.
    private func trim(_ source: UnsafeBufferPointer<UInt8>, _ output: inout EncodingState.Output) {
        for trimming in frame.trimmings {
            for index in output.tokens.indices {
                let content = trimmedContent(
                    output.tokens[index], source,
                    output.starts[index]..<max(output.starts[index], output.ends[index]))
                guard content.leading > 0 || content.trailing > 0 else { continue }
                var leading = content.leading
                let isFirst = index == 0 || output.starts[index] == 0
                if isFirst, trimming.addsPrefixSpace, leading == 1 { leading = 0 }
                let (start, end) = (output.starts[index], output.ends[index])
                let newStart = min(Self.advance(source, start, leading), end)
                output.starts[index] = newStart
                output.ends[index] = max(Self.retreat(source, end, content.trailing), newStart)
            }
        }
    }

    /// Returns the numbers of white space characters at the ends of a token's text; an added token's is that of the source.
    private func trimmedContent(
        _ token: Int32, _ source: UnsafeBufferPointer<UInt8>, _ range: Range<Int>
    ) -> (leading: Int, trailing: Int) {
        let bytes = added.token(token) == nil ? Array(vocabulary.text(Int(token))) : Array(source[range])
        func isSpace(_ scalar: Unicode.Scalar) -> Bool {
            // The byte-level form of a space.
            scalar.value == 0x120 || scalar.properties.isWhitespace
        }
        let scalars = String(decoding: bytes, as: UTF8.self).unicodeScalars
        return (scalars.prefix(while: isSpace).count, scalars.reversed().prefix(while: isSpace).count)
    }

    private static func advance(_ source: UnsafeBufferPointer<UInt8>, _ index: Int, _ count: Int) -> Int {
        var index = index
        for _ in 0..<count where index < source.count { index += UTF8Character.leadLength(source[index]) }
        return min(index, source.count)
    }

    private static func retreat(_ source: UnsafeBufferPointer<UInt8>, _ index: Int, _ count: Int) -> Int {
        var index = index
        for _ in 0..<count where index > 0 { index = UTF8Reader.characterStart(source, before: index) }
        return index
    }
}

extension EncodingState.Output {
    /// Gives tokens the same range of a text.
    mutating func share(_ range: Range<Int>, _ text: AlignedText, _ indices: Range<Int>) {
        guard !range.isEmpty else { return }
        let start = text.sourceRange(range.lowerBound).start
        let end = text.sourceRange(range.upperBound - 1).end
        for index in indices { (starts[index], ends[index]) = (start, end) }
    }

    /// Appends a token that stands for a range of a text.
    @inline(__always) mutating func append(_ token: Int32, _ text: AlignedText, _ range: Range<Int>) {
        tokens.append(token)
        guard tracks else { return }
        if range.isEmpty {
            let place =
                range.lowerBound > 0 ? text.sourceRange(range.lowerBound - 1).end : text.range.lowerBound
            starts.append(place)
            ends.append(place)
        } else {
            starts.append(text.sourceRange(range.lowerBound).start)
            ends.append(text.sourceRange(range.upperBound - 1).end)
        }
        cuts.append(max(cuts.last ?? 0, text.sourceCut(range.upperBound)))
    }
}

extension AlignedText {
    /// Returns a part of the text.
    func slice(_ part: Range<Int>) -> AlignedText {
        guard let changed else {
            var result = self
            result.range = range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound
            return result
        }
        var result = self
        if part.count < changed.bytes.count {
            let hasRanges = !changed.starts.isEmpty
            result.changed = Changed(
                bytes: Array(changed.bytes[part]), starts: hasRanges ? Array(changed.starts[part]) : [],
                ends: hasRanges ? Array(changed.ends[part]) : [])
            if hasRanges, !part.isEmpty {
                let start = Int(changed.starts[part.lowerBound])
                result.range = start..<max(start, Int(changed.ends[part.upperBound - 1]))
            }
        }
        return result
    }
}
