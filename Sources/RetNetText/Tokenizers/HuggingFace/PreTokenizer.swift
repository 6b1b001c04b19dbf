/// A cut of normalized text into words, as a list of steps.
struct PreTokenizer: Sendable {
    /// What becomes of the matches of a pattern.
    enum Behavior: String, Sendable {
        case removed = "Removed"
        case isolated = "Isolated"
        case mergedWithPrevious = "MergedWithPrevious"
        case mergedWithNext = "MergedWithNext"
        case contiguous = "Contiguous"
    }

    /// Where a space is put in front.
    enum PrependScheme: String, Sendable { case first, never, always }

    enum Step: Sendable {
        /// GPT-2's words and the byte-level alphabet.
        case byteLevel(addsPrefixSpace: Bool, splits: Bool)
        /// Visible spaces, and words that begin with one.
        case metaspace(replacement: Unicode.Scalar, PrependScheme, splits: Bool)
        case split(TextMatcher, Behavior, isInverted: Bool)
        case fixedLength(Int)
    }

    var steps: [Step] = []

    /// The scanner that makes all words at once, where nothing else happens to the text.
    var onlyScanner: WordScanner? {
        switch steps.count {
        case 1:
            if case .byteLevel(addsPrefixSpace: false, splits: true) = steps[0] { return .gpt2 }
        case 2:
            if case .split(.scanner(let scanner, _), .isolated, isInverted: false) = steps[0],
                case .byteLevel(addsPrefixSpace: false, splits: false) = steps[1]
            {
                return scanner
            }
        default: break
        }
        return nil
    }

    /// True if words reach the model in the byte-level alphabet.
    var endsInBytes: Bool {
        steps.contains { if case .byteLevel = $0 { true } else { false } }
    }

    /// The buffers of one thread.
    struct Workspace {
        var expressions = TextExpression.Workspace()
        fileprivate var matches: [(range: Range<Int>, isMatch: Bool)] = []
    }

    /// A text with the words found in it so far.
    struct Pieces {
        var text: AlignedText
        var ranges: [Range<Int>]
    }

    /// Cuts a part of a text; no space is put in front of a part that continues a text.
    func split(
        _ text: AlignedText, _ range: Range<Int>, continues: Bool, tracks: Bool, _ workspace: inout Workspace
    ) -> Pieces {
        var pieces = Pieces(text: text, ranges: range.isEmpty ? [] : [range])
        for step in steps {
            switch step {
            case .byteLevel(let addsPrefixSpace, let splits):
                if addsPrefixSpace {
                    Self.prepend([0x20], unless: [0x20], to: &pieces, tracks: tracks) { index, _ in
                        index > 0 || !continues
                    }
                }
                if splits { Self.split(.gpt2, &pieces, &workspace) }
                pieces.text.isBytes = true
            case .metaspace(let replacement, let scheme, let splits):
                let mark = Array(String(replacement).utf8)
                Self.replaceSpaces(mark, &pieces, tracks: tracks)
                if scheme != .never {
                    let text = pieces.text
                    Self.prepend(mark, unless: mark, to: &pieces, tracks: tracks) { index, start in
                        (index > 0 || !continues)
                            && (scheme == .always || text.beginsSource(at: start))
                    }
                }
                if splits {
                    Self.split(.literal(mark), .mergedWithNext, isInverted: false, &pieces, &workspace)
                }
            case .split(let matcher, let behavior, let isInverted):
                Self.split(matcher, behavior, isInverted: isInverted, &pieces, &workspace)
            case .fixedLength(let length): Self.split(length: length, &pieces)
            }
        }
        return pieces
    }

    // MARK: Changes of the text

    /// Puts a text in front of pieces that do not begin with it.
    private static func prepend(
        _ prefix: [UInt8], unless start: [UInt8], to pieces: inout Pieces, tracks: Bool,
        where takes: (_ index: Int, _ start: Int) -> Bool
    ) {
        let ranges = pieces.ranges
        let text = pieces.text
        let takers: [Bool] = text.withBytes { bytes in
            ranges.enumerated().map { index, range in
                !bytes[range].starts(with: start) && takes(index, range.lowerBound)
            }
        }
        guard takers.contains(true) else { return }
        change(&pieces, tracks: tracks) { transform, index, range in
            if takers[index] { transform.put(prefix, like: range.lowerBound) }
            transform.keep(range.count)
        }
    }

    private static func replaceSpaces(_ mark: [UInt8], _ pieces: inout Pieces, tracks: Bool) {
        let hasSpaces = pieces.text.withBytes { bytes in
            pieces.ranges.contains { bytes[$0].contains(0x20) }
        }
        guard hasSpaces, mark != [0x20] else { return }
        let text = pieces.text
        change(&pieces, tracks: tracks) { transform, _, range in
            text.withBytes { bytes in
                var start = range.lowerBound
                for index in range where bytes[index] == 0x20 {
                    transform.keep(index - start)
                    transform.put(mark, like: index)
                    transform.remove()
                    start = index + 1
                }
                transform.keep(range.upperBound - start)
            }
        }
    }

    /// Makes a new text of the pieces, each changed by `body`.
    private static func change(
        _ pieces: inout Pieces, tracks: Bool, _ body: (inout TextTransform, Int, Range<Int>) -> Void
    ) {
        let text = pieces.text
        var ranges: [Range<Int>] = []
        ranges.reserveCapacity(pieces.ranges.count)
        let changed = text.withBytes { bytes in
            var transform = TextTransform(text, bytes, tracks: tracks)
            for (index, range) in pieces.ranges.enumerated() {
                let start = transform.new.bytes.count
                transform.begin(range.lowerBound)
                body(&transform, index, range)
                ranges.append(start..<transform.new.bytes.count)
            }
            return transform.new
        }
        pieces.text.changed = changed
        pieces.ranges = ranges
    }

    // MARK: Cuts

    private static func split(_ scanner: WordScanner, _ pieces: inout Pieces, _ workspace: inout Workspace) {
        var ranges: [Range<Int>] = []
        pieces.text.withBytes { bytes in
            for range in pieces.ranges {
                scanner.forEachWord(bytes, range) { start, end in ranges.append(start..<end) }
            }
        }
        pieces.ranges = ranges
    }

    private static func split(length: Int, _ pieces: inout Pieces) {
        var ranges: [Range<Int>] = []
        let isBytes = pieces.text.isBytes
        pieces.text.withBytes { bytes in
            for range in pieces.ranges {
                var (start, index, count) = (range.lowerBound, range.lowerBound, 0)
                while index < range.upperBound {
                    index = min(
                        index + (isBytes ? 1 : UTF8Character.leadLength(bytes[index])), range.upperBound)
                    count += 1
                    guard count == length || index == range.upperBound else { continue }
                    ranges.append(start..<index)
                    (start, count) = (index, 0)
                }
            }
        }
        pieces.ranges = ranges
    }

    private static func split(
        _ matcher: TextMatcher, _ behavior: Behavior, isInverted: Bool, _ pieces: inout Pieces,
        _ workspace: inout Workspace
    ) {
        var result: [Range<Int>] = []
        let isBytes = pieces.text.isBytes
        pieces.text.withBytes { bytes in
            for range in pieces.ranges {
                var (matches, end) = (workspace.matches, range.lowerBound)
                workspace.matches = []
                matches.removeAll(keepingCapacity: true)
                matcher.forEachMatch(bytes, range, isBytes: isBytes, &workspace.expressions) { start, next in
                    if start > end { matches.append((end..<start, isInverted)) }
                    matches.append((start..<next, !isInverted))
                    end = next
                }
                if end < range.upperBound { matches.append((end..<range.upperBound, isInverted)) }
                join(matches, behavior, &result)
                workspace.matches = matches
            }
        }
        pieces.ranges = result
    }

    /// Appends the words that a behavior makes of matches and of what lies between them.
    private static func join(
        _ matches: [(range: Range<Int>, isMatch: Bool)], _ behavior: Behavior, _ result: inout [Range<Int>]
    ) {
        switch behavior {
        case .isolated: for match in matches { result.append(match.range) }
        case .removed: for match in matches where !match.isMatch { result.append(match.range) }
        case .contiguous, .mergedWithPrevious:
            var followsMatch = false
            let first = result.count
            for (range, isMatch) in matches {
                let joins = behavior == .contiguous ? isMatch == followsMatch : isMatch && !followsMatch
                if joins, result.count > first {
                    result[result.count - 1] = result[result.count - 1].lowerBound..<range.upperBound
                } else {
                    result.append(range)
                }
                followsMatch = isMatch
            }
        case .mergedWithNext:
            var precedesMatch = false
            let first = result.count
            for (range, isMatch) in matches.reversed() {
                if isMatch, !precedesMatch, result.count > first {
                    result[result.count - 1] = range.lowerBound..<result[result.count - 1].upperBound
                } else {
                    result.append(range)
                }
                precedesMatch = isMatch
            }
            result[first...].reverse()
        }
    }
}

extension AlignedText {
    /// Returns true if a piece that begins at an index begins the source.
    fileprivate func beginsSource(at index: Int) -> Bool {
        range.lowerBound + index == 0
    }
}

// MARK: Reading

extension PreTokenizer {
    /// Reads the section of a file; throws ``TokenizerFault`` for unknown parts.
    init(_ node: JSONNode) throws {
        steps = try Self.steps(node)
        let places = steps.indices.filter { if case .byteLevel = steps[$0] { true } else { false } }
        if places.count > 1 { throw node.unsupported("has the type 'ByteLevel' twice") }
        for step in steps[(places.first ?? steps.count)...] {
            if case .metaspace = step { throw node.unsupported("has the type 'Metaspace' after 'ByteLevel'") }
        }
    }

    private static func steps(_ node: JSONNode) throws -> [Step] {
        let type = try node.partType()
        switch type {
        case "Sequence":
            let parts = try PartOptions(node, "pretokenizers").required("pretokenizers").elements()
            return try parts.flatMap { try steps($0) }
        case "ByteLevel":
            let options = try PartOptions(node, "add_prefix_space", "trim_offsets", "use_regex")
            return [
                .byteLevel(
                    addsPrefixSpace: try options.bool("add_prefix_space"),
                    splits: try options.bool("use_regex", true))
            ]
        case "Metaspace": return [try metaspace(node)]
        case "Whitespace":
            _ = try PartOptions(node)
            let words = try expression(#"\w+|[^\w\s]+"#, node)
            return [.split(words, .removed, isInverted: true)]
        case "WhitespaceSplit":
            _ = try PartOptions(node)
            return [.split(.characters(.whitespace), .removed, isInverted: false)]
        case "BertPreTokenizer":
            _ = try PartOptions(node)
            return bert
        case "Punctuation":
            let behavior = try PartOptions(node, "behavior").optional("behavior")
            return [
                .split(
                    .characters(.punctuation), try behavior.map(Self.behavior) ?? .isolated, isInverted: false
                )
            ]
        case "Digits":
            let isSingle = try PartOptions(node, "individual_digits").bool("individual_digits")
            return [.split(.characters(.number), isSingle ? .isolated : .contiguous, isInverted: false)]
        case "CharDelimiterSplit", "Delimiter":
            let delimiter = try PartOptions(node, "delimiter").scalar("delimiter")
            return [.split(.literal(Array(String(delimiter).utf8)), .removed, isInverted: false)]
        case "Split":
            let options = try PartOptions(node, "pattern", "behavior", "invert")
            return [
                .split(
                    try TextMatcher(options.required("pattern")), try behavior(options.required("behavior")),
                    isInverted: try options.bool("invert", false))
            ]
        case "FixedLength":
            let length = try PartOptions(node, "length").optional("length")?.integer() ?? 5
            guard length > 0 else { throw node.fault("has a length below 1") }
            return [.fixedLength(length)]
        default: throw node.unsupported("has the type '\(type)', which is not supported")
        }
    }

    /// BERT's words: text between white space, and each punctuation mark.
    static let bert: [Step] = [
        .split(.characters(.whitespace), .removed, isInverted: false),
        .split(.characters(.punctuation), .isolated, isInverted: false),
    ]

    private static func metaspace(_ node: JSONNode) throws -> Step {
        let options = try PartOptions(
            node, "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep")
        var scheme = PrependScheme.always
        if let given = options.optional("prepend_scheme") {
            guard let known = PrependScheme(rawValue: try given.string()) else {
                throw given.unsupported("is '\(try given.string())', which is not known")
            }
            scheme = known
        }
        if try !options.bool("add_prefix_space", true) {
            guard scheme == .never || options.optional("prepend_scheme") == nil else {
                throw node.fault("has an 'add_prefix_space' that contradicts its 'prepend_scheme'")
            }
            scheme = .never
        }
        return .metaspace(
            replacement: try options.scalar("replacement"), scheme, splits: try options.bool("split", true))
    }

    private static func behavior(_ node: JSONNode) throws -> Behavior {
        guard let behavior = Behavior(rawValue: try node.string()) else {
            throw node.unsupported("is '\(try node.string())', which is not known")
        }
        return behavior
    }

    private static func expression(_ source: String, _ node: JSONNode) throws -> TextMatcher {
        do {
            return .expression(try TextExpression(source))
        } catch {
            throw node.unsupported("has the regular expression '\(source)', which is not supported")
        }
    }
}
