import Foundation
import RetNetTestSupport
import Testing

@testable import RetNetExperiments

@Suite struct ExperimentTests {
    @Test("An interrupted experiment resumes and ends with the same numbers")
    func resume() throws {
        func numbers(_ folder: URL) throws -> [[String: Double]] {
            let files = folder.appendingPathComponent("runs")
            return try FileManager.default.contentsOfDirectory(atPath: files.path).sorted().map { name in
                let data = try Data(contentsOf: files.appendingPathComponent(name))
                return try JSONDecoder().decode(UnitResult.self, from: data).values
            }
        }
        let context = try Small.context(contenders: ["retnet", "transformer"])
        let whole = try withFolder(created: false) { folder in
            _ = try Small.report(ArchitecturesRecipe.self, context, in: folder)
            return try numbers(folder)
        }
        try withFolder(created: false) { folder in
            let experiment = try Experiment(ArchitecturesRecipe.self, context: context, folder: folder.path)
            // The signal comes during the training of the third model.
            var questions = 0
            #expect(throws: ExperimentError.interrupted) {
                try experiment.run(
                    isInterrupted: {
                        questions += 1
                        return questions > 20
                    }, showsProgress: false)
            }
            let kept = try numbers(folder)
            #expect(!kept.isEmpty && kept.count < whole.count)
            #expect(!FileManager.default.fileExists(atPath: folder.path + "/report.md"))
            _ = try Small.report(ArchitecturesRecipe.self, context, in: folder)
            #expect(try numbers(folder) == whole)
        }
    }

    @Test("A finished experiment only writes its report again")
    func finished() throws {
        try withFolder(created: false) { folder in
            let bench = FakeBench()
            var context = try Small.context()
            context.measure = bench.measure
            _ = try Small.report(TrainingCostRecipe.self, context, in: folder)
            let count = bench.calls.count
            _ = try Small.report(TrainingCostRecipe.self, context, in: folder)
            #expect(bench.calls.count == count)
        }
    }

    @Test("Results of other seeds, texts, contenders and learning rates are refused")
    func apart() throws {
        try withFolder(created: false) { folder in
            let context = try Small.context(contenders: ["retnet"])
            _ = try Small.report(ArchitecturesRecipe.self, context, in: folder)
            var others = [context, context, context]
            others[0].seeds = [1, 3]
            others[1].contenders = ["transformer"]
            others[2].learningRates = ["retnet": 1e-3]
            for other in others {
                #expect(
                    errorText(ExperimentError.self) {
                        try Small.report(ArchitecturesRecipe.self, other, in: folder)
                    }.contains("holds results of other settings"))
            }
            #expect(
                errorText(ExperimentError.self) {
                    try Small.report(AblationsRecipe.self, context, in: folder)
                }.contains("unknown contender 'retnet'"))
        }
    }

    @Test("Learning rates of contenders are used, reported, and refused for other names")
    func learningRates() throws {
        var context = try Small.context(contenders: ["retnet", "transformer"])
        context.learningRates = ["transformer": 1e-3]
        try withFolder(created: false) { folder in
            let report = try Small.report(ArchitecturesRecipe.self, context, in: folder)
            #expect(report.contains("Different learning rates: Transformer 0.001."))
        }
        context.learningRates = ["mamba": 1e-3]
        #expect(
            errorText(ExperimentError.self) { try ArchitecturesRecipe(context) }.contains(
                "the learning rate of 'mamba' belongs to no contender"))
    }

    @Test("A failure names the unit, and unknown recipes suggest the one that was meant")
    func failures() throws {
        try withFolder(created: false) { folder in
            var context = try Small.context()
            context.measure = { _ in throw ExperimentError.unusable("no bench") }
            #expect(throws: ExperimentError.unusable("no bench")) {
                try Small.report(InferenceCostRecipe.self, context, in: folder)
            }
            struct Other: Error {}
            context.measure = { _ in throw Other() }
            do {
                _ = try Small.report(InferenceCostRecipe.self, context, in: folder)
            } catch {
                #expect("\(error)".contains("transformer-batch1-round1"))
            }
        }
        do {
            _ = try Experiment.recipe(named: "architecture")
            Issue.record("it was found")
        } catch {
            #expect("\(error)".contains("did you mean 'architectures'?"))
        }
        #expect(
            errorText(ExperimentError.self) { try Experiment.recipe(named: "x") }.contains(
                "unknown recipe 'x'"))
    }

    @Test("A model that diverges is reported and not averaged")
    func divergence() throws {
        let context = try Small.context(contenders: ["retnet", "transformer"])
        let recipe = try ArchitecturesRecipe(context)
        let results = [
            UnitResult(id: "a", contender: "RetNet", seed: 1, values: ["validation": 1.5], seconds: 1),
            UnitResult(id: "b", contender: "RetNet", seed: 2, values: ["diverged": 1], seconds: 1),
            UnitResult(id: "c", contender: "Transformer", seed: 1, values: ["diverged": 1], seconds: 1),
            UnitResult(id: "d", contender: "Transformer", seed: 2, values: ["diverged": 1], seconds: 1),
        ]
        try withFolder(created: false) { folder in
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try recipe.report(results).write(to: folder.path, results: results)
            let report = try String(contentsOfFile: folder.path + "/report.md", encoding: .utf8)
            #expect(report.contains("RetNet with 1 of 2 seeds, Transformer with 2 of 2 seeds"))
            #expect(report.contains("1.500"))
        }
    }
}
