/// A trained vocabulary as the `tokenizer.json` that Hugging Face's `tokenizers` reads.
///
/// Text is cut into words as in GPT-2 and every byte of it is a character of the vocabulary, so that every text can be
/// encoded and is decoded to itself.
struct TrainedVocabulary {
    /// The file.
    let json: [UInt8]

    /// The file of byte pairs: special tokens, then the bytes, then the piece of each merge.
    init(merges: [BytePairTrainer.Merge], specialTokens: SpecialTokenLayout) {
        var names = specialTokens.names + ByteAlphabet.names
        var model = "{\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
        model += "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
        model += "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n"
        var pairs: [String] = []
        for merge in merges {
            let (first, second) = (names[Int(merge.first)], names[Int(merge.second)])
            pairs.append("      [\n        \(Self.quoted(first)),\n        \(Self.quoted(second))\n      ]")
            names.append(first + second)
        }
        let entries = names.enumerated().map { "      \(Self.quoted($1)): \($0)" }
        model += "    \"vocab\": {\n" + entries.joined(separator: ",\n") + "\n    },\n"
        model += "    \"merges\": [" + (pairs.isEmpty ? "" : "\n" + pairs.joined(separator: ",\n") + "\n    ")
        model += "]\n  }"
        self.init(model: model, specialTokens: specialTokens)
    }

    /// The file of a unigram model: special tokens, then the pieces with the logarithms of their probabilities.
    init(pieces: [(bytes: [UInt8], score: Double)], specialTokens: SpecialTokenLayout) {
        let names =
            specialTokens.names.map { ($0, 0.0) } + pieces.map { (ByteAlphabet.name(of: $0.bytes), $0.score) }
        let entries = names.map { "      [\n        \(Self.quoted($0)),\n        \($1)\n      ]" }
        let model =
            "{\n    \"type\": \"Unigram\",\n    \"unk_id\": null,\n    \"vocab\": [\n"
            + entries.joined(separator: ",\n") + "\n    ],\n    \"byte_fallback\": false\n  }"
        self.init(model: model, specialTokens: specialTokens)
    }

    private init(model: String, specialTokens: SpecialTokenLayout) {
        let added = specialTokens.names.enumerated().map { id, name in
            """
                {
                  "id": \(id),
                  "content": \(Self.quoted(name)),
                  "single_word": false,
                  "lstrip": false,
                  "rstrip": false,
                  "normalized": false,
                  "special": true
                }
            """
        }
        let byteLevel = """
            {
                "type": "ByteLevel",
                "add_prefix_space": false,
                "trim_offsets": true,
                "use_regex": true
              }
            """
        json = Array(
            """
            {
              "version": "1.0",
              "truncation": null,
              "padding": null,
              "added_tokens": [\(added.isEmpty ? "" : "\n" + added.joined(separator: ",\n") + "\n  ")],
              "normalizer": null,
              "pre_tokenizer": \(byteLevel),
              "post_processor": \(Self.postProcessor(specialTokens)),
              "decoder": \(byteLevel),
              "model": \(model)
            }

            """.utf8)
    }

    /// The end token behind every text, for text-to-text models.
    private static func postProcessor(_ specialTokens: SpecialTokenLayout) -> String {
        guard specialTokens.appendsEnd, let end = specialTokens.end,
            let id = specialTokens.names.firstIndex(of: end)
        else { return "null" }
        let name = quoted(end)
        func sequence(_ id: String, _ type: Int) -> String {
            "{\"Sequence\": {\"id\": \"\(id)\", \"type_id\": \(type)}}"
        }
        func special(_ type: Int) -> String {
            "{\"SpecialToken\": {\"id\": \(name), \"type_id\": \(type)}}"
        }
        return """
            {
                "type": "TemplateProcessing",
                "single": [\(sequence("A", 0)), \(special(0))],
                "pair": [\(sequence("A", 0)), \(special(0)), \(sequence("B", 1)), \(special(1))],
                "special_tokens": {
                  \(name): {"id": \(name), "ids": [\(id)], "tokens": [\(name)]}
                }
              }
            """
    }

    /// Returns a text as a JSON string.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension ByteAlphabet {
    /// The number of each byte among all bytes in the order of their characters.
    static let ranks: [Int32] = {
        var result = [Int32](repeating: 0, count: 256)
        for (rank, byte) in ordered.enumerated() { result[Int(byte)] = Int32(rank) }
        return result
    }()

    /// The characters in their order.
    static var names: [String] { ordered.map { name(of: [$0]) } }

    private static var ordered: [UInt8] {
        (UInt8.min...UInt8.max).sorted { scalars[Int($0)] < scalars[Int($1)] }
    }

    /// Returns the characters of bytes.
    static func name(of bytes: [UInt8]) -> String {
        var result: [UInt8] = []
        for byte in bytes { append(byte, to: &result) }
        return String(decoding: result, as: UTF8.self)
    }
}
