import RetNetReporting
import Testing

@testable import RetNetTraining

@Suite struct ProgressObserverTests {
    private func step(_ number: Int, loss: Double, seconds: Double = 0.5) -> TrainingStep {
        TrainingStep(
            step: number, loss: loss, gradientNorm: 2, learningRate: 1e-3 * Double(number), tokenCount: 100,
            totalTokenCount: 100 * number, seconds: seconds)
    }

    @Test func `The figures beside the bar are those of the newest step, logged or not`() throws {
        let observer = ProgressObserver()
        for number in 1...5 {
            let step = step(number, loss: Double(number))
            try observer.trainingDidStep(step)
            let texts = observer.metrics(of: step)().map(\.text)
            #expect(texts.first == ProgressMetric.value("loss", Double(number)).text)
            #expect(texts.contains(ProgressMetric.value("lr", step.learningRate, significantDigits: 3).text))
            #expect(texts.contains(ProgressMetric.rate(200, unit: "tok/s").text))
        }
    }

    @Test func `The speed follows the latest steps`() {
        var speed = RecentSpeed()
        #expect(speed.tokensPerSecond == 0)
        for _ in 0..<100 { speed.add(seconds: 1, tokenCount: 10) }
        #expect(abs(speed.tokensPerSecond - 10) < 1e-9)
        for _ in 0..<60 { speed.add(seconds: 1, tokenCount: 30) }
        #expect(abs(speed.tokensPerSecond - 30) < 0.1)
    }
}
