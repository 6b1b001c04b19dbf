import Foundation
import RetNetMixers
import RetNetSettings
import RetNetTestSupport
import Testing

struct RetentionConfigurationTests {
    private func near(_ left: [Double], _ right: [Double], _ tolerance: Double = 1e-6) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { abs($0 - $1) <= tolerance * abs($1) }
    }

    @Test func `decay schedules have the published values`() {
        #expect(DecaySchedule.standard.gammas(headCount: 3) == [0.96875, 0.984375, 0.9921875])
        let experiment = [0.96875, 0.978970, 0.985848, 0.990476, 0.993591, 0.995687, 0.997098, 0.998047]
        #expect(near(DecaySchedule.experiment.gammas(headCount: 8), experiment))
        #expect(DecaySchedule.experiment.gammas(headCount: 2) == [0.96875, 0.998046875])
        #expect(DecaySchedule.experiment.gammas(headCount: 1) == [0.96875])
        #expect(DecaySchedule.quarterSteps.gammas(headCount: 5)[4] == 0.984375)
        #expect(DecaySchedule.uniform(0.5).gammas(headCount: 2) == [0.5, 0.5])
        #expect(DecaySchedule.list([0.5, 1]).logGammas(headCount: 2) == [log(0.5), 0])
        #expect(DecaySchedule.standard.gammas(headCount: 0).isEmpty)
    }

    @Test func `logarithms stay exact where the decay itself has rounded to 1`() {
        let logs = DecaySchedule.standard.logGammas(headCount: 100)
        #expect(near([logs[0]], [-0.031748698314580301], 1e-15))
        #expect(logs[95] == -exp2(-100))
        for schedule in [DecaySchedule.standard, .experiment, .quarterSteps] {
            #expect(
                near(schedule.logGammas(headCount: 16), schedule.gammas(headCount: 16).map { log($0) }, 1e-9))
        }
        #expect(DecaySchedule.standard.logGammas(headCount: 5000).allSatisfy { $0.isFinite && $0 <= 0 })
    }

    @Test func `rotation angles have the published values`() {
        #expect(near(RotationKind.interleaved.angles(keySize: 8), [1, 0.0464158883, 0.00215443469, 0.0001]))
        #expect(near(RotationKind.halves.angles(keySize: 8), [1, 0.1, 0.01, 0.001]))
        #expect(near(RotationKind.interleaved.angles(keySize: 4), [1, 0.0001]))
        #expect(near(RotationKind.halves.angles(keySize: 4), [1, 0.01]))
        #expect(RotationKind.interleaved.angles(keySize: 2) == [1])
        #expect(RotationKind.none.angles(keySize: 8).isEmpty)
        #expect(RotationKind.halves.angles(keySize: 0).isEmpty)
    }

    @Test func `only the sum of absolute scores does not stream`() {
        #expect(ScoreNormalization.allCases.filter { !$0.streams } == [.decaySumAbs])
    }

    @Test func `configurations survive YAML and JSON`() throws {
        let decays: [DecaySchedule] = [
            .standard, .experiment, .quarterSteps, .uniform(1), .uniform(1 - exp2(-6.5)),
            .list([0.9, 0.99, 0.1, 1]),
        ]
        for (index, decay) in decays.enumerated() {
            let configuration = RetentionConfiguration(
                headCount: 4, keyValueHeadCount: index % 2 == 0 ? nil : 2, keySize: 8, valueSize: 6,
                decay: decay,
                rotation: RotationKind.allCases[index % 3],
                normalization: ScoreNormalization.allCases[index % 4],
                headNorm: HeadNormConfiguration(kind: .layer, affine: .perHead, epsilon: 1e-5),
                gate: GateActivation.allCases[index % 3], biases: index % 2 == 0)
            #expect(configuration.problems().isEmpty)
            let texts = [configuration.settings.yamlText(), try configuration.settings.jsonText()]
            for text in texts {
                let reader = SettingsReader(try SettingsTree(yaml: text))
                #expect(RetentionConfiguration(reading: reader) == configuration)
                try reader.finish()
            }
        }
    }

    @Test func `three sizes suffice and everything else has its default`() throws {
        let reader = SettingsReader(["head_count": 2, "key_size": 4, "value_size": 8])
        #expect(
            RetentionConfiguration(reading: reader)
                == RetentionConfiguration(headCount: 2, keySize: 4, valueSize: 8))
        try reader.finish()
    }

    @Test func `all contradictions are found at once`() {
        var configuration = RetentionConfiguration(
            headCount: 4, keyValueHeadCount: 3, keySize: 7, valueSize: 1 << 16, decay: .list([0.5]))
        #expect(configuration.problems().map(\.path) == ["key_value_head_count", "key_size", "decay"])
        configuration.headCount = 64
        #expect(configuration.problems().map(\.path).contains("value_size"))
        configuration.headNorm = HeadNormConfiguration(kind: .none, affine: .shared, epsilon: -1)
        #expect(configuration.problems().map(\.path) == ["head_norm.epsilon"])
        configuration.headNorm.epsilon = 0
        #expect(configuration.problems().map(\.path) == ["head_norm.affine"])
        configuration.headCount = .max
        #expect(
            errorText(SettingsError.self) { try configuration.validate() }.contains(
                "head_norm.affine: found the text 'shared'"))
    }

    @Test(arguments: [0.0, -1, 1.5, .nan, .infinity])
    func `decays outside the range are refused`(gamma: Double) {
        var configuration = RetentionConfiguration(
            headCount: 1, keySize: 2, valueSize: 2, decay: .uniform(gamma))
        #expect(configuration.problems().map(\.path) == ["decay"])
        configuration.decay = .list([gamma])
        #expect(configuration.problems().map(\.path) == ["decay[0]"])
    }

    @Test func `a misspelt name is explained`() throws {
        let text =
            "{head_count: 1, key_size: 2, value_size: 2, decay: standart, rotation: half, head_nrom: {}}"
        let reader = try SettingsDocument(yaml: text).reader
        _ = RetentionConfiguration(reading: reader)
        let error = #expect(throws: SettingsError.self) { try reader.finish() }
        #expect(error?.problems.map(\.path) == ["decay", "rotation", "head_nrom"])
        #expect(error?.problems.map(\.suggestion) == ["standard", nil, "head_norm"])
    }

    @Test func `parameters, state and work are counted as the formulas say`() throws {
        var configuration = RetentionConfiguration(headCount: 8, keySize: 256, valueSize: 512)
        #expect(configuration.matrixElementCount == 1_048_576)
        #expect(configuration.normalizerElementCount == 0)
        #expect(configuration.recurrentFLOPs(position: 77) == 4_194_304)
        // The fact sheet's table for one layer of 1.3B, in millions of FLOPs.
        let table = [(16, 4.39), (64, 4.98), (128, 5.77), (256, 7.34), (512, 10.49), (1024, 16.78)]
        for (chunk, millions) in table {
            let flops = Double(configuration.forwardFLOPsPerToken(chunkLength: chunk)) / 1e6
            #expect(abs(flops - millions) < 0.006)
        }
        // 14 C d + 16 a d, and 20 a d with states computed again.
        let backward = 14 * 64 * 2048 + 16 * 256 * 2048
        #expect(configuration.backwardFLOPsPerToken(chunkLength: 64, recomputesStates: false) == backward)
        #expect(
            configuration.backwardFLOPsPerToken(chunkLength: 64, recomputesStates: true)
                == backward + 4 * 256 * 2048)
        #expect(configuration.forwardFLOPsPerToken(chunkLength: .max) > 0)
        configuration.normalization = .decayAbsSum
        #expect(configuration.normalizerElementCount == 2048)
        configuration.keyValueHeadCount = 2
        configuration.biases = true
        configuration.headNorm = HeadNormConfiguration(kind: .layer, affine: .shared)
        let shapes = try configuration.parameterShapes(hiddenSize: 100)
        #expect(
            shapes.map(\.name) == [
                "query.weight", "query.bias", "key.weight", "key.bias", "value.weight", "value.bias",
                "gate.weight",
                "gate.bias", "head_norm.weight", "head_norm.bias", "output.weight", "output.bias",
            ])
        #expect(shapes[2].shape == [512, 100])
        #expect(shapes[8].shape == [512])
        #expect(shapes[10].shape == [100, 4096])
        #expect(shapes[11].shape == [100])
    }
}
