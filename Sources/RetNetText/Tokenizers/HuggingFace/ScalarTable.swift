/// Facts about Unicode scalars, as sets of general categories and some properties.
///
/// They come from Swift's standard library (Unicode 17 in Swift 6.3). The reference knows earlier versions, so the
/// few characters that these lack are classified differently there; BERT's rules have Unicode 8 in both.
struct ScalarClass: Sendable, Hashable {
    /// A bit for each general category, in the order of ``ScalarTable/categoryNames``.
    var categories: UInt32 = 0
    var isWhitespace = false
    /// `\w` of the reference: letters, marks, decimal digits, connectors and joiners.
    var isWord = false

    static let letter = ScalarClass(categories: ScalarTable.mask("L"))
    static let number = ScalarClass(categories: ScalarTable.mask("N"))
}

/// A table of the facts of all scalars.
enum ScalarTable {
    /// The names of the general categories; an index here is a bit of a mask.
    static let categoryNames = [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf",
        "Po",
        "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
    ]

    /// Returns the categories whose names begin with a prefix; none for unknown names.
    static func mask(_ prefix: String) -> UInt32 {
        var mask: UInt32 = 0
        for (index, name) in categoryNames.enumerated() where name.hasPrefix(prefix) {
            mask |= 1 << UInt32(index)
        }
        return mask
    }

    static let categoryBits: UInt16 = 0x1F
    static let whitespaceBit: UInt16 = 1 << 5
    static let wordBit: UInt16 = 1 << 6
    /// Not inert in composition: may change, or change what stands before it, under NFC.
    static let composingBit: UInt16 = 1 << 7

    /// The end of the part with a table; letters beyond it are rare and looked up one by one.
    private static let tableCount = 0x20000
    private static let table: [UInt16] = (0..<UInt32(tableCount)).map { compute($0) }

    /// Returns the facts of a scalar: its category's index and the bits above.
    @inline(__always) static func facts(_ value: UInt32) -> UInt16 {
        value < UInt32(tableCount) ? table[Int(value)] : compute(value)
    }

    /// Calls `body` with the table of the first scalars.
    @inline(__always) static func withTable<R>(_ body: (Reader) -> R) -> R {
        table.withUnsafeBufferPointer { body(Reader(table: $0)) }
    }

    /// The table as a pointer, for loops over texts.
    struct Reader {
        fileprivate let table: UnsafeBufferPointer<UInt16>

        @inline(__always) func facts(_ value: UInt32) -> UInt16 {
            value < UInt32(table.count) ? table[Int(value)] : ScalarTable.compute(value)
        }

        @inline(__always) func isIn(_ mask: UInt32, _ value: UInt32) -> Bool {
            mask >> UInt32(facts(value) & ScalarTable.categoryBits) & 1 != 0
        }
    }

    /// Returns true if a scalar is in one of the categories of a mask.
    @inline(__always) static func isIn(_ mask: UInt32, _ value: UInt32) -> Bool {
        mask >> UInt32(facts(value) & categoryBits) & 1 != 0
    }

    /// Returns true if a scalar was in one of the categories of a mask in Unicode 8, which the reference's rules for BERT and
    /// for punctuation know (its crate `unicode_categories`).
    static func wasIn(_ mask: UInt32, _ value: UInt32) -> Bool {
        let category: UInt16
        switch value {
        case ..<0x80: return isIn(mask, value)
        // Characters that changed their category since.
        case 0x166D, 0x111C9: category = index(of: .otherPunctuation)
        case 0x1734, 0x1171E: category = index(of: .nonspacingMark)
        case 0x1885, 0x1886: category = index(of: .otherLetter)
        case 0xA9BD: category = index(of: .spacingMark)
        default:
            guard isIn(mask, value) || mask & ScalarTable.mask("Cn") != 0 else { return false }
            guard let age = Unicode.Scalar(value)?.properties.age, age.major <= 8 else {
                category = index(of: .unassigned)
                break
            }
            return isIn(mask, value)
        }
        return mask >> UInt32(category) & 1 != 0
    }

    /// Returns true if Unicode 9, whose normalization the reference has, knows a scalar.
    static func isNormalized(_ value: UInt32) -> Bool {
        value < 0x80 || (Unicode.Scalar(value)?.properties.age.map { $0.major <= 9 } ?? false)
    }

    @inline(__always) static func isWhitespace(_ value: UInt32) -> Bool { facts(value) & whitespaceBit != 0 }
    @inline(__always) static func isWord(_ value: UInt32) -> Bool { facts(value) & wordBit != 0 }

    private static func compute(_ value: UInt32) -> UInt16 {
        guard let scalar = Unicode.Scalar(value) else { return index(of: .surrogate) }
        let properties = scalar.properties
        let category = properties.generalCategory
        var facts = index(of: category)
        if properties.isWhitespace { facts |= whitespaceBit }
        let isMark = category == .nonspacingMark || category == .spacingMark || category == .enclosingMark
        if isMark || category == .decimalNumber || category == .connectorPunctuation
            || properties.isAlphabetic
            || properties.isJoinControl
        {
            facts |= wordBit
        }
        // The second halves of compositions are marks, Hangul vowels and finals, and letters of Kirat Rai.
        let isHangulPart = (0x1160...0x11FF).contains(value)
        if isMark || isHangulPart || (0x16D63...0x16D6A).contains(value)
            || properties.isFullCompositionExclusion
            || properties.canonicalCombiningClass != .notReordered
        {
            facts |= composingBit
        }
        return facts
    }

    private static func index(of category: Unicode.GeneralCategory) -> UInt16 {
        switch category {
        case .uppercaseLetter: 0
        case .lowercaseLetter: 1
        case .titlecaseLetter: 2
        case .modifierLetter: 3
        case .otherLetter: 4
        case .nonspacingMark: 5
        case .spacingMark: 6
        case .enclosingMark: 7
        case .decimalNumber: 8
        case .letterNumber: 9
        case .otherNumber: 10
        case .connectorPunctuation: 11
        case .dashPunctuation: 12
        case .openPunctuation: 13
        case .closePunctuation: 14
        case .initialPunctuation: 15
        case .finalPunctuation: 16
        case .otherPunctuation: 17
        case .mathSymbol: 18
        case .currencySymbol: 19
        case .modifierSymbol: 20
        case .otherSymbol: 21
        case .spaceSeparator: 22
        case .lineSeparator: 23
        case .paragraphSeparator: 24
        case .control: 25
        case .format: 26
        case .surrogate: 27
        case .privateUse: 28
        case .unassigned: 29
        @unknown default: 29
        }
    }
}

/// The characters of the byte-level alphabet: one visible character for each byte (GPT-2's `encoder.py`).
enum ByteAlphabet {
    /// The scalar of each byte.
    static let scalars: [UInt32] = {
        func isVisible(_ byte: UInt32) -> Bool {
            (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
        }
        var next: UInt32 = 256
        return (0..<UInt32(256)).map { byte in
            if isVisible(byte) { return byte }
            defer { next += 1 }
            return next
        }
    }()

    /// The byte of each scalar below 324; -1 for scalars that are not in the alphabet.
    static let bytes: [Int16] = {
        var bytes = [Int16](repeating: -1, count: 324)
        for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar)] = Int16(byte) }
        return bytes
    }()

    /// Returns the bytes that a token spells; `nil` if a character is not in the alphabet.
    static func decode(_ token: some Collection<UInt8>) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(token.count)
        var index = token.startIndex
        while index < token.endIndex {
            var value = UInt32(token[index])
            token.formIndex(after: &index)
            if value >= 0x80 {
                // All others of the alphabet take two bytes.
                guard value & 0xE0 == 0xC0, index < token.endIndex else { return nil }
                value = (value & 0x1F) << 6 | UInt32(token[index] & 0x3F)
                token.formIndex(after: &index)
            }
            guard value < 324, bytes[Int(value)] >= 0 else { return nil }
            result.append(UInt8(bytes[Int(value)]))
        }
        return result
    }

    /// Appends the character of a byte in UTF-8.
    @inline(__always) static func append(_ byte: UInt8, to text: inout [UInt8]) {
        let value = scalars[Int(byte)]
        if value < 0x80 {
            text.append(UInt8(truncatingIfNeeded: value))
        } else {
            text.append(0xC0 | UInt8(truncatingIfNeeded: value >> 6))
            text.append(0x80 | UInt8(truncatingIfNeeded: value & 0x3F))
        }
    }
}

/// Decoding of valid UTF-8.
enum UTF8Reader {
    /// Returns the scalar that begins at an index, and its length in bytes; cut characters read as their lead byte.
    @inline(__always) static func scalar(_ text: UnsafeBufferPointer<UInt8>, _ index: Int) -> (
        value: UInt32, length: Int
    ) {
        let first = UInt32(text[index])
        if first < 0x80 { return (first, 1) }
        let length = UTF8Character.leadLength(text[index])
        guard index &+ length <= text.count, length > 1 else { return (first, 1) }
        let second = UInt32(text[index &+ 1] & 0x3F)
        if length == 2 { return ((first & 0x1F) << 6 | second, 2) }
        let third = UInt32(text[index &+ 2] & 0x3F)
        if length == 3 { return ((first & 0xF) << 12 | second << 6 | third, 3) }
        return ((first & 7) << 18 | second << 12 | third << 6 | UInt32(text[index &+ 3] & 0x3F), 4)
    }

    /// Returns the start of the character before an index.
    @inline(__always) static func characterStart(_ text: UnsafeBufferPointer<UInt8>, before index: Int) -> Int
    {
        var start = index &- 1
        while start > 0, text[start] & 0xC0 == 0x80 { start &-= 1 }
        return start
    }

    /// Appends a scalar in UTF-8.
    @inline(__always) static func append(_ value: UInt32, to text: inout [UInt8]) {
        if value < 0x80 {
            text.append(UInt8(truncatingIfNeeded: value))
        } else if value < 0x800 {
            text.append(0xC0 | UInt8(truncatingIfNeeded: value >> 6))
            text.append(0x80 | UInt8(truncatingIfNeeded: value & 0x3F))
        } else if value < 0x10000 {
            text.append(0xE0 | UInt8(truncatingIfNeeded: value >> 12))
            text.append(0x80 | UInt8(truncatingIfNeeded: value >> 6 & 0x3F))
            text.append(0x80 | UInt8(truncatingIfNeeded: value & 0x3F))
        } else {
            text.append(0xF0 | UInt8(truncatingIfNeeded: value >> 18))
            text.append(0x80 | UInt8(truncatingIfNeeded: value >> 12 & 0x3F))
            text.append(0x80 | UInt8(truncatingIfNeeded: value >> 6 & 0x3F))
            text.append(0x80 | UInt8(truncatingIfNeeded: value & 0x3F))
        }
    }
}
