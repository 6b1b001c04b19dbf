import Foundation
import Testing

@testable import RetNetExperiments

/// The numbers of the paper, copied from the transcriptions a second time.
@Suite struct PublishedTests {
    @Test("Table 5 is that of the paper")
    func architectures() {
        let table = RetNetPaper.architectures
        #expect(table.grade == .verified)
        #expect(table.value("RetNet", "in-domain")?.value == 26.05)
        #expect(table.value("RWKV", "PG22")?.value == 51.41)
        #expect(table.value("H3", "QMSum")?.value == 24.29)
        #expect(table.value("Hyena", "GovReport")?.value == 20.55)
        #expect(table.value("Linear Transformer", "SummScreen")?.value == 32.02)
        #expect(table.value("Linear Transformer", "in-domain")?.value == 40.24)
        // There is no Transformer in it.
        #expect(table.value("Transformer", "in-domain") == nil)
        // Gaps as computed from the table by others: 0.171, 0.140, 0.208, 0.435 nats.
        for (name, gap) in [("RWKV", 0.171), ("H3", 0.140), ("Hyena", 0.208), ("Linear Transformer", 0.435)] {
            let ours = TextComparison.publishedGap(name, base: "RetNet", "in-domain", in: table)
            #expect(abs((ours ?? 0) - gap) < 6e-4)
        }
    }

    @Test("Table 6 is that of the paper")
    func ablations() {
        let table = RetNetPaper.ablations
        #expect(table.rows.map { $0.values[0] } == [26.05, 27.84, 27.54, 27.86, 27.02, 27.68])
        #expect(table.rows.map { $0.values[1] } == [45.27, 49.44, 46.95, 47.85, 47.18, 47.72])
        #expect(table.rows.map { $0.values[2] } == [21.33, 22.52, 22.61, 21.99, 22.08, 23.09])
        #expect(table.rows.map { $0.values[3] } == [16.52, 17.45, 17.59, 17.49, 17.17, 17.46])
        #expect(table.rows.map { $0.values[4] } == [22.48, 23.72, 23.73, 23.70, 23.38, 23.41])
        for (name, gap) in [("no gate", 0.066), ("no head norm", 0.056), ("one decay", 0.037)] {
            let ours = TextComparison.publishedGap(name, base: "RetNet", "in-domain", in: table)
            #expect(abs((ours ?? 0) - gap) < 6e-4)
        }
    }

    @Test("Tables 4 and 8 and the stated ratios are those of the paper, with their grades")
    func others() {
        let speed = RetNetPaper.trainingThroughput
        #expect(speed.grade == .verified)
        #expect(speed.value("1.3B", "RetNet")?.value == 73_344.8)
        #expect(speed.value("6.7B", "Transformer")?.value == 2754.4)
        #expect(speed.value("2.7B", "Transformer, FlashAttention")?.value == 34_990.2)
        #expect(RetNetPaper.largestTrainingThroughput.grade == .oneTranscription)
        #expect(RetNetPaper.trainingMemory.grade == .oneTranscription)
        #expect(RetNetPaper.trainingMemory.value("13B", "RetNet")?.value == 45.9)
        #expect(
            RetNetPaper.contextLength.rows.map(\.values) == [[13.55, 12.56, 12.35], [13.09, 12.14, 11.98]])
        #expect(RetNetPaper.inference.rows.map(\.values) == [[3.4, 8.4, 15.6]])
        #expect(RetNetPaper.laterArchitectures.value("Mamba", "validation")?.value == 3.379)
        #expect(RetNetPaper.laterAblations.value("no decay", "validation")?.value == 3.920)
    }

    @Test("Every table has full rows, a source and a caption that calls it published")
    func shape() {
        let tables = [
            RetNetPaper.architectures, RetNetPaper.ablations, RetNetPaper.contextLength,
            RetNetPaper.trainingThroughput, RetNetPaper.largestTrainingThroughput, RetNetPaper.trainingMemory,
            RetNetPaper.inference, RetNetPaper.laterArchitectures, RetNetPaper.laterAblations,
        ]
        for table in tables {
            #expect(table.rows.allSatisfy { $0.values.count == table.columns.count })
            guard case .text(let caption) = table.sections.first else {
                Issue.record("no caption")
                continue
            }
            #expect(caption.contains("Published, not measured here"))
            #expect(caption.contains(table.source))
            #expect(caption.contains(table.grade.rawValue))
        }
    }

    @Test("Readings of figures are never printed as numbers")
    func figures() {
        let table = PublishedTable(
            title: "a curve", source: "somewhere", grade: .figureReading, columns: ["x"],
            rows: [.init("y", [12.8])])
        #expect(table.sections.count == 1)
        #expect(RetNetPaper.curves.sections.count == 1)
        #expect(RetNetPaper.curves.rows.isEmpty)
    }
}
