/// A text that equals only texts of the same Unicode scalars.
///
/// Swift compares texts by canonical equivalence: "é" as one scalar equals "e" with a combining accent, and the Kelvin
/// sign equals "K". Files and other programs tell such texts apart, so names that come from outside (tensors, keys,
/// settings, files) are looked up and compared in this form.
public struct ExactString: Hashable, Sendable {
    /// The text.
    public let text: String

    /// Creates the form of a text that is compared exactly.
    public init(_ text: String) { self.text = text }

    /// Creates the form of a part of a text.
    public init(_ text: Substring) { self.text = String(text) }

    /// Returns true if both consist of the same scalars.
    public static func == (left: Self, right: Self) -> Bool { left.text.isExactly(right.text) }

    /// Hashes the scalars, as UTF-8.
    public func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        // No text contains this byte, so a text and its beginning differ inside of lists too.
        hasher.combine(UInt8.max)
    }
}

extension ExactString: Comparable {
    /// Compares the scalars one by one by their numbers, which is the order of the UTF-8 bytes.
    public static func < (left: Self, right: Self) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }
}

extension ExactString: ExpressibleByStringLiteral, CustomStringConvertible {
    /// Creates the form of a literal text.
    public init(stringLiteral text: String) { self.init(text) }

    /// The text.
    public var description: String { text }
}

extension StringProtocol {
    /// Returns true if both texts consist of the same Unicode scalars, which `==` does not demand.
    package func isExactly(_ other: some StringProtocol) -> Bool {
        utf8.elementsEqual(other.utf8)
    }

    /// Returns the rest of the text after the scalars of a prefix; `nil` if it begins with others.
    ///
    /// `hasPrefix` compares characters: it does not find "text:" before a combining accent.
    package func dropping(exactPrefix prefix: String) -> String? {
        guard utf8.starts(with: prefix.utf8) else { return nil }
        return String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }
}
