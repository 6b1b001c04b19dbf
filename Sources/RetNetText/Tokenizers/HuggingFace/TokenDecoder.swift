/// A conversion of tokens to text, as a list of steps.
///
/// Source: Hugging Face tokenizers 0.23, `decoders`.
struct TokenDecoder: Sendable {
    enum Step: Sendable {
        case byteLevel
        case metaspace(mark: [UInt8], dropsFirst: Bool)
        case wordPieces(prefix: [UInt8], cleansUp: Bool)
        /// The mark of the end of words becomes a space, except at the end.
        case wordEnds([UInt8])
        case replace(TextMatcher, content: [UInt8])
        /// Tokens `<0x00>` to `<0xFF>` become bytes.
        case spelledBytes
        case fuse
        case strip([UInt8], start: Int, stop: Int)
    }

    /// The steps; `nil` for files without a decoder, where tokens are joined by spaces.
    var steps: [Step]?

    /// Returns the text of tokens, exactly as the reference; invalid UTF-8 becomes U+FFFD.
    func decode(_ tokens: [[UInt8]]) -> String {
        guard let steps else {
            return String(decoding: Array(tokens.joined(separator: [0x20])), as: UTF8.self)
        }
        guard !tokens.isEmpty else { return "" }
        var tokens = tokens
        for step in steps { Self.apply(step, to: &tokens) }
        return String(decoding: tokens.joined(), as: UTF8.self)
    }

    private static func apply(_ step: Step, to tokens: inout [[UInt8]]) {
        switch step {
        case .byteLevel:
            let bytes = tokens.flatMap { ByteAlphabet.decode($0) ?? $0 }
            tokens = [Array(String(decoding: bytes, as: UTF8.self).utf8)]
        case .spelledBytes: tokens = joinSpelledBytes(tokens)
        case .fuse: tokens = [Array(tokens.joined())]
        case .wordEnds(let suffix):
            for index in tokens.indices {
                let content: [UInt8] = index == tokens.count - 1 ? [] : [0x20]
                tokens[index] = replacing(.literal(suffix), in: tokens[index], by: content)
            }
        default:
            for index in tokens.indices { tokens[index] = single(step, tokens[index], isFirst: index == 0) }
        }
    }

    /// Returns what a step makes of one token.
    private static func single(_ step: Step, _ token: [UInt8], isFirst: Bool) -> [UInt8] {
        switch step {
        case .byteLevel: return ByteAlphabet.decode(token) ?? token
        case .metaspace(let mark, let dropsFirst):
            return replacing(.literal(mark), in: token, by: isFirst && dropsFirst ? [] : [0x20])
        case .wordPieces(let prefix, let cleansUp):
            var token = token
            if !isFirst {
                token = token.starts(with: prefix) ? Array(token.dropFirst(prefix.count)) : [0x20] + token
            }
            return cleansUp ? cleanedUp(token) : token
        case .replace(let matcher, let content): return replacing(matcher, in: token, by: content)
        case .spelledBytes: return SpelledByte.byte(token).map { [$0] } ?? token
        case .strip(let content, let start, let stop):
            var rest = token[...]
            for _ in 0..<start where rest.starts(with: content) { rest = rest.dropFirst(content.count) }
            for _ in 0..<stop where rest.suffix(content.count).elementsEqual(content) {
                rest = rest.dropLast(content.count)
            }
            return Array(rest)
        case .fuse, .wordEnds: return token
        }
    }

    private static func replacing(_ matcher: TextMatcher, in token: [UInt8], by content: [UInt8]) -> [UInt8] {
        var (result, end, workspace) = ([UInt8](), 0, TextExpression.Workspace())
        token.withUnsafeBufferPointer { bytes in
            matcher.forEachMatch(bytes, 0..<bytes.count, isBytes: false, &workspace) { start, next in
                result.append(contentsOf: bytes[end..<start])
                result.append(contentsOf: content)
                end = next
            }
        }
        return end == 0 && result.isEmpty ? token : result + token[end...]
    }

    /// Joins runs of spelled bytes; in a run that is not UTF-8, each byte becomes U+FFFD.
    private static func joinSpelledBytes(_ tokens: [[UInt8]]) -> [[UInt8]] {
        var (result, bytes): ([[UInt8]], [UInt8]) = ([], [])
        func passBytes() {
            guard !bytes.isEmpty else { return }
            if bytes.withUnsafeBytes({ UTF8Validator.firstInvalidOffset(in: $0) }) == nil {
                result.append(bytes)
            } else {
                for _ in bytes { result.append(Array("\u{FFFD}".utf8)) }
            }
            bytes = []
        }
        for token in tokens {
            if let byte = SpelledByte.byte(token) {
                bytes.append(byte)
            } else {
                passBytes()
                result.append(token)
            }
        }
        passBytes()
        return result
    }

    private static let cleanups: [(pattern: [UInt8], content: [UInt8])] = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
        (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)) }

    /// Returns a token without the spaces before English punctuation.
    private static func cleanedUp(_ token: [UInt8]) -> [UInt8] {
        guard token.contains(0x20) else { return token }
        return cleanups.reduce(token) { replacing(.literal($1.pattern), in: $0, by: $1.content) }
    }

    /// Returns the bytes that a token adds to a text that is decoded token by token, and true if a space follows the token
    /// unless the text ends.
    ///
    /// Spelled bytes come as they are, and what a step cuts off at the end of a whole text stays, since the end is not known.
    func bytes(_ token: [UInt8], isFirst: Bool) -> (bytes: [UInt8], endsWord: Bool) {
        guard let steps else { return (isFirst ? token : [0x20] + token, false) }
        var (token, endsWord, isFused) = (token, false, false)
        for step in steps {
            switch step {
            case .fuse: isFused = true
            case .wordEnds(let suffix):
                endsWord =
                    !suffix.isEmpty && token.count >= suffix.count
                    && token.suffix(suffix.count).elementsEqual(suffix)
                if endsWord { token.removeLast(suffix.count) }
                token = Self.replacing(.literal(suffix), in: token, by: [0x20])
            case .strip(let content, let start, _) where isFused:
                if isFirst {
                    token = Self.single(.strip(content, start: start, stop: 0), token, isFirst: true)
                }
            default: token = Self.single(step, token, isFirst: isFirst)
            }
        }
        return (token, endsWord)
    }
}

// MARK: Reading

extension TokenDecoder {
    /// Reads the section of a file; throws ``TokenizerFault`` for unknown parts.
    init(_ node: JSONNode) throws { steps = try Self.steps(node) }

    private static func steps(_ node: JSONNode) throws -> [Step] {
        let type = try node.partType()
        switch type {
        case "Sequence":
            let parts = try PartOptions(node, "decoders").required("decoders").elements()
            return try parts.flatMap { try steps($0) }
        case "ByteLevel":
            _ = try PartOptions(node, "add_prefix_space", "trim_offsets", "use_regex")
            return [.byteLevel]
        case "Metaspace":
            let options = try PartOptions(
                node, "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep")
            var dropsFirst = try options.optional("prepend_scheme")?.string() != "never"
            if try !options.bool("add_prefix_space", true) { dropsFirst = false }
            return [
                .metaspace(
                    mark: Array(String(try options.scalar("replacement")).utf8), dropsFirst: dropsFirst)
            ]
        case "WordPiece":
            let options = try PartOptions(node, "prefix", "cleanup")
            return [
                .wordPieces(
                    prefix: Array(try options.string("prefix").utf8), cleansUp: try options.bool("cleanup"))
            ]
        case "BPEDecoder":
            return [.wordEnds(Array(try PartOptions(node, "suffix").string("suffix").utf8))]
        case "Replace":
            let options = try PartOptions(node, "pattern", "content")
            return [
                .replace(
                    try TextMatcher(options.required("pattern")),
                    content: Array(try options.string("content").utf8))
            ]
        case "ByteFallback":
            _ = try PartOptions(node)
            return [.spelledBytes]
        case "Fuse":
            _ = try PartOptions(node)
            return [.fuse]
        case "Strip":
            let options = try PartOptions(node, "content", "start", "stop")
            let (start, stop) = (
                try options.required("start").integer(), try options.required("stop").integer()
            )
            guard (0...1_000).contains(start), (0...1_000).contains(stop) else {
                throw node.fault("strips a number of characters outside 0 to 1,000")
            }
            return [.strip(Array(String(try options.scalar("content")).utf8), start: start, stop: stop)]
        default: throw node.unsupported("has the type '\(type)', which is not supported")
        }
    }
}
