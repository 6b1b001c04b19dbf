import Foundation
import RetNetStorage

/// A tokenizer of Hugging Face: a `tokenizer.json`, or GPT-2's vocabulary with its merges.
///
/// Encodes and decodes as release 0.23 of the library `tokenizers` does: byte-pair, unigram, word-piece and word models with
/// their normalizers, pre-tokenizers, decoders and added tokens. A part or an option that is not known is refused by name.
/// Tokens around texts (the post-processor's) are never added by encoding; see ``tokensAround``. Truncation and padding of
/// the file are ignored, since streams and batches have their own lengths.
public final class HuggingFaceTokenizer: SentinelTokenizer {
    /// The value of `kind` in a folder's `tokenizer_config.json`.
    public static let kind = "huggingface"
    // The largest files in use have 35 MB.
    static let maximumByteCount = 1 << 27

    /// The largest number of a token plus one.
    public let vocabularySize: Int
    /// The sentinels `<extra_id_0>` and so on in the order of their use; often none.
    public let sentinels: [Int32]
    /// The name of this tokenizer in files of tokens, with a checksum of its files.
    public let identity: String
    /// What encoding does with text that spells a special token; by default it is recognized, as in the reference.
    public let specialTokensInText: SpecialTokensInText

    let core: TokenizerCore
    private let roles: TokenizerRoles
    /// The files from which the tokenizer was made, by name.
    let files: [(name: String, bytes: [UInt8])]
    let companions: TokenizerCompanions
    /// True if the model's texts begin with the begin token, whatever the files say.
    let beginsTexts: Bool
    private let excluded: Set<Int32>
    private let states = EncodingStates()

    init(
        _ core: TokenizerCore, roles: TokenizerRoles, files: [(name: String, bytes: [UInt8])],
        companions: TokenizerCompanions = TokenizerCompanions(), beginsTexts: Bool = false, identity: String,
        specialTokensInText: SpecialTokensInText
    ) {
        self.core = core
        self.roles = roles
        self.files = files
        self.companions = companions
        self.beginsTexts = beginsTexts
        self.identity = identity
        self.specialTokensInText = specialTokensInText
        vocabularySize = core.endNumber
        var sentinels: [Int32] = []
        while let token = core.number(Self.sentinelName(sentinels.count)) { sentinels.append(token) }
        self.sentinels = sentinels
        excluded =
            specialTokensInText == .recognized
            ? [] : Set(core.added.tokens.filter(\.isSpecial).map(\.number))
    }

    /// The token before each document, if the files name one.
    public var beginToken: Int32? { roles.begin }
    /// The token at the end of a text, if the files name one.
    public var endToken: Int32? { roles.end }
    /// The token at unused positions of a batch, if the files name one.
    public var paddingToken: Int32? { roles.padding }
    /// The token for text that the vocabulary cannot express, if there is one.
    public var unknownToken: Int32? { roles.unknown }

    /// The tokens that the file puts before and after a single text.
    public var tokensAround: (before: [Int32], after: [Int32]) { (core.frame.before, core.frame.after) }

    /// Returns the same tokenizer with another choice for text that spells a special token.
    public func with(_ choice: SpecialTokensInText) -> any Tokenizer {
        guard choice != specialTokensInText else { return self }
        return HuggingFaceTokenizer(
            core, roles: roles, files: files, companions: companions, beginsTexts: beginsTexts,
            identity: identity, specialTokensInText: choice)
    }

    /// The tokens that the file puts before a single text; the begin token for models that are trained here.
    public var textStart: [Int32] {
        beginsTexts ? beginToken.map { [$0] } ?? core.frame.before : core.frame.before
    }

    /// Returns the same tokenizer for a model whose texts begin with the begin token.
    public func beginningTexts() -> any Tokenizer {
        guard !beginsTexts || companions.configurationIsTheirs else { return self }
        var companions = companions
        companions.configurationIsTheirs = false
        return HuggingFaceTokenizer(
            core, roles: roles, files: files, companions: companions, beginsTexts: true, identity: identity,
            specialTokensInText: specialTokensInText)
    }

    /// Returns the text of a special token, or of one with a role, in the files.
    public func specialName(of token: Int32) -> String? {
        if let added = core.added.token(token) { return String(decoding: added.content, as: UTF8.self) }
        guard [beginToken, endToken, paddingToken, unknownToken].contains(token) else { return nil }
        return String(decoding: core.vocabulary.text(Int(token)), as: UTF8.self)
    }

    /// Returns the number of a token by its text in the file, such as `Ġthe`.
    public func token(named name: String) -> Int32? { core.number(name) }

    // MARK: Encoding

    /// Returns the tokens of a text; invalid bytes are encoded as U+FFFD.
    public func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] {
        var place = TextPlace.beginning
        return encode(utf8: bytes, at: &place)
    }

    /// Returns the tokens of a part of a text; only at its beginning, a space is put in front where the file says so.
    public func encode(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace) -> [Int32] {
        encode(bytes, at: &place, tracks: false).tokens
    }

    /// Returns the tokens of a part of a text with the bytes of the text that each stands for.
    ///
    /// Tokens that spell parts of a character stand for parts of its bytes; what normalization drops counts for a
    /// neighbor.
    public func encodeCountingBytes(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace)
        -> EncodedText
    {
        let output = encode(bytes, at: &place, tracks: true)
        var (counts, start) = ([Int](), 0)
        counts.reserveCapacity(output.cuts.count)
        for cut in output.cuts {
            counts.append(cut - start)
            start = cut
        }
        if !counts.isEmpty { counts[counts.count - 1] += bytes.count - start }
        return EncodedText(tokens: output.tokens, byteCounts: counts)
    }

    /// Returns the tokens of a part of a text with the range of it that each stands for, as in the reference.
    public func encodeWithOffsets(utf8 bytes: UnsafeRawBufferPointer, at place: inout TextPlace)
        -> LocatedText
    {
        let output = encode(bytes, at: &place, tracks: true)
        return LocatedText(
            tokens: output.tokens, ranges: zip(output.starts, output.ends).map { $0..<max($0, $1) })
    }

    private func encode(_ bytes: UnsafeRawBufferPointer, at place: inout TextPlace, tracks: Bool)
        -> EncodingState.Output
    {
        guard !bytes.isEmpty else { return EncodingState.Output() }
        var state = states.take()
        let request = TokenizerCore.Request(
            place: place, recognizesSpecial: specialTokensInText == .recognized, excluded: excluded,
            tracks: tracks)
        bytes.withMemoryRebound(to: UInt8.self) { core.encode($0, request, &state) }
        let output = state.output
        state.output = EncodingState.Output()
        states.put(state)
        let endsInSpace = bytes.last == 0x20
        place = output.omitsSpace ? .afterOmittedSpace : endsInSpace ? .afterSpace : .inside
        return output
    }

    // MARK: Decoding

    /// Returns the bytes of a token, with spaces as such; none for special tokens and numbers outside the vocabulary.
    public func bytes(of token: Int32) -> [UInt8] {
        guard let content = textContent(token) else { return [] }
        return core.decoder.bytes(content, isFirst: false).bytes
    }

    /// Returns the bytes that a token adds to a text, without the space that encoding puts in front.
    public func bytes(of token: Int32, at place: inout TextPlace) -> [UInt8] {
        guard let content = textContent(token) else {
            if token == beginToken || token == endToken { place = .beginning }
            return []
        }
        var (bytes, endsWord) = core.decoder.bytes(content, isFirst: place == .beginning)
        // The space of a word's end comes with what follows it.
        if place == .afterOmittedSpace, endsWords { bytes.insert(0x20, at: 0) }
        place = endsWord ? .afterOmittedSpace : bytes.last == 0x20 ? .afterSpace : .inside
        return bytes
    }

    private var endsWords: Bool {
        (core.decoder.steps ?? []).contains { if case .wordEnds = $0 { true } else { false } }
    }

    /// Returns the text of tokens as the reference does, without special tokens; invalid UTF-8 becomes U+FFFD.
    public func decode(_ tokens: [Int32]) -> String {
        core.decoder.decode(tokens.compactMap { textContent($0) })
    }

    private func textContent(_ token: Int32) -> [UInt8]? {
        if token == beginToken || token == endToken || token == paddingToken { return nil }
        return core.content(token)
    }
}
