import Foundation
import RetNetEvaluation
import RetNetTestSupport
import Testing

@testable import RetNetExperiments

@Suite struct SharedExperimentTests {
    private func numbers(_ folder: URL) throws -> [String: [String: Double]] {
        let files = folder.appendingPathComponent("runs")
        return try Dictionary(
            uniqueKeysWithValues: FileManager.default.contentsOfDirectory(atPath: files.path).map { name in
                let data = try Data(contentsOf: files.appendingPathComponent(name))
                return (name, try JSONDecoder().decode(UnitResult.self, from: data).values)
            })
    }

    @Test("Ranks measure some of the models each, and the report is that of one process")
    func parts() throws {
        let contenders = ["retnet", "transformer", "rwkv"]
        let (alone, text) = try withFolder(created: false) { folder in
            let report = try Small.report(
                ArchitecturesRecipe.self, Small.context(contenders: contenders), in: folder)
            return (try numbers(folder), report)
        }
        try withFolder(created: false) { folder in
            let path = folder.path
            let results = GatheringThread.run(2) { ranks in
                let context = try Small.context(contenders: contenders)
                return try Experiment(ArchitecturesRecipe.self, context: context, folder: path).run(
                    showsProgress: false, ranks: ranks)
            }
            for result in results { #expect(try result.get() == path + "/report.md") }
            #expect(try numbers(folder) == alone)
            let report = try String(contentsOfFile: path + "/report.md", encoding: .utf8)
            // The same tables; times differ.
            func figures(_ text: String) -> [Substring] {
                text.split(separator: "\n").filter { $0.contains("retnet") || $0.contains("RWKV") }
            }
            #expect(!figures(report).isEmpty && figures(report).count == figures(text).count)
        }
    }

    @Test("An interrupted rank ends all, finished models are kept, and speed is measured by rank 0 alone")
    func interruption() throws {
        try withFolder(created: false) { folder in
            let path = folder.path
            let results = GatheringThread.run(2) { ranks in
                let context = try Small.context(contenders: ["retnet", "transformer"])
                var questions = 0
                return try Experiment(ArchitecturesRecipe.self, context: context, folder: path).run(
                    isInterrupted: {
                        questions += 1
                        return ranks.rank == 1 && questions > 3
                    }, showsProgress: false, ranks: ranks)
            }
            for result in results {
                #expect(throws: ExperimentError.interrupted) { try result.get() }
            }
            let kept = try numbers(folder)
            #expect(kept.count == 2)
        }
        try withFolder(created: false) { folder in
            let path = folder.path
            let counts = GatheringThread.run(2) { ranks in
                let bench = FakeBench()
                var context = try Small.context()
                context.measure = bench.measure
                _ = try Experiment(TrainingCostRecipe.self, context: context, folder: path).run(
                    showsProgress: false, ranks: ranks)
                return bench.calls.count
            }
            let (first, second) = (try counts[0].get(), try counts[1].get())
            #expect(first > 0 && second == 0)
        }
    }
}
