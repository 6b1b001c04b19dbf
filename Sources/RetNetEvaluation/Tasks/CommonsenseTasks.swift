import Foundation
import RetNetStorage

/// The commonsense tasks of the RetNet paper, each as its YAML file in the harness declares it.
extension EvaluationTask {
    static let commonsense: [EvaluationTask] = [
        hellaswag, copa, piqa, winograd, winogrande, storyCloze("2016"), storyCloze("2018"),
    ]

    /// `tasks/hellaswag/hellaswag.yaml` with `utils.py`.
    private static let hellaswag = EvaluationTask(
        "hellaswag", dataset: ("Rowan/hellaswag", nil), splits: [.train, .validation],
        metrics: [.accuracy, .normalizedAccuracy],
        fields: "activity_label, ctx_a, ctx_b, endings, label; or activity_label, ctx, choices, label",
        processed: { document, question in
            guard case .choices(let context, let choices, let gold) = question, document.has("endings")
            else { return nil }
            return document.replacing([
                ("query", .string(context)), ("choices", .array(choices.map { .string($0) })),
                ("gold", .int(gold)),
            ])
        },
        question: { document throws(MalformedExample) in
            var context: String
            let endings: [String]
            if document.has("ctx_a") || !document.has("choices") {
                context =
                    try document.text("ctx_a") + " " + PythonText.capitalized(try document.text("ctx_b"))
                endings = try document.texts("endings")
            } else {
                context = try document.text("ctx") + " "
                endings = try document.texts("choices")
            }
            context = try document.text("activity_label") + ": " + context
            return .choices(
                context: cleaned(context), choices: endings.map(cleaned),
                gold: try document.gold(try document.int("label"), of: endings.count, "label"))
        })

    /// Returns a text without the marks that WikiHow articles left in HellaSwag.
    static func cleaned(_ text: String) -> String {
        var text = PythonText.stripped(text)
        text = PythonText.replacing(text, " [title]", with: ". ")
        text = withoutBrackets(text)
        return PythonText.replacing(text, "  ", with: " ")
    }

    /// Returns `re.sub("\\[.*?\\]", "", text)`: a pair of brackets ends in the line where it begins.
    private static func withoutBrackets(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "[")) else { return text }
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "["),
                let end = bytes[index...].firstIndex(where: {
                    $0 == UInt8(ascii: "]") || $0 == UInt8(ascii: "\n")
                }),
                bytes[end] == UInt8(ascii: "]")
            {
                index = end + 1
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// `tasks/super_glue/copa/default.yaml` with `utils.py`: choices and delimiter make two spaces.
    private static let copa = EvaluationTask(
        "copa", dataset: ("aps/super_glue", "copa"), splits: [.train, .validation], metrics: [.accuracy],
        fields: "premise, choice1, choice2, question (cause or effect), label", targetIsText: true
    ) { document throws(MalformedExample) in
        let connectors = ["cause": "because", "effect": "therefore"]
        let question = try document.text("question")
        guard let connector = connectors[question] else {
            throw MalformedExample("'question' is '\(question)', not 'cause' or 'effect'")
        }
        // Without the full stop.
        let premise = PythonText.stripped(try document.text("premise")).unicodeScalars.dropLast()
        let choices = [
            try withLowerInitial(document, "choice1"), try withLowerInitial(document, "choice2"),
        ]
        let label = try document.gold(try document.int("label"), of: 2, "label")
        // The harness looks for the text of the right choice, so that of equal choices the first is right.
        let gold = choices[0].isExactly(choices[label]) ? 0 : 1
        return .choices(context: String(premise) + " " + connector, choices: choices, gold: gold)
    }

    /// Returns a choice of COPA with a space before it and its first letter in lower case.
    private static func withLowerInitial(_ document: TaskDocument, _ name: String) throws(MalformedExample)
        -> String
    {
        let text = try document.text(name)
        guard let first = text.unicodeScalars.first else { throw MalformedExample("'\(name)' is empty") }
        return " " + first.properties.lowercaseMapping + String(text.unicodeScalars.dropFirst())
    }

    /// `tasks/piqa/piqa.yaml`.
    private static let piqa = EvaluationTask(
        "piqa", dataset: ("baber/piqa", nil), splits: [.train, .validation],
        metrics: [.accuracy, .normalizedAccuracy], fields: "goal, sol1, sol2, label"
    ) { document throws(MalformedExample) in
        .choices(
            context: "Question: \(try document.text("goal"))\nAnswer:",
            choices: [try document.text("sol1"), try document.text("sol2")],
            gold: try document.gold(try document.int("label"), of: 2, "label"))
    }

    /// `tasks/winogrande/default.yaml` with `preprocess_winogrande.py`: the options are in the context.
    private static let winogrande = EvaluationTask(
        "winogrande", dataset: ("allenai/winogrande", "winogrande_xl"), splits: [.train, .validation],
        fileNames: ["winogrande_xl"], metrics: [.accuracy],
        fields: "sentence (with a blank '_'), option1, option2, answer (1 or 2)"
    ) { document throws(MalformedExample) in
        let sentence = try document.text("sentence").unicodeScalars
        guard let blank = sentence.firstIndex(of: "_") else {
            throw MalformedExample("'sentence' has no blank '_'")
        }
        let start = String(sentence[..<blank])
        let answer = try document.int("answer")
        guard (1...2).contains(answer) else { throw MalformedExample("'answer' is \(answer), not 1 or 2") }
        return .contexts(
            [start + (try document.text("option1")), start + (try document.text("option2"))],
            continuation: PythonText.stripped(String(sentence[sentence.index(after: blank)...])),
            gold: answer - 1)
    }

    /// `tasks/wsc273/default.yaml` with `utils.py`: the Winograd schemas, scored by the rest of the sentence.
    private static let winograd = EvaluationTask(
        "wsc273", dataset: ("lighteval/winograd_wsc", "wsc273"), splits: [.test],
        fileNames: ["winograd_wsc", "wsc"], metrics: [.accuracy],
        fields:
            "text, pronoun, pronoun_loc, options, label; or sentence (with [MASK]), context_options, gold",
        processed: { document, _ in
            document.has("context_options") ? nil : try? WinogradSchema(document).processed(document)
        },
        question: { document throws(MalformedExample) in
            let schema =
                document.has("context_options")
                ? try WinogradSchema(masked: document) : try WinogradSchema(document)
            return try schema.question
        })

    /// `tasks/storycloze/storycloze_2016.yaml` and `storycloze_2018.yaml`.
    private static func storyCloze(_ year: String) -> EvaluationTask {
        EvaluationTask(
            // The harness gives the later one no version.
            "storycloze_\(year)", version: year == "2018" ? "Yaml" : "1.0",
            dataset: ("LSDSem/story_cloze", year), splits: [.validation, .test],
            fileNames: ["story_cloze_\(year)"], metrics: [.accuracy],
            fields:
                "input_sentence_1 to input_sentence_4, sentence_quiz1, sentence_quiz2, answer_right_ending",
            dataNote: "the data are given on request only, by https://cs.rochester.edu/nlp/rocstories"
        ) { document throws(MalformedExample) in
            var sentences: [String] = []
            for number in 1...4 { sentences.append(try document.text("input_sentence_\(number)")) }
            return .choices(
                context: sentences.joined(separator: " "),
                choices: [try document.text("sentence_quiz1"), try document.text("sentence_quiz2")],
                gold: try document.gold(
                    try document.int("answer_right_ending") - 1, of: 2, "answer_right_ending"))
        }
    }
}

/// A Winograd schema: a text with a pronoun and the two candidates that it may stand for.
private struct WinogradSchema {
    private var text: [Unicode.Scalar]
    private let pronoun: String
    private let place: Int
    private let options: [String]
    private let label: Int

    private static let articlesAndPronouns = [
        "A", "An", "The", "She", "He", "It", "They", "My", "His", "Her", "Their",
    ]
    private static let possessives = ["my", "his", "her", "our", "their"]

    /// Reads a document of the data set.
    init(_ document: TaskDocument) throws(MalformedExample) {
        try self.init(
            text: document.text("text"), pronoun: document.text("pronoun"),
            place: document.int("pronoun_loc"),
            options: document.texts("options"), label: document.int("label"))
    }

    /// Reads a document whose pronoun is replaced by `[MASK]` and whose options are texts up to its end.
    init(masked document: TaskDocument) throws(MalformedExample) {
        let (sentence, mask) = (try document.text("sentence"), "[MASK]")
        let scalars = Array(sentence.unicodeScalars)
        guard let place = scalars.firstRange(of: Array(mask.unicodeScalars))?.lowerBound else {
            throw MalformedExample("'sentence' has no '[MASK]'")
        }
        let start = PythonText.string(scalars[..<place])
        var options: [String] = []
        for option in try document.texts("context_options") {
            guard let candidate = option.dropping(exactPrefix: start) else {
                throw MalformedExample("'context_options' do not begin with the sentence up to '[MASK]'")
            }
            options.append(candidate)
        }
        try self.init(
            text: sentence, pronoun: mask, place: place, options: options, label: document.int("gold"))
    }

    private init(text: String, pronoun: String, place: Int, options: [String], label: Int)
        throws(MalformedExample)
    {
        self.text = Array(PythonText.replacing(text, "  ", with: " ").unicodeScalars)
        self.pronoun = pronoun
        self.place = place
        self.options = options
        self.label = label
        let length = pronoun.unicodeScalars.count
        guard place >= 0, place <= self.text.count, length <= self.text.count - place else {
            throw MalformedExample("the pronoun '\(pronoun)' at \(place) is outside the text")
        }
        guard options.count == 2 else { throw MalformedExample("there are \(options.count) options, not 2") }
        guard (0...1).contains(label) else { throw MalformedExample("'label' is \(label), not 0 or 1") }
    }

    /// Returns the document with single spaces and normalized candidates, as the harness records it.
    func processed(_ document: TaskDocument) throws(MalformedExample) -> JSONValue {
        var options: [JSONValue] = []
        for option in self.options { options.append(.string(try normalized(option))) }
        return document.replacing([("text", .string(PythonText.string(text))), ("options", .array(options))])
    }

    /// The question: candidates are put in the place of the pronoun, and the rest of the text is scored.
    var question: TaskQuestion {
        get throws(MalformedExample) {
            let start = PythonText.string(text[..<place])
            var contexts: [String] = []
            for option in options { contexts.append(start + (try normalized(option))) }
            let rest = text[(place + pronoun.unicodeScalars.count)...]
            return .contexts(contexts, continuation: PythonText.string(rest), gold: label)
        }
    }

    /// Returns a candidate in the case and the letter case that the pronoun has.
    private func normalized(_ option: String) throws(MalformedExample) -> String {
        var option = option
        if Self.possessives.contains(PythonText.string(PythonText.lowercased(pronoun))) { option += "'s" }
        guard let first = PythonText.words(Array(option.unicodeScalars)).first?.text else {
            throw MalformedExample("an option is empty")
        }
        // Python counts negative places from the end.
        let before = place >= 2 ? place - 2 : place - 2 + text.count
        let startsSentence = text.indices.contains(before) && text[before] == "."
        guard !startsSentence, Self.articlesAndPronouns.contains(first) else { return option }
        return PythonText.replacing(option, first, with: PythonText.string(PythonText.lowercased(first)))
    }
}
