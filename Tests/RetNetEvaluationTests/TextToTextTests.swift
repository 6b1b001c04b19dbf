import Foundation
import RetNetStorage
import RetNetText
import Testing

@testable import RetNetEvaluation

@Suite struct TextToTextTests {
    private func examples(_ task: TextToTextTask, _ text: String) throws -> [TextToTextExample] {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent(
            "task-\(UUID().uuidString).jsonl")
        try text.write(to: url, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: url) }
        return try TextToTextFile.examples(task, path: url.path)
    }

    @Test func `Inputs and targets are those of the reference`() throws {
        let sst2 = try examples(.sst2, "{\"sentence\": \"a fine film\", \"label\": 1}\n")
        #expect(sst2 == [TextToTextExample(input: "sst2 sentence: a fine film", target: "positive")])
        let cb = try examples(
            .cb, #"{"premise": "P", "hypothesis": "H", "label": "contradiction"}"#)
        #expect(cb[0].input == "cb hypothesis: H premise: P")
        #expect(cb[0].target == "contradiction")
        let boolq = try examples(.boolq, #"{"question": "is it", "passage": "It is.", "label": true}"#)
        #expect(boolq[0].input == "boolq passage: It is. question: is it")
        #expect(boolq[0].target == "True")
        let stsb = try examples(
            .stsb,
            #"{"sentence1": "a", "sentence2": "b", "score": 3.75}"# + "\n"
                + #"{"sentence1": "a", "sentence2": "b", "score": 0.31}"#)
        #expect(stsb.map(\.target) == ["3.8", "0.4"])
        let squad = try examples(
            .squad, #"{"context": "He (Max)  ran.", "question": "Who ran?", "answers": ["Max", "he"]}"#)
        #expect(squad[0].input == "question: Who ran ? context: He ( Max ) ran . ")
        #expect(squad[0].answers == ["Max", "he"])
        let trivia = try examples(
            .triviaQA, #"{"question": "Which root?", "answer": "Onion", "aliases": ["Onions"]}"#)
        #expect(trivia[0].answers == ["Onion", "Onions"])
    }

    /// Texts and what `_pad_punctuation` of T5's `preprocessors.py` makes of them.
    static let paddedTexts = [
        (
            "Who ran_fast?\u{A0}Max\u{2019}s \u{201C}dog\u{201D}\u{2014}now!",
            "Who ran _ fast ? \u{A0}Max\u{2019}s \u{201C}dog\u{201D}\u{2014}now ! "
        ),
        ("\u{1F469}\u{200D}\u{1F469}\u{200D}\u{1F467}!?", "\u{1F469}\u{200D}\u{1F469}\u{200D}\u{1F467} ! ? "),
        (
            "\u{645}\u{6CC}\u{200C}\u{62E}\u{648}\u{627}\u{647}\u{645}.",
            "\u{645}\u{6CC}\u{200C}\u{62E}\u{648}\u{627}\u{647}\u{645} . "
        ),
        ("a\u{D}\u{A} b\u{B}\u{2028}c ", "a b\u{B}\u{2028}c "),
        ("e\u{301}.", "e\u{301} . "),
        ("((x))", " ( ( x ) ) "),
        ("video \u{E9}t\u{E9} 1\u{20E3}", "video \u{E9}t\u{E9} 1\u{20E3}"),
        ("\u{BF}Qu\u{E9}? \u{AB}s\u{ED}\u{BB}", "\u{BF}Qu\u{E9} ? \u{AB}s\u{ED}\u{BB}"),
    ]

    @Test(arguments: paddedTexts)
    func `Questions, contexts and answers get spaces where T5 puts them`(text: String, padded: String) {
        #expect(Array(TextToTextTask.spaced(text).unicodeScalars) == Array(padded.unicodeScalars))
    }

    @Test func `An example of questions equals that of T5's own test`() throws {
        let squad = try examples(
            .squad,
            #"{"context": "Some context.", "question": "A question?", "answers": ["The answer.", "Another answer."]}"#
        )
        #expect(
            squad == [
                TextToTextExample(
                    input: "question: A question ? context: Some context . ", target: "The answer . ",
                    answers: ["The answer . ", "Another answer . "])
            ])
        #expect(squad[0].isAnsweredExactly(by: "The answer ."))
        #expect(!squad[0].isAnsweredExactly(by: "The answer."))
    }

    @Test func `Compression is recognized by content, and blank lines count`() throws {
        let text =
            "\u{FEFF}\n{\"sentence\": \"a\", \"label\": 1}\n\n \t\r\n{\"sentence\": \"b\", \"label\": 7}\n"
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tasks-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let compressed = Gzip.compress(Data(text.utf8))
        for (name, data) in [
            ("plain.gz", Data(text.utf8)), ("packed.jsonl", compressed), ("packed.jsonl.gz", compressed),
        ] {
            let file = folder.appendingPathComponent(name)
            try data.write(to: file)
            let error = #expect(throws: EvaluationError.self) {
                try TextToTextFile.examples(.sst2, path: file.path)
            }
            #expect(error?.description.hasSuffix("\(name)', line 5: 'label' is none of the 2 labels") == true)
        }
        // Not after the object that it follows: UTF-16 is no UTF-8 of another kind.
        let wide = folder.appendingPathComponent("wide.jsonl")
        try #require(text.data(using: .utf16LittleEndian)).write(to: wide)
        #expect(throws: TextError.self) { try TextToTextFile.examples(.sst2, path: wide.path) }
        let long = folder.appendingPathComponent("long.jsonl")
        try Data("\n{\"sentence\": \"\(String(repeating: "a", count: 1 << 24))\", \"label\": 1}".utf8).write(
            to: long)
        let tooLong = #expect(throws: EvaluationError.self) {
            try TextToTextFile.examples(.sst2, path: long.path)
        }
        #expect(tooLong?.description.contains("line 2: it is longer than 16777216 bytes") == true)
    }

    @Test func `Lines that are no examples are named`() throws {
        let wrong = [
            ("{\"sentence\": 3, \"label\": 1}", "'sentence' is not a text"),
            ("{\"sentence\": \"a\", \"label\": 2}", "'label' is none of the 2 labels"),
            ("no", "it is not a JSON object"), ("", "it holds no examples"),
        ]
        for (text, reason) in wrong {
            let error = #expect(throws: EvaluationError.self) { try examples(.sst2, text) }
            #expect(error?.description.hasSuffix(reason) == true, "\(error?.description ?? "")")
        }
        do {
            _ = try examples(.sst2, "{\"sentence\": \"a\", \"label\": 0}\n{\"sentence\": \"a\"}\n")
            Issue.record("an example without label was read")
        } catch let error as EvaluationError {
            #expect(error.description.contains("line 2") && error.description.contains("label"))
        }
    }

    @Test func `Predictions are scored by the task's own figures`() throws {
        let labels = ["acceptable", "unacceptable", "acceptable"]
        let cola = labels.map { TextToTextExample(input: "", target: $0) }
        #expect(TextToTextTask.cola.score(labels, cola).map(\.value) == [100])
        let stsb = ["1.0", "3.0", "5.0"].map { TextToTextExample(input: "", target: $0) }
        let found = TextToTextTask.stsb.score(["1.0", "banana", "5.0"], stsb)
        #expect(found.map(\.name) == ["pearson", "spearman"])
        #expect(abs(found[1].value - 50) < 1e-9)
        // All texts that are no label are one class, as in the reference: (2 · 4 - 2 · 2) / √(8 · 8).
        let mixed = ["acceptable", "unacceptable", "acceptable", "unacceptable"]
            .map { TextToTextExample(input: "", target: $0) }
        let matthews = TextToTextTask.cola.score(["acceptable", "no", "acceptable", "what"], mixed)
        #expect(abs(matthews[0].value - 50) < 1e-9)
        // A text that is no label counts as the other one: one hit, one false alarm, one miss.
        let pairs = ["equivalent", "not_equivalent", "equivalent"].map {
            TextToTextExample(input: "", target: $0)
        }
        let mrpc = TextToTextTask.mrpc.score(["equivalent", "?", "?"], pairs)
        #expect(abs(mrpc[0].value - 50) < 1e-9)
        #expect(abs(mrpc[1].value - 100.0 / 3) < 1e-9)
        #expect(TextToTextTask.stsb.score([" 1.0\n", "+3.", "5e0"], stsb).map(\.value) == [100, 100])
        #expect(TextToTextTask.stsb.score(["1.0", "nan", "0x5"], stsb)[0].value.isFinite)
        let squad = [TextToTextExample(input: "", target: "Max", answers: ["Max", "the runner"])]
        #expect(TextToTextTask.squad.score(["runner"], squad).map(\.value) == [100, 100])
    }
}
