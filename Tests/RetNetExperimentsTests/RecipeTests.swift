import Foundation
import RetNetModels
import RetNetTestSupport
import Testing

@testable import RetNetExperiments

@Suite struct RecipeTests {
    @Test("The comparison of architectures trains, scores and reports gaps next to those of the paper")
    func architectures() throws {
        try withFolder(created: false) { folder in
            let context = try Small.context(contenders: ["retnet", "transformer"])
            let report = try Small.report(ArchitecturesRecipe.self, context, in: folder)
            for words in [
                "Stories for a test.", "RetNet", "Transformer", "±", "2 seeds", "agrees with the paper",
                "novels, here", "PG22, paper", "Published, not measured here", "Table 5; verified",
                "one transcription", "bits/byte", "state", "| contenders", "float32",
            ] { #expect(report.contains(words), "\(words)") }
            for name in ["architectures.svg", "architectures.png", "results.csv", "experiment.json"] {
                #expect(FileManager.default.fileExists(atPath: folder.path + "/" + name))
            }
            let csv = try String(contentsOfFile: folder.path + "/results.csv", encoding: .utf8)
            #expect(csv.split(separator: "\n").count == 5)
            #expect(csv.contains("domain novels"))
        }
    }

    @Test("The ablations report gaps next to those of the paper")
    func ablations() throws {
        try withFolder(created: false) { folder in
            let context = try Small.context()
            let report = try Small.report(AblationsRecipe.self, context, in: folder)
            for ablation in RetNetAblation.allCases { #expect(report.contains(ablation.title)) }
            for words in ["27.84", "Table 6", "Conditions", "time of all units"] {
                #expect(report.contains(words), "\(words)")
            }
        }
    }

    @Test("The scaling curve has three sizes of both models and no readings of the paper's figure")
    func scaling() throws {
        try withFolder(created: false) { folder in
            let context = try Small.context()
            let report = try Small.report(ScalingRecipe.self, context, in: folder)
            #expect(report.contains("6 models, 2 seeds each"))
            #expect(report.contains("improves with every size") || report.contains("does not improve"))
            #expect(report.contains("minus the Transformer"))
            #expect(report.contains("reading of a figure"))
            #expect(!report.contains("12.8"))
        }
    }

    @Test("The loss is scored for every length of the context")
    func context() throws {
        try withFolder(created: false) { folder in
            let report = try Small.report(ContextLengthRecipe.self, Small.context(), in: folder)
            for words in ["64 bytes", "512 bytes", "13.55", "11.98", "improve"] {
                #expect(report.contains(words), "\(words)")
            }
            let run = try String(contentsOfFile: folder.path + "/runs/retnet-seed1.json", encoding: .utf8)
            #expect(run.contains("context 128"))
        }
    }

    @Test("The cost of training is measured in other processes, in alternating order, and compared by ratios")
    func trainingCost() throws {
        try withFolder(created: false) { folder in
            let bench = FakeBench()
            var context = try Small.context()
            context.measure = bench.measure
            let report = try Small.report(TrainingCostRecipe.self, context, in: folder)
            #expect(bench.calls.count == 2 * 3 * 4)
            #expect(bench.calls.prefix(12).map { $0 } == bench.calls.suffix(12).reversed().map { $0 })
            for words in [
                "Transformer, memory-efficient", "the direction agrees", "73344.8", "length 4,096",
                "process of its",
            ] { #expect(report.contains(words), "\(words)") }
            #expect(!report.contains("| texts"))
        }
    }

    @Test("The cost of generation reports if it depends on the length")
    func inferenceCost() throws {
        try withFolder(created: false) { folder in
            let bench = FakeBench()
            var context = try Small.context()
            context.measure = bench.measure
            let report = try Small.report(InferenceCostRecipe.self, context, in: folder)
            #expect(bench.calls.count == 2 * 2 * 4)
            for words in [
                "the same at every length; agrees", "15.6", "ms per step",
            ] {
                #expect(report.contains(words), "\(words)")
            }
        }
    }

    @Test("An error names the number that a measurement lacks")
    func brokenMeasurement() throws {
        try withFolder(created: false) { folder in
            var context = try Small.context()
            context.measure = { _ in ["tokens_per_second": "fast"] }
            do {
                _ = try Small.report(TrainingCostRecipe.self, context, in: folder)
                Issue.record("it was accepted")
            } catch {
                #expect("\(error)".contains("tokens_per_second"))
            }
        }
    }

    @Test(
        "Every recipe has units with different names at every scale, and estimates the cost of the published one"
    )
    func scales() throws {
        for recipe in Experiment.recipes {
            for scale in ExperimentScale.allCases {
                var context = try Small.context(scale)
                context.stepFactor = 1
                let made = try recipe.init(context)
                let ids = try made.units().map(\.id)
                #expect(!ids.isEmpty)
                #expect(Set(ids).count == ids.count)
                let cost = try made.estimate()
                #expect(scale != .paper || cost != nil, "\(recipe.name)")
                #expect(scale != .tiny || cost == nil, "\(recipe.name)")
                if let cost {
                    #expect(cost.largestByteCount > 0)
                    #expect(cost.text(flopsPerSecond: 1e14, deviceCount: 8).contains("memory"))
                }
            }
        }
    }

    @Test("The cost of the published scaling curve follows from its tokens and sizes")
    func paperCost() throws {
        var context = try Small.context(.paper)
        context.stepFactor = 1
        context.seeds = [1]
        let cost = try #require(try ScalingRecipe(context).estimate())
        // Two models each of 1.3, 2.7 and 6.7 billion parameters on 100 billion tokens: 6 N D and the mixers.
        let tokens = 25_000.0 * 8 * 2048 * 244
        #expect(abs(cost.tokenCount / (6 * tokens) - 1) < 1e-9)
        let products = 6 * 2 * (1_207_959_552.0 + 2_516_582_400 + 6_442_450_944) * tokens
        #expect(cost.trainingFLOPs > products)
        #expect(cost.trainingFLOPs < products * 1.15)
        #expect(cost.largestByteCount > 100_000_000_000)
    }
}
