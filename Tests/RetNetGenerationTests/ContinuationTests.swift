import Foundation
import RetNetCheckpoints
import RetNetGeneration
import RetNetModels
import RetNetTestSupport
import RetNetText
import Testing

/// Prompts that continue what a session has read, with a tokenizer that puts a space in front of texts.
@Suite struct ContinuationTests {
    private func tokenizer() throws -> SentencePieceTokenizer {
        let file = SentencePieceFile(
            special: [("<unk>", .unknown), ("<s>", .control), ("</s>", .control)],
            words: ["▁", "▁the", "▁cat", "▁and"], letters: "thecand,")
        return try SentencePieceTokenizer(bytes: file.bytes)
    }

    private func session(_ model: LanguageModel, resuming saved: SavedState? = nil) throws
        -> GenerationSession
    {
        guard let saved else { return try GenerationSession(model: model, tokenizer: tokenizer()) }
        return try GenerationSession(model: model, tokenizer: tokenizer(), resuming: saved)
    }

    private let nothing = SamplingParameters.greedy(maxTokens: 0)

    @Test("A text that is read in parts, also saved in between, has the tokens of the whole")
    func parts() throws {
        let model = try tinyModel(vocabularySize: 15)
        for parts in [
            ["the cat", ", and"], ["the cat ", "and"], ["the cat", " and", "", " the"], ["", "the cat"],
        ] {
            let whole = try session(model)
            let count = try whole.generate([parts.joined()], nothing)[0].promptTokenCount
            let inParts = try session(model)
            var saved = try session(model)
            for part in parts {
                _ = try inParts.generate([part], nothing)
                _ = try saved.generate([part], nothing)
                saved = try session(model, resuming: saved.savedState())
            }
            #expect(inParts.tokenCounts == [count] && saved.tokenCounts == [count], "\(parts)")
            let logits = try #require(try whole.logits?.doubles())
            for other in [inParts, saved] {
                let found = try #require(try other.logits?.doubles())
                #expect(zip(logits, found).allSatisfy { abs($0 - $1) < 1e-9 }, "\(parts)")
            }
        }
    }

    @Test("Each row knows its own place, and new rows that of the row they come from")
    func rows() throws {
        let model = try tinyModel(vocabularySize: 15)
        let session = try session(model)
        _ = try session.generate(["the cat", "the cat "], nothing)
        let counts = try session.generate(["and", "and"], nothing).map(\.promptTokenCount)
        // 'a', 'n' and 'd', or the word after the space that was left out.
        #expect(counts == [3, 1])
        let forked = try self.session(model)
        _ = try forked.generate(["the cat"], nothing)
        #expect(try forked.generate([" and", ", and"], nothing).map(\.promptTokenCount) == [1, 2])
    }

    @Test("After a token that ends a text a new one begins, and its first space is not text")
    func ends() throws {
        let model = try tinyModel(vocabularySize: 15)
        let session = try session(model)
        try session.prefill([1, 4, 5, 2])
        #expect(try session.generate(["the"], nothing)[0].promptTokenCount == 1)
        try session.prefill([5])
        #expect(try session.generate(["the"], nothing)[0].promptTokenCount == 3)
        // The text of a session is that of its tokens, from the beginning on.
        var parameters = SamplingParameters.greedy(maxTokens: 8)
        parameters.temperature = 1
        parameters.stopsAtEndToken = false
        for seed in 0..<20 {
            parameters.seed = UInt64(seed)
            let made = try self.session(model).generate([""], parameters)[0]
            guard !made.tokens.contains(where: { $0 < 3 }) else { continue }
            #expect(try made.text == tokenizer().decode(made.tokens), "\(made.tokens)")
        }
    }

    @Test("States of earlier versions, which have no place, continue after their last token")
    func earlier() throws {
        let model = try tinyModel(vocabularySize: 15)
        let first = try session(model)
        _ = try first.generate(["the cat"], nothing)
        var saved = try #require(try first.savedState())
        for (key, value) in saved.metadata {
            let old = value.replacingOccurrences(of: #","place":"inside""#, with: "")
                .replacingOccurrences(of: #""place":"inside","#, with: "")
            #expect(old != value)
            saved.metadata[key] = old
        }
        #expect(try session(model, resuming: saved).generate([", and"], nothing)[0].promptTokenCount == 2)
        // A state of tokens alone, of which the last may begin a text.
        for (tokens, count) in [([4, 5], 2), ([5, 2], 3), ([5, 1], 3)] as [([Int32], Int)] {
            saved.metadata = try GenerationSession.metadata(afterTokens: [tokens])
            #expect(
                try session(model, resuming: saved).generate([", and"], nothing)[0].promptTokenCount == count)
        }
        saved.metadata = [:]
        #expect(try session(model, resuming: saved).generate([", and"], nothing)[0].promptTokenCount == 2)
    }
}
