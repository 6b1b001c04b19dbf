import Foundation
import Testing

@testable import RetNetText

/// Calls `body` with a new folder that is removed afterwards.
func withTemporaryFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.path + "/retnet-text-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
}

/// Writes a file, making the folders above it.
@discardableResult
func put(_ data: Data, at path: String) throws -> String {
    let url = URL(fileURLWithPath: path)
    try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try data.write(to: url)
    return path
}

@discardableResult
func put(_ text: String, at path: String) throws -> String {
    try put(Data(text.utf8), at: path)
}

/// Expects that `body` throws a `TextError` whose text holds all the given pieces.
func expectTextError(
    _ pieces: String..., sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    do {
        try body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as TextError {
        for piece in pieces {
            #expect(error.description.contains(piece), sourceLocation: sourceLocation)
        }
        #expect(error.localizedDescription == error.description, sourceLocation: sourceLocation)
    } catch {
        Issue.record("another error was thrown: \(error)", sourceLocation: sourceLocation)
    }
}

/// A tokenizer whose tokens are the bytes plus an offset, for vocabularies of any size.
struct OffsetTokenizer: Tokenizer {
    var offset: Int32 = 300
    var vocabularySize = 1_000
    var beginToken: Int32?
    var endToken: Int32? { nil }
    var paddingToken: Int32? { nil }
    var identity: String { "offset-\(offset)" }

    func encode(utf8 bytes: UnsafeRawBufferPointer) -> [Int32] { bytes.map { Int32($0) + offset } }
    func bytes(of token: Int32) -> [UInt8] { UInt8(exactly: token - offset).map { [$0] } ?? [] }
    func save(to folder: String) throws {}
}

/// The bytes of a token of a numbered stream: often none, sometimes more than a byte can count.
func numberedByteCount(_ token: Int32) -> Int { token % 5 == 0 ? 0 : token % 7 == 3 ? 200 + Int(token) : 4 }

/// A stream of documents with the given lengths whose tokens are all different.
func numberedStream(_ counts: [Int], beginToken: Int32? = 1_000_000) throws -> TokenStream {
    let tokenizer = OffsetTokenizer(offset: 0, vocabularySize: 1 << 21, beginToken: beginToken)
    let collector = TokenCollector(
        vocabularySize: tokenizer.vocabularySize, path: "numbers", isBytewise: false)
    var next: Int32 = 0
    var parts: [TokenStream.Part] = []
    for count in counts {
        parts.append(TokenStream.Part(source: 0, start: Int(next)))
        try collector.append(
            EncodedText(
                tokens: (0..<count).map { next + Int32($0) },
                byteCounts: (0..<count).map { numberedByteCount(next + Int32($0)) }))
        collector.endDocument()
        next += Int32(count)
    }
    let finished = try #require(collector.finish())
    return try TokenStream(
        like: tokenizer, sources: [finished.source], parts: parts, counts: counts, paths: ["numbers"])
}

extension TokenStream {
    var allTokens: [Int32] {
        get throws { try tokens(in: 0..<tokenCount) }
    }
}
