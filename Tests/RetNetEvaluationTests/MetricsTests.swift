import RetNetEvaluation
import Testing

@Suite struct MetricsTests {
    @Test func `Figures of labels equal those computed by hand`() {
        let truths = ["a", "b", "a", "c", "a", "b"]
        let predictions = ["a", "a", "a", "c", "b", "?"]
        #expect(ClassificationMetrics.accuracy(predictions, truths) == 0.5)
        #expect(abs(ClassificationMetrics.f1(of: "a", predictions, truths) - 2.0 * 2 / 6) < 1e-12)
        #expect(ClassificationMetrics.f1(of: "b", predictions, truths) == 0)
        #expect(ClassificationMetrics.f1(of: "z", predictions, truths) == 0)
        let mean = ClassificationMetrics.meanF1(over: ["a", "b", "c"], predictions, truths)
        #expect(abs(mean - (2.0 / 3 + 0 + 1) / 3) < 1e-12)
    }

    @Test func `Matthews' coefficient equals the two-class formula and its limits`() {
        // TP 6, TN 3, FP 1, FN 2: (6·3 - 1·2) / √(7·8·4·5)
        let truths = [Int](repeating: 1, count: 8) + [Int](repeating: 0, count: 4)
        let predictions = [1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0]
        let expected = 16 / (7.0 * 8 * 4 * 5).squareRoot()
        #expect(abs(ClassificationMetrics.matthews(predictions, truths) - expected) < 1e-12)
        #expect(ClassificationMetrics.matthews(truths, truths) == 1)
        #expect(ClassificationMetrics.matthews(truths.map { 1 - $0 }, truths) == -1)
        #expect(ClassificationMetrics.matthews([1, 1, 1], [1, 0, 1]) == 0)
    }

    @Test func `Correlations equal those computed by hand, with ties`() {
        #expect(abs(CorrelationMetrics.pearson([1, 2, 3, 4], [2, 4, 6, 9]) - 0.9943767) < 1e-6)
        #expect(abs(CorrelationMetrics.spearman([1, 2, 3, 4], [10, 20, 30, 10_000]) - 1) < 1e-12)
        // Ranks 0, 1.5, 1.5, 3 and 0, 2, 1, 3.
        #expect(abs(CorrelationMetrics.spearman([1, 2, 2, 4], [0, 5, 3, 9]) - 0.9486833) < 1e-6)
        #expect(CorrelationMetrics.pearson([1, 1, 1], [1, 2, 3]) == 0)
        #expect(CorrelationMetrics.pearson([], []) == 0)
    }

    /// Texts with their normal forms by `normalize_squad` and `normalize_trivia_qa` of T5's `qa_utils.py`, run in Python 3.11.
    static let normalForms: [(text: String, squad: String, triviaQA: String)] = [
        (
            "`Needs\u{9}A_LOT of the 'normalization'.\"\u{2018}", "needs alot of normalization\u{2018}",
            "needs lot of normalization"
        ),
        (
            "the\u{2014}end of a\u{2014}b", "\u{2014}end of \u{2014}b",
            "\u{2014}end of \u{2014}b"
        ),
        (
            "a\u{301} la carte", "\u{301} la carte",
            "\u{301} la carte"
        ),
        (
            "l\u{2019}an deux mille", "l\u{2019} deux mille",
            "l deux mille"
        ),
        (
            "\u{39F}\u{394}\u{39F}\u{3A3} \u{3A3}\u{391}\u{3A3} \u{3A3}",
            "\u{3BF}\u{3B4}\u{3BF}\u{3C2} \u{3C3}\u{3B1}\u{3C2} \u{3C3}",
            "\u{3BF}\u{3B4}\u{3BF}\u{3C2} \u{3C3}\u{3B1}\u{3C2} \u{3C3}"
        ),
        (
            "\u{130}stanbul", "i\u{307}stanbul",
            "i\u{307}stanbul"
        ),
        (
            "x\u{1C}the\u{1D}y \u{85} z\u{A0}w", "x y z w",
            "x y z w"
        ),
        (
            "\u{1F469}\u{200D}\u{1F469}\u{200D}\u{1F467} the family",
            "\u{1F469}\u{200D}\u{1F469}\u{200D}\u{1F467} family",
            "\u{1F469}\u{200D}\u{1F469}\u{200D}\u{1F467} family"
        ),
        (
            "\u{645}\u{6CC}\u{200C}\u{62E}\u{648}\u{627}\u{647}\u{645} the book",
            "\u{645}\u{6CC}\u{200C}\u{62E}\u{648}\u{627}\u{647}\u{645} book",
            "\u{645}\u{6CC}\u{200C}\u{62E}\u{648}\u{627}\u{647}\u{645} book"
        ),
        (
            "e\u{301}t\u{E9} vs \u{E9}te\u{301}", "e\u{301}t\u{E9} vs \u{E9}te\u{301}",
            "e\u{301}t\u{E9} vs \u{E9}te\u{301}"
        ),
        (
            "a\u{20E3} keycap", "\u{20E3} keycap",
            "\u{20E3} keycap"
        ),
        (
            "The \u{BD} a\u{B2} an\u{2155} ten", "\u{BD} a\u{B2} an\u{2155} ten",
            "\u{BD} a\u{B2} an\u{2155} ten"
        ),
        (
            "\u{212A} the K", "k k",
            "k k"
        ),
        (
            "don't_stop the_end", "dontstop theend",
            "don t stop end"
        ),
        (
            "a-an-the", "aanthe",
            ""
        ),
        (
            "\u{BD}the", "\u{BD}the",
            "\u{BD}the"
        ),
        (
            "\u{3000}the\u{3000}\u{72AC} the\u{72AC}", "\u{72AC} the\u{72AC}",
            "\u{72AC} the\u{72AC}"
        ),
    ]

    @Test(arguments: normalForms)
    func `Answers are normalized as T5's code does, scalar by scalar`(
        form: (text: String, squad: String, triviaQA: String)
    ) {
        let found = AnswerMetrics.normalized(form.text, .squad)
        #expect(Array(found.unicodeScalars) == Array(form.squad.unicodeScalars))
        let trivia = AnswerMetrics.normalized(form.text, .triviaQA)
        #expect(Array(trivia.unicodeScalars) == Array(form.triviaQA.unicodeScalars))
    }

    @Test func `Texts that differ only in their composition are different answers`() {
        #expect(AnswerMetrics.exactMatch("e\u{301}te\u{301}", ["\u{E9}t\u{E9}"], .squad) == 0)
        #expect(AnswerMetrics.f1("e\u{301}te\u{301} 1", ["\u{E9}t\u{E9} 1"], .squad) == 0.5)
    }

    @Test func `Answers are compared as the official scripts do`() {
        #expect(AnswerMetrics.exactMatch("The Eiffel-Tower!", ["eiffeltower"], .squad) == 1)
        #expect(AnswerMetrics.exactMatch("The Eiffel-Tower!", ["eiffel tower"], .triviaQA) == 1)
        #expect(AnswerMetrics.exactMatch("Paris", ["London", "  paris. "], .squad) == 1)
        #expect(AnswerMetrics.exactMatch("Paris", ["London"], .squad) == 0)
        let score = AnswerMetrics.f1("the cat sat sat", ["a cat sat down", "dog"], .squad)
        #expect(abs(score - 2.0 * 2 / 6) < 1e-12)
        #expect(AnswerMetrics.exactMatch("", ["the"], .squad) == 1)
        #expect(AnswerMetrics.f1("", [""], .squad) == 0)
        #expect(AnswerMetrics.f1("big moose!", ["a big moose\u{2018}", "hippo"], .squad) == 0.5)
        #expect(AnswerMetrics.f1("the", ["cat"], .squad) == 0)
        #expect(AnswerMetrics.normalized("A  rock\u{2019}n roll", .triviaQA) == "rock n roll")
    }
}
