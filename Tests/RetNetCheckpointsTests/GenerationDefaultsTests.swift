import Foundation
import RetNetCheckpoints
import RetNetSettings
import RetNetTestSupport
import Testing

@Suite struct GenerationDefaultsTests {
    @Test("what is written is read back")
    func roundTrip() throws {
        var defaults = GenerationDefaults()
        defaults.maxTokens = 12
        defaults.samples = true
        defaults.temperature = 0.7
        defaults.topK = 40
        defaults.topP = 0.9
        defaults.minP = 0.05
        defaults.repetitionPenalty = 1.1
        defaults.endTokens = [2, 3]
        defaults.beginToken = 1
        defaults.paddingToken = 0
        #expect(try GenerationDefaults(json: defaults.jsonText()) == defaults)
        defaults.endTokens = [7]
        #expect(try defaults.jsonText().contains("\"eos_token_id\": 7"))
        #expect(try GenerationDefaults(json: defaults.jsonText()) == defaults)
    }

    @Test("an end token may be a number, a list or null, and unknown names are ignored")
    func endTokens() throws {
        #expect(try GenerationDefaults(json: #"{"eos_token_id": 5, "use_cache": true}"#).endTokens == [5])
        #expect(try GenerationDefaults(json: #"{"eos_token_id": [5, 6]}"#).endTokens == [5, 6])
        #expect(try GenerationDefaults(json: #"{"eos_token_id": null}"#).endTokens == nil)
    }

    @Test("all wrong values are named")
    func problems() {
        let text = """
            {"temperature": -1, "top_p": 0, "top_k": "many", "eos_token_id": [1, -2], "do_sample": 1,
             "max_new_tokens": 1.5, "min_p": 2, "repetition_penalty": 0, "bos_token_id": 4294967296}
            """
        let error = #expect(throws: SettingsError.self) { try GenerationDefaults(json: text) }
        #expect(error?.problems.count == 9)
        let list = #expect(throws: SettingsError.self) { try GenerationDefaults(json: "[]") }
        #expect(list?.problems.map(\.allowed) == ["an object"])
        #expect(
            errorText(SettingsError.self) { try GenerationDefaults(json: "{") }.contains(
                "a name in double quotes is missing"))
    }

    @Test("a folder without the file says nothing")
    func noFile() throws {
        try withTemporaryFolder { folder in
            let defaults = try GenerationDefaults(folder: folder)
            #expect(defaults == GenerationDefaults())
        }
    }
}
