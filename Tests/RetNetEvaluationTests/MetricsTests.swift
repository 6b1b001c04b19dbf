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

    @Test func `Answers are compared as the official scripts do`() {
        #expect(AnswerMetrics.exactMatch("The Eiffel-Tower!", ["eiffeltower"], .squad) == 1)
        #expect(AnswerMetrics.exactMatch("The Eiffel-Tower!", ["eiffel tower"], .triviaQA) == 1)
        #expect(AnswerMetrics.exactMatch("Paris", ["London", "  paris. "], .squad) == 1)
        #expect(AnswerMetrics.exactMatch("Paris", ["London"], .squad) == 0)
        let score = AnswerMetrics.f1("the cat sat sat", ["a cat sat down", "dog"], .squad)
        #expect(abs(score - 2.0 * 2 / 6) < 1e-12)
        #expect(AnswerMetrics.f1("", [""], .squad) == 1)
        #expect(AnswerMetrics.f1("the", ["cat"], .squad) == 0)
        #expect(AnswerMetrics.normalized("A  rock\u{2019}n roll", .triviaQA) == "rock n roll")
    }
}
