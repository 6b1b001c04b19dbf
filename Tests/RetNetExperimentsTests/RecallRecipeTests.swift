import Foundation
import RetNetModels
import RetNetTestSupport
import RetNetTorch
import Testing

@testable import RetNetExperiments

/// Training on synthetic tasks, and the recipe as a whole.
@Suite(.serialized) struct RecallRecipeTests {
    private func context(_ scale: ExperimentScale = .tiny, contenders: [String], seeds: [Int] = [1, 2]) throws
        -> ExperimentContext
    {
        var context = ExperimentContext(
            scale: scale, texts: try .stories(), seeds: seeds, contenders: contenders, computeType: .float32)
        context.stepFactor = 0.004
        return context
    }

    private func train(learningRate: Double, steps: Int, seed: Int = 1) throws -> RecallTraining.Outcome {
        // Short examples of few tokens are memorized in seconds.
        let task = try InductionHead(vocabularySize: 3, length: 6, factors: [1])
        let plan = RecallPlan(
            "x", task, RecallModel(width: 16), steps: steps, learningRates: [learningRate],
            triesAllRates: false
        )
        let contender = try #require(RecallContender.all.first { $0.name == "retention" })
        var settings = plan.settings
        settings.testCount = 256
        return try RecallTraining(
            task: task, configuration: contender.configuration(for: plan), settings: settings, seed: seed
        ).run()
    }

    @Test func `A solvable task is solved, training ends early, and the same seed gives the same result`()
        throws
    {
        let outcome = try train(learningRate: 1e-2, steps: 800)
        #expect(outcome.accuracies.allSatisfy { $0 > 0.97 })
        #expect(outcome.stepsToGoal == outcome.stepCount)
        #expect(outcome.stepCount < 800)
        var again = try train(learningRate: 1e-2, steps: 800)
        again.seconds = outcome.seconds
        #expect(again == outcome)
    }

    @Test func `A run that cannot learn makes all steps and stays near chance`() throws {
        let outcome = try train(learningRate: 1e-9, steps: 60)
        #expect(outcome.stepsToGoal == nil && outcome.stepCount == 60)
        #expect(outcome.accuracies.allSatisfy { $0 < 0.8 })
    }

    @Test(arguments: ExperimentScale.allCases)
    func `Every contender can be built for every task of every scale`(scale: ExperimentScale) throws {
        #expect(Set(RecallContender.all.map(\.name)).count == RecallContender.all.count)
        #expect(Set(RecallContender.all.map(\.title)).count == RecallContender.all.count)
        for plan in try RecallPlan.plans(scale) {
            for contender in RecallContender.all {
                let configuration = contender.configuration(for: plan)
                try configuration.validate()
                let accounting = try ModelAccounting(configuration)
                #expect(accounting.stateElementCount(tokenCount: 16) > 0, "\(contender.name)")
            }
        }
    }

    @Test func `The recipe measures all units, reports them, and a report can be made again from its files`()
        throws
    {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let context = try context(contenders: ["retention", "retention-fast"])
        let path = try Experiment(RecallRecipe.self, context: context, folder: folder)
            .run(showsProgress: false)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        for part in ["MQAR", "Induction head", "Parity", "Retention, fast decays", "not measured here"] {
            #expect(text.contains(part), "\(part)")
        }
        let runs = try FileManager.default.contentsOfDirectory(atPath: folder + "/runs")
        #expect(runs.count == 3 * 2 * 2)
        // A missing result is measured again and the same, independently of parallel jobs.
        let lost = folder + "/runs/induction-retention-seed2.json"
        let before = try UnitResultFile.values(lost)
        try FileManager.default.removeItem(atPath: lost)
        try Experiment(RecallRecipe.self, context: context, folder: folder).run(showsProgress: false)
        #expect(try UnitResultFile.values(lost) == before)
    }

    @Test func `An interruption ends all jobs and keeps finished results`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let experiment = try Experiment(
            RecallRecipe.self, context: try context(contenders: ["retention"]), folder: folder)
        var looks = 0
        #expect(throws: ExperimentError.interrupted) {
            try experiment.run(
                isInterrupted: {
                    looks += 1
                    return looks > 3
                }, showsProgress: false)
        }
        #expect(!FileManager.default.fileExists(atPath: folder + "/report.md"))
    }

    @Test func `An unknown contender is named with the known ones`() throws {
        #expect(
            errorText(ExperimentError.self) { try RecallRecipe(try context(contenders: ["nobody"])) }
                .contains("unknown contender 'nobody'"))
    }

    @Test func `If all learning rates are tried, the one with the best mean validation accuracy is reported`()
        throws
    {
        let plans = try RecallPlan.plans(.small)
        let contender = RecallContender.all[0]
        func result(_ rate: Double, _ seed: Int, _ validation: Double) -> UnitResult {
            UnitResult(
                id: "mqar-x-lr\(rate)-seed\(seed)", contender: contender.title, seed: seed,
                values: ["learning_rate": rate, "validation": validation], seconds: 1)
        }
        let results = [
            result(1e-3, 1, 0.9), result(1e-3, 2, 0.2), result(3e-3, 1, 0.7), result(3e-3, 2, 0.6),
        ]
        let scores = RecallScores(plans: plans, contenders: [contender], results: results)
        #expect(scores.results(plans[0], contender).map { $0.values["learning_rate"] } == [3e-3, 3e-3])
        #expect(scores.results(plans[1], contender).isEmpty)
    }

    @Test func `Claims are tested by the results`() throws {
        let plans = try RecallPlan.plans(.tiny)
        let key = RecallRecipe.Entry.accuracyKey(plans[0].task.evaluations[0])
        func verdict(_ accuracies: [Double]) -> String {
            let contender = RecallContender.all.first { $0.name == "attention" } ?? RecallContender.all[0]
            let results = accuracies.enumerated().map {
                UnitResult(
                    id: "mqar-attention-seed\($0.offset)", contender: contender.title, seed: $0.offset,
                    values: [key: $0.element], seconds: 1)
            }
            let scores = RecallScores(plans: plans, contenders: RecallContender.all, results: results)
            return RecallClaim.table(scores).rows.first?[3] ?? ""
        }
        #expect(verdict([1, 0.99]) == "agrees")
        #expect(verdict([0.3, 0.99]) == "does not hold at this scale")
        #expect(verdict([]) == "not measured here")
    }
}

/// The numbers of a result file that do not depend on the speed of the machine.
private enum UnitResultFile {
    static func values(_ path: String) throws -> [String: Double] {
        var values = try JSONDecoder().decode(
            UnitResult.self, from: try Data(contentsOf: URL(fileURLWithPath: path))
        ).values
        values["run_seconds"] = nil
        return values
    }
}
