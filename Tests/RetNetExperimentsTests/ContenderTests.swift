import RetNetModels
import Testing

@testable import RetNetExperiments

@Suite struct ContenderTests {
    @Test(
        "Every contender keeps the budget of 12 d² a block within two per cent", arguments: [128, 256, 1024])
    func budget(width: Int) throws {
        for architecture in ComparedArchitecture.allCases {
            let size =
                width < 1024
                ? ModelSize.small(width: width, layerCount: 3) : ModelSize(width: width, layerCount: 16)
            let contender = Contender(architecture, size, length: 256)
            let parameters = try ModelAccounting(contender.configuration).parameters
            let count = Double(parameters.mixers + parameters.feedForwards)
            let budget = Double(12 * width * width * size.layerCount)
            #expect(abs(count / budget - 1) < 0.02, "\(contender.name) has \(count) of \(budget)")
        }
    }

    @Test("Ablations keep the budget and differ from the model")
    func ablations() throws {
        let base = Contender(.retnet, .small(width: 128, layerCount: 3), length: 256).configuration
        let budget = Double(try ModelAccounting(base).blockMatrixParameterCount)
        for ablation in RetNetAblation.allCases {
            let model = try ablation.applied(to: base)
            #expect(model != base)
            #expect(abs(Double(try ModelAccounting(model).blockMatrixParameterCount) / budget - 1) < 0.001)
        }
    }

    @Test("Every ablation has a published row")
    func rows() {
        for ablation in RetNetAblation.allCases {
            #expect(RetNetPaper.ablations.rows.contains { $0.name == ablation.title })
            #expect(RetNetPaper.laterAblations.rows.contains { $0.name == ablation.title })
        }
    }

    @Test("Errors on unknown, repeated and missing contenders list the known ones")
    func names() throws {
        for asked in [["retnets"], ["retnet", "retnet"], []] {
            do {
                _ = try Small.context(contenders: asked).architectures(otherwise: [.retnet])
                Issue.record("\(asked) was accepted")
            } catch {
                #expect("\(error)".contains("retnet"))
            }
        }
        #expect(try Small.context().architectures(otherwise: [.retnet]) == [.retnet])
        #expect(try Small.context(contenders: ["retnet"]).architectures(otherwise: []) == [.retnet])
        #expect(
            try Small.context(contenders: ["all"]).architectures(otherwise: [.retnet])
                == ComparedArchitecture.allCases)
    }

    @Test("Different models have different fingerprints")
    func fingerprints() {
        let size = ModelSize.small(width: 128, layerCount: 3)
        let prints = ComparedArchitecture.allCases.map { Contender($0, size, length: 256).fingerprint }
        #expect(Set(prints).count == prints.count)
        #expect(prints == ComparedArchitecture.allCases.map { Contender($0, size, length: 256).fingerprint })
    }
}
