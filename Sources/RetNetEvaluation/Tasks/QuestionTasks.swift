import Foundation
import RetNetStorage

/// Tasks that answer questions, each as its YAML file in the harness declares it.
extension EvaluationTask {
    static let questionAnswering: [EvaluationTask] = [
        boolq, arc("easy", "ARC-Easy"), arc("challenge", "ARC-Challenge"), openBookQA, sciq,
    ]

    /// `tasks/super_glue/boolq/default.yaml`.
    private static let boolq = EvaluationTask(
        "boolq", version: "2.0", dataset: ("aps/super_glue", "boolq"), splits: [.train, .validation],
        metrics: [.accuracy], fields: "question, passage, label (or answer)"
    ) { document throws(MalformedExample) in
        // The original files name the label 'answer'.
        let label = document.has("label") ? "label" : "answer"
        return .choices(
            context:
                "\(try document.text("passage"))\nQuestion: \(try document.text("question"))?\nAnswer:",
            choices: ["no", "yes"],
            gold: try document.gold(try document.int(label), of: 2, label))
    }

    /// `tasks/arc/arc_easy.yaml` and `arc_challenge.yaml`.
    private static func arc(_ name: String, _ configuration: String) -> EvaluationTask {
        EvaluationTask(
            "arc_\(name)", dataset: ("allenai/ai2_arc", configuration), splits: [.train, .validation, .test],
            fileNames: [configuration.lowercased()], metrics: [.accuracy, .normalizedAccuracy],
            fields: "question, choices.text, choices.label, answerKey"
        ) { document throws(MalformedExample) in
            .choices(
                context: "Question: \(try document.text("question"))\nAnswer:",
                choices: try document.texts("choices", "text"), gold: try keyedGold(document) { $0 })
        }
    }

    /// `tasks/openbookqa/openbookqa.yaml`.
    private static let openBookQA = EvaluationTask(
        "openbookqa", dataset: ("allenai/openbookqa", "main"), splits: [.train, .validation, .test],
        metrics: [.accuracy, .normalizedAccuracy],
        fields: "question_stem, choices.text, choices.label, answerKey"
    ) { document throws(MalformedExample) in
        .choices(
            context: try document.text("question_stem"), choices: try document.texts("choices", "text"),
            gold: try keyedGold(document, PythonText.strippedAtStart))
    }

    /// Returns the place of `answerKey` among the labels of the choices.
    private static func keyedGold(_ document: TaskDocument, _ clean: (String) -> String)
        throws(MalformedExample) -> Int
    {
        let (labels, texts) = (
            try document.texts("choices", "label"), try document.texts("choices", "text")
        )
        let key = clean(try document.text("answerKey"))
        guard labels.count == texts.count else {
            throw MalformedExample("there are \(labels.count) labels for \(texts.count) choices")
        }
        guard let gold = labels.firstIndex(where: { $0.isExactly(key) }) else {
            throw MalformedExample("'answerKey' is '\(key)', which is no label of a choice")
        }
        return gold
    }

    /// `tasks/sciq/sciq.yaml`: the right answer is always the last choice.
    private static let sciq = EvaluationTask(
        "sciq", dataset: ("allenai/sciq", nil), splits: [.train, .validation, .test],
        metrics: [.accuracy, .normalizedAccuracy],
        fields: "support, question, distractor1, distractor2, distractor3, correct_answer"
    ) { document throws(MalformedExample) in
        let support = PythonText.strippedAtStart(try document.text("support"))
        var choices: [String] = []
        for name in ["distractor1", "distractor2", "distractor3", "correct_answer"] {
            choices.append(try document.text(name))
        }
        return .choices(
            context: "\(support)\nQuestion: \(try document.text("question"))\nAnswer:", choices: choices,
            gold: 3)
    }
}
