/// A place in a text that is encoded or decoded part by part.
///
/// Most SentencePiece models put a space in front of a text, collapse spaces and leave out those at the ends. The parts of a
/// text then have the tokens of the whole only if each begins where the one before ended. Other tokenizers encode all
/// places alike.
public enum TextPlace: String, Sendable, Hashable, Codable, CaseIterable {
    /// Before all text.
    case beginning
    /// After spaces at the beginning of a text that decoding leaves out.
    case leadingSpace = "leading_space"
    /// After a character other than a space.
    case inside
    /// After a space.
    case afterSpace = "after_space"
    /// After a space for which there is no token, because encoding leaves out spaces at the end.
    case afterOmittedSpace = "after_omitted_space"
    /// After a token with a space that the text does not have, because encoding adds one at the end.
    case afterAddedSpace = "after_added_space"
}

extension Tokenizer {
    /// Returns the tokens of a part of a text, and moves the place to its end.
    ///
    /// At ``TextPlace/beginning`` these are the tokens of a whole text. Consecutive parts have the tokens of the whole,
    /// unless a token or a character that is normalized spans a joint, or the model adds a space at the end of texts and
    /// the next part begins without one.
    public func encode(_ text: String, at place: inout TextPlace) -> [Int32] {
        var text = text
        return text.withUTF8 { encode(utf8: UnsafeRawBufferPointer($0), at: &place) }
    }

    /// Returns the tokens of UTF-8 text, which are the same at all places, and moves the place to its end.
    public func encode(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace) -> [Int32] {
        if let last = bytes.last { place = last == 0x20 ? .afterSpace : .inside }
        return encode(utf8: bytes)
    }

    /// Returns the bytes of a token, which are the same at all places, and moves the place behind it.
    public func bytes(of token: Int32, at place: inout TextPlace) -> [UInt8] {
        let bytes = bytes(of: token)
        place = place.after(bytes, isEnd: token == beginToken || token == endToken)
        return bytes
    }

    /// Returns the place behind tokens of a text.
    public func place(after tokens: some Sequence<Int32>, from place: TextPlace = .beginning) -> TextPlace {
        var place = place
        for token in tokens { _ = bytes(of: token, at: &place) }
        return place
    }
}

extension TextPlace {
    /// Returns the place behind a token with the given bytes; the tokens around texts lead to the beginning.
    func after(_ bytes: some BidirectionalCollection<UInt8>, isEnd: Bool) -> TextPlace {
        if isEnd { return .beginning }
        return bytes.last.map { $0 == 0x20 ? .afterSpace : .inside } ?? self
    }
}
