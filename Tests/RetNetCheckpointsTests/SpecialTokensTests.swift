import Foundation
import RetNetCheckpoints
import RetNetLayers
import RetNetModels
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

/// Models and tokenizers that disagree on the numbers of special tokens.
@Suite struct SpecialTokensTests {
    private func tokenizer(_ special: [(String, SentencePieceFile.Kind)], sentinelCount: Int = 0) throws
        -> SentencePieceTokenizer
    {
        let file = SentencePieceFile(special: special, words: ["▁", "▁the"], letters: "abcdefgh")
        return try SentencePieceTokenizer(bytes: file.bytes, sentinelCount: sentinelCount)
    }

    /// `<unk>`, `<s>` and `</s>`, the order of most decoder-only models, without padding.
    private func plain() throws -> SentencePieceTokenizer {
        try tokenizer([("<unk>", .unknown), ("<s>", .control), ("</s>", .control)])
    }

    /// Padding and unknown alone: nothing ends a text.
    private func endless() throws -> SentencePieceTokenizer {
        try tokenizer([("<pad>", .control), ("<unk>", .unknown)])
    }

    private func model(padding: Int = 0, end: Int = 1, start: Int = 0) -> T5Configuration {
        T5Configuration(
            vocabularySize: 400, hiddenSize: 8, headCount: 2, keySize: 3, innerSize: 12, encoderLayerCount: 1,
            paddingToken: padding, endToken: end, startToken: start)
    }

    @Test func `The end token of a T5 is that of its tokenizer, which must have one`() throws {
        #expect(model().specialTokenProblems(with: SentinelByteTokenizer()).isEmpty)
        let t5 = try tokenizer(
            [("<pad>", .control), ("</s>", .control), ("<unk>", .unknown)], sentinelCount: 9)
        #expect(model().specialTokenProblems(with: t5).isEmpty)
        // The token 1, at which the model would end its texts, is what the tokenizer makes of unknown text.
        #expect(try model().specialTokenProblems(with: endless()) == [.noEndToken])
        #expect(
            try model().specialTokenProblems(with: plain()) == [
                .differs(.end, model: 1, tokenizer: 2), .taken(.padding, model: 0, by: "the unknown token"),
            ])
        #expect("\(SpecialTokenProblem.noEndToken)".contains("--eos_id"))
        #expect(
            "\(SpecialTokenProblem.differs(.end, model: 1, tokenizer: 2))"
                == "the end token of the model is 1, but that of the tokenizer is 2: set end_token (eos_token_id in"
                + " config.json) to 2")
    }

    @Test func `Padding and start are no text, no sentinel and not the unknown token`() throws {
        #expect(
            model(padding: 7).specialTokenProblems(with: SentinelByteTokenizer())
                == [.differs(.padding, model: 7, tokenizer: 0)])
        #expect(
            model(start: 383).specialTokenProblems(with: SentinelByteTokenizer())
                == [.taken(.start, model: 383, by: "a sentinel")])
        #expect(
            model(start: 2).specialTokenProblems(with: SentinelByteTokenizer())
                == [.taken(.start, model: 2, by: "the unknown token")])
        #expect(
            try model(padding: 4, end: 2, start: 4).specialTokenProblems(with: plain())
                == [.taken(.padding, model: 4, by: "the text ' the'")])
        // Begin token, or a row that no token of the tokenizer has.
        for padding in [1, 399] {
            #expect(try model(padding: padding, end: 2, start: 1).specialTokenProblems(with: plain()).isEmpty)
        }
    }

    @Test func `A preset takes size and special tokens of a tokenizer`() throws {
        let preset = try T5Preset.named("t5-2m").configuration
        #expect(preset.fitted(to: SentinelByteTokenizer()) == preset)
        for tokenizer: any Tokenizer in [
            try plain(), ByteTokenizer(), try tokenizer([("<unk>", .unknown), ("</s>", .control)]),
            try tokenizer(
                [("</s>", .control), ("<unk>", .unknown), ("<pad>", .control)], sentinelCount: 500),
        ] {
            let fitted = preset.fitted(to: tokenizer)
            #expect(fitted.specialTokenProblems(with: tokenizer).isEmpty, "\(fitted)")
            #expect(fitted.vocabularySize >= tokenizer.vocabularySize && fitted.problems().isEmpty)
            #expect(fitted.startToken == fitted.paddingToken)
        }
        #expect(try preset.fitted(to: plain()).paddingToken == 1)
        // What no setting can mend stays.
        #expect(try preset.fitted(to: endless()).specialTokenProblems(with: endless()) == [.noEndToken])
    }

    @Test func `A T5 folder that contradicts itself is neither written nor read`() throws {
        try withTemporaryFolder { parent in
            let store = ParameterStore(source: .random(seed: 3))
            let t5 = try T5Model(model(), parameters: store, computeType: .float32)
            func problems(_ body: () throws -> Void) throws -> [CheckpointProblem] {
                try #require(throws: CheckpointError.self, performing: body).problems
            }
            let folder = parent + "/model"
            #expect(
                try problems { try T5Folder.save(t5, tokenizer: endless(), to: folder) }
                    == [.specialToken(.noEndToken)])
            #expect(!FileManager.default.fileExists(atPath: folder))
            try T5Folder.save(t5, to: folder)
            try FileManager.default.removeItem(atPath: folder + "/checksums.json")
            try endless().save(to: folder)
            #expect(try problems { _ = try T5Folder.load(folder) } == [.specialToken(.noEndToken)])
        }
    }

    @Test func `Sampling settings agree with the tokens of model and tokenizer`() throws {
        try withTemporaryFolder { parent in
            func problems(_ json: String) throws -> [CheckpointProblem] {
                let folder = parent + "/\(UUID().uuidString)"
                try ModelFolder.save(tinyModel(), tokenizer: ByteTokenizer(), to: folder)
                try FileManager.default.removeItem(atPath: folder + "/checksums.json")
                try Data(json.utf8).write(to: URL(fileURLWithPath: folder + "/generation_config.json"))
                do {
                    _ = try ModelFolder.load(folder)
                    return []
                } catch let error as CheckpointError {
                    return error.problems
                }
            }
            #expect(
                try problems(#"{"eos_token_id": [254, 10], "bos_token_id": 255, "pad_token_id": 253}"#)
                    .isEmpty)
            let nothing = try problems("{}")
            #expect(nothing.isEmpty)
            #expect(
                try problems(#"{"eos_token_id": 10, "bos_token_id": 1, "pad_token_id": -1}"#).isEmpty,
                "the folder's choice, as in Transformers")
            #expect(
                try problems(#"{"eos_token_id": [254, 999]}"#)
                    == [.specialToken(.outside(.end, found: 999, vocabularySize: 256))])
        }
    }

    @Test
    func `What a folder says of ends and beginnings counts, and is told where the tokenizer says another`()
        throws
    {
        try withTemporaryFolder { parent in
            func remarks(_ json: String?, tokens: SpecialTokens = SpecialTokens()) throws -> (
                ends: [Int32]?, remarks: [String]
            ) {
                let folder = parent + "/\(UUID().uuidString)"
                var model = try tinyModel().configuration
                model.tokens = tokens
                let store = ParameterStore(source: .random(seed: 1))
                try ModelFolder.save(
                    LanguageModel(model, parameters: store, computeType: .float32), tokenizer: plain(),
                    to: folder)
                try FileManager.default.removeItem(atPath: folder + "/checksums.json")
                try FileManager.default.removeItem(atPath: folder + "/generation_config.json")
                if let json {
                    try Data(json.utf8).write(to: URL(fileURLWithPath: folder + "/generation_config.json"))
                }
                let loaded = try ModelFolder.load(folder)
                return (loaded.generationDefaults.endTokens, loaded.specialTokenRemarks)
            }
            let agreeing = try remarks(#"{"eos_token_id": [7, 2], "bos_token_id": 1}"#)
            #expect(agreeing == ([7, 2], []))
            #expect(try remarks(nil) == (nil, []))
            let other = try remarks(#"{"eos_token_id": [0, 4], "bos_token_id": 2}"#)
            #expect(other.ends == [0, 4] && other.remarks.count == 2)
            #expect(
                other.remarks.first
                    == "texts end at token 0 ('<unk>') or 4 (' the'), as generation_config.json says; the tokenizer's end "
                    + "token 2 ('</s>') does not end them")
            #expect(other.remarks.last?.contains("begin token 1 ('<s>'), not with 2 ('</s>')") == true)
            let own = try remarks(nil, tokens: SpecialTokens(end: 5))
            #expect(own.ends == [5] && own.remarks.first?.contains("as config.json says") == true)
            // The other file wins even so.
            #expect(try remarks(#"{"eos_token_id": 2}"#, tokens: SpecialTokens(end: 5)) == ([2], []))
        }
    }

    @Test
    func
        `A decoder-only model is not written with a tokenizer that is too large or ends texts outside of it`()
        throws
    {
        try withTemporaryFolder { parent in
            let error = try #require(throws: CheckpointError.self) {
                try ModelFolder.save(tinyModel(), tokenizer: SentinelByteTokenizer(), to: parent + "/model")
            }
            #expect(error.problems == [.vocabularyTooSmall(modelSize: 256, tokenizerSize: 384)])
            var defaults = GenerationDefaults()
            defaults.endTokens = [1, 256]
            let other = try #require(throws: CheckpointError.self) {
                try ModelFolder.save(
                    tinyModel(), tokenizer: plain(), to: parent + "/model", generationDefaults: defaults)
            }
            #expect(
                other.problems == [.specialToken(.outside(.end, found: 256, vocabularySize: 256))])
            #expect(try FileManager.default.contentsOfDirectory(atPath: parent).isEmpty)
        }
    }
}
