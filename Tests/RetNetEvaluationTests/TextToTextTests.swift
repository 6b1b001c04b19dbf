import Foundation
import RetNetEvaluation
import Testing

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
        #expect(squad[0].input == "question: Who ran ? context: He ( Max ) ran .")
        #expect(squad[0].answers == ["Max", "he"])
        let trivia = try examples(
            .triviaQA, #"{"question": "Which root?", "answer": "Onion", "aliases": ["Onions"]}"#)
        #expect(trivia[0].answers == ["Onion", "Onions"])
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
        let squad = [TextToTextExample(input: "", target: "Max", answers: ["Max", "the runner"])]
        #expect(TextToTextTask.squad.score(["runner"], squad).map(\.value) == [100, 100])
    }
}
