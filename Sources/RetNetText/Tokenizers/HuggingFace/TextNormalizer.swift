import Foundation

/// A normalization of text, as a list of steps.
///
/// Source: Hugging Face tokenizers 0.23, `normalizers`.
struct TextNormalizer: Sendable {
    enum Step: Sendable {
        case form(UnicodeForm)
        case lowercase
        /// Leaves out combining marks; the stricter form leaves out only those without width.
        case stripAccents(onlyNonspacing: Bool)
        case strip(left: Bool, right: Bool)
        case replace(TextMatcher, content: [UInt8])
        case prepend([UInt8])
        case characterMap(CharacterMap)
        /// The clean-up of neural machine translation.
        case translationCleanup
        /// BERT's clean-up of control characters, and spaces around Chinese characters.
        case bertCleanup
        case bertChinese
        case byteLevel
    }

    var steps: [Step] = []

    /// True if text in ASCII and inert characters stays as it is.
    var onlyComposes: Bool {
        steps.allSatisfy {
            if case .form(.nfc) = $0 { true } else { false }
        }
    }

    /// The buffers of one thread.
    struct Workspace {
        var forms = UnicodeForm.Workspace()
        fileprivate var expressions = TextExpression.Workspace()
    }

    /// Returns the normalized form of a part of a text.
    ///
    /// A part that continues a text gets nothing in front. `omitsSpace` becomes true if spaces were left out at the end.
    func normalize(
        _ text: AlignedText, continues: Bool, tracks: Bool, omitsSpace: inout Bool,
        _ workspace: inout Workspace
    ) -> AlignedText {
        var text = text
        for step in steps where text.count > 0 {
            text.apply(step, continues: continues, tracks: tracks, omitsSpace: &omitsSpace, &workspace)
        }
        return text
    }

    /// Returns the normalized form of the text of a token.
    func normalize(_ token: [UInt8]) -> [UInt8] {
        token.withUnsafeBufferPointer { source in
            var (omitsSpace, workspace) = (false, Workspace())
            let text = AlignedText(source: source, range: 0..<source.count)
            let result = normalize(
                text, continues: false, tracks: false, omitsSpace: &omitsSpace, &workspace)
            return result.withBytes { Array($0) }
        }
    }
}

extension AlignedText {
    /// Replaces the text by what `body` makes of it.
    fileprivate mutating func transform(
        tracks: Bool, _ body: (inout TextTransform, UnsafeBufferPointer<UInt8>) -> Void
    ) {
        let text = self
        changed = text.withBytes { bytes in
            var transform = TextTransform(text, bytes, tracks: tracks)
            body(&transform, bytes)
            return transform.new
        }
    }

    /// Replaces each character by what `body` puts for it.
    private mutating func map(tracks: Bool, _ body: (inout TextTransform, UInt32, _ length: Int) -> Void) {
        transform(tracks: tracks) { transform, bytes in
            while transform.offset < bytes.count {
                let (value, length) = UTF8Reader.scalar(bytes, transform.offset)
                body(&transform, value, length)
            }
        }
    }

    fileprivate mutating func apply(
        _ step: TextNormalizer.Step, continues: Bool, tracks: Bool, omitsSpace: inout Bool,
        _ workspace: inout TextNormalizer.Workspace
    ) {
        switch step {
        case .form(let form):
            guard withBytes({ !form.keeps($0) }) else { return }
            transform(tracks: tracks) { form.apply(&$0, $1, &workspace.forms) }
        case .lowercase:
            map(tracks: tracks) { transform, value, length in
                guard let scalar = Unicode.Scalar(value) else { return transform.keep(length) }
                if value < 0x80 {
                    if (0x41...0x5A).contains(value) {
                        transform.put(value + 32, change: 0)
                    } else {
                        transform.keep(length)
                    }
                    return
                }
                for (index, lower) in scalar.properties.lowercaseMapping.unicodeScalars.enumerated() {
                    transform.put(lower.value, change: index > 0 ? 1 : 0)
                }
            }
        case .stripAccents(let onlyNonspacing):
            let mask = ScalarTable.mask(onlyNonspacing ? "Mn" : "M")
            filter(tracks: tracks) {
                // The two rules of the reference know Unicode 8 and 9.
                !(onlyNonspacing
                    ? ScalarTable.wasIn(mask, $0)
                    : $0 == 0x1CF2 || $0 == 0x1CF3
                        || ScalarTable.isIn(mask, $0) && $0 != 0x111C9 && ScalarTable.isNormalized($0))
            }
        case .strip(let left, let right):
            strip(left: left && !continues, right: right, tracks: tracks, &omitsSpace)
        case .replace(let matcher, let content):
            workspace.expressions.continues = continues
            defer { workspace.expressions.continues = false }
            replace(matcher, content, tracks: tracks, &workspace.expressions)
        case .prepend(let prefix):
            guard !continues else { return }
            transform(tracks: tracks) { transform, bytes in
                transform.put(prefix, like: 0)
                transform.keep(bytes.count)
            }
        case .characterMap(let map): apply(map, tracks: tracks)
        case .translationCleanup:
            filter(tracks: tracks) { value in
                switch value {
                case 0x1...0x8, 0xB, 0xE...0x1F, 0x7F, 0x8F, 0x9F: false
                default: true
                }
            }
            map(tracks: tracks) { transform, value, length in
                switch value {
                case 0x9, 0xA, 0xC, 0xD, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
                    transform.put(0x20, change: 0)
                default: transform.keep(length)
                }
            }
        case .bertCleanup:
            // As in the reference, numbers without a character stay.
            let others = ScalarTable.mask("C") & ~ScalarTable.mask("Cn")
            func isSpace(_ value: UInt32) -> Bool { value == 0x09 || value == 0x0A || value == 0x0D }
            filter(tracks: tracks) { value in
                isSpace(value) || value != 0 && value != 0xFFFD && !ScalarTable.wasIn(others, value)
            }
            map(tracks: tracks) { transform, value, length in
                if isSpace(value) || ScalarTable.isWhitespace(value) {
                    transform.put(0x20, change: 0)
                } else {
                    transform.keep(length)
                }
            }
        case .bertChinese:
            map(tracks: tracks) { transform, value, length in
                switch value {
                case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F,
                    0x2B740...0x2B81F,
                    0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
                    transform.put(0x20, change: 0)
                    transform.put(value, change: 1)
                    transform.put(0x20, change: 1)
                default: transform.keep(length)
                }
            }
        case .byteLevel:
            transform(tracks: tracks) { transform, bytes in
                while transform.offset < bytes.count {
                    let start = transform.offset
                    let length = UTF8Reader.scalar(bytes, start).length
                    for index in start..<start + length {
                        var text: [UInt8] = []
                        ByteAlphabet.append(bytes[index], to: &text)
                        transform.put(text, like: start)
                    }
                    transform.remove(byteCount: length)
                }
            }
        }
    }

    private mutating func filter(tracks: Bool, _ keeps: (UInt32) -> Bool) {
        map(tracks: tracks) { transform, value, length in
            if keeps(value) { transform.keep(length) } else { transform.remove() }
        }
    }

    private mutating func strip(left: Bool, right: Bool, tracks: Bool, _ omitsSpace: inout Bool) {
        var (start, end) = (0, count)
        withBytes { bytes in
            while left, start < bytes.count {
                let (value, length) = UTF8Reader.scalar(bytes, start)
                guard ScalarTable.isWhitespace(value) else { break }
                start += length
            }
            while right, end > start {
                let before = UTF8Reader.characterStart(bytes, before: end)
                guard ScalarTable.isWhitespace(UTF8Reader.scalar(bytes, before).value) else { break }
                end = before
            }
        }
        guard start > 0 || end < count else { return }
        omitsSpace = omitsSpace || end < count
        transform(tracks: tracks) { transform, _ in
            transform.remove(byteCount: start)
            transform.keep(end - start)
        }
    }

    private mutating func replace(
        _ matcher: TextMatcher, _ content: [UInt8], tracks: Bool,
        _ workspace: inout TextExpression.Workspace
    ) {
        var matches: [Range<Int>] = []
        withBytes { bytes in
            matcher.forEachMatch(bytes, 0..<bytes.count, isBytes: false, &workspace) {
                matches.append($0..<$1)
            }
        }
        guard !matches.isEmpty else { return }
        transform(tracks: tracks) { transform, bytes in
            for match in matches {
                transform.keep(match.lowerBound - transform.offset)
                // What is put in the place of a match stands for its last character.
                transform.put(content, like: match.upperBound - 1)
                transform.remove(byteCount: match.count)
            }
            transform.keep(bytes.count - transform.offset)
        }
    }

    /// Replaces characters by a SentencePiece map, with the reference's rules for characters that readers see as one.
    private mutating func apply(_ map: CharacterMap, tracks: Bool) {
        transform(tracks: tracks) { transform, bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            var isASCII = true
            for character in text {
                let utf8 = Array(character.utf8)
                isASCII = utf8.count == 1
                if isASCII, map.keepsASCIIAlone(utf8[0]) {
                    transform.keep(1)
                    continue
                }
                if utf8.count < 6, let new = utf8.withUnsafeBufferPointer({ map.shortestMatch($0) }) {
                    Self.put(map.text(new), for: character.unicodeScalars.count, &transform)
                    continue
                }
                for scalar in character.unicodeScalars {
                    let part = Array(String(scalar).utf8)
                    if let new = part.withUnsafeBufferPointer({ map.shortestMatch($0) }) {
                        Self.put(map.text(new), for: 1, &transform)
                    } else {
                        transform.keep(part.count)
                    }
                }
            }
        }
    }

    /// Puts a replacement in the place of a number of characters.
    private static func put(_ new: ArraySlice<UInt8>, for oldCount: Int, _ transform: inout TextTransform) {
        let scalars = Array(String(decoding: new, as: UTF8.self).unicodeScalars)
        guard !scalars.isEmpty else { return transform.remove(oldCount) }
        for (index, scalar) in scalars.enumerated() {
            let isLast = index == scalars.count - 1
            let change = index >= oldCount ? 1 : isLast ? scalars.count - oldCount : 0
            transform.put(scalar.value, change: change)
        }
    }
}

// MARK: Reading

extension TextNormalizer {
    /// Reads the section of a file; throws ``TokenizerFault`` for unknown parts.
    init(_ node: JSONNode) throws { steps = try Self.steps(node) }

    /// BERT's clean-up, with the choices that its models differ in.
    static func bert(lowercases: Bool, splitsChinese: Bool, stripsAccents: Bool) -> TextNormalizer {
        var normalizer = TextNormalizer()
        normalizer.steps = [.bertCleanup]
        if splitsChinese { normalizer.steps.append(.bertChinese) }
        if stripsAccents { normalizer.steps += [.form(.nfd), .stripAccents(onlyNonspacing: true)] }
        if lowercases { normalizer.steps.append(.lowercase) }
        return normalizer
    }

    private static func steps(_ node: JSONNode) throws -> [Step] {
        let type = try node.partType()
        switch type {
        case "Sequence":
            let parts = try PartOptions(node, "normalizers").required("normalizers").elements()
            return try parts.flatMap { try steps($0) }
        case "NFC", "NFD", "NFKC", "NFKD":
            _ = try PartOptions(node)
            return UnicodeForm(rawValue: type).map { [.form($0)] } ?? []
        case "Lowercase":
            _ = try PartOptions(node)
            return [.lowercase]
        case "StripAccents":
            _ = try PartOptions(node)
            return [.stripAccents(onlyNonspacing: false)]
        case "Nmt":
            _ = try PartOptions(node)
            return [.translationCleanup]
        case "ByteLevel":
            _ = try PartOptions(node, "add_prefix_space", "trim_offsets", "use_regex")
            return [.byteLevel]
        case "Strip":
            let options = try PartOptions(node, "strip_left", "strip_right")
            return [.strip(left: try options.bool("strip_left"), right: try options.bool("strip_right"))]
        case "Prepend":
            return [.prepend(Array(try PartOptions(node, "prepend").string("prepend").utf8))]
        case "Replace":
            let options = try PartOptions(node, "pattern", "content")
            return [
                .replace(
                    try TextMatcher(options.required("pattern")),
                    content: Array(try options.string("content").utf8))
            ]
        case "Bert", "BertNormalizer":
            let options = try PartOptions(
                node, "clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
            let lowercases = try options.bool("lowercase")
            let bert = TextNormalizer.bert(
                lowercases: lowercases, splitsChinese: try options.bool("handle_chinese_chars"),
                stripsAccents: try options.bool("strip_accents", lowercases))
            return try options.bool("clean_text") ? bert.steps : Array(bert.steps.dropFirst())
        case "Precompiled":
            let map = try PartOptions(node, "precompiled_charsmap").optional("precompiled_charsmap")
            guard let map else { return [] }
            guard let bytes = Data(base64Encoded: try map.string()) else { throw map.fault("is not base64") }
            do {
                return bytes.isEmpty
                    ? [] : [.characterMap(try CharacterMap(Array(bytes), in: 0..<bytes.count))]
            } catch let fault as WireReader.Fault {
                throw map.fault("is damaged: \(fault.reason)")
            }
        default: throw node.unsupported("has the type '\(type)', which is not supported")
        }
    }
}
