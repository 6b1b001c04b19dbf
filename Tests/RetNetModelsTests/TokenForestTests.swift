import RetNetArchitecture
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetTorch
import Testing

/// Trees of tokens against the sequences that they stand for, each run alone.
@Suite struct TokenForestTests {
    private static func retention(_ change: (inout RetentionConfiguration) -> Void)
        -> LanguageModelConfiguration
    {
        LanguageModelTests.configuration { c in
            guard case .retention(var r) = c.mixer else { return }
            change(&r)
            c.mixer = .retention(r)
        }
    }

    private static func attention(_ mixer: AttentionConfiguration, _ positions: PositionEmbedding = .none)
        -> LanguageModelConfiguration
    {
        LanguageModelTests.configuration {
            $0.mixer = .attention(mixer)
            $0.positionEmbedding = positions
            $0.positionCount = 32
        }
    }

    static let models: [(String, LanguageModelConfiguration)] = [
        ("retention", retention { _ in }),
        ("retention without norms of scores", retention { $0.normalization = .none }),
        ("retention normalized by sums", retention { $0.normalization = .decayAbsSum }),
        (
            "retention with shared keys",
            retention {
                $0.keyValueHeadCount = 1
                $0.rotation = .halves
            }
        ),
        ("attention", attention(AttentionConfiguration(headCount: 2, headSize: 8))),
        (
            "grouped attention",
            attention(AttentionConfiguration(headCount: 4, keyValueHeadCount: 2, headSize: 4))
        ),
        (
            "attention with learned positions",
            attention(AttentionConfiguration(headCount: 2, headSize: 8, rotation: .none), .learned)
        ),
        (
            "attention with waves",
            attention(AttentionConfiguration(headCount: 2, headSize: 8, rotation: .none), .sinusoidal)
        ),
    ]

    /// Two rows: a tree with branches in branches and a second tree; a path.
    private static let parents = [[-1, 0, 1, 1, 3, 2, 0, -1, 7], [-1, 0, 1, 2]]

    /// The nodes from a root to a token.
    private static func path(_ row: Int, _ node: Int) -> [Int] {
        let parent = parents[row][node]
        return (parent < 0 ? [] : path(row, parent)) + [node]
    }

    @Test("Every token of a tree sees its ancestors alone", arguments: models.indices, 0..<3)
    func ancestors(index: Int, stateRows: Int) throws {
        let model = try LanguageModelTests.model(Self.models[index].1)
        #expect(model.supportsForests)
        let forest = try TokenForest(parents: Self.parents)
        #expect(forest.rowCount == 2 && forest.length == 9 && forest.depthCount == 4)
        let tokens = try LanguageModelTests.tokens(2, 9, seed: 3)
        let ids = try tokens.values(as: Int64.self)
        try withoutGradients {
            // No state, one for all rows, or one for each.
            let state =
                stateRows == 0
                ? nil : try model.hidden(LanguageModelTests.tokens(stateRows, 5), form: .parallel).state
            let found = try model.hidden(tokens, in: forest, state: state)
            for row in 0..<2 {
                let own = try state?.selecting(rows: [min(row, stateRows - 1)])
                for node in Self.parents[row].indices {
                    let path = Self.path(row, node).map { ids[row * 9 + $0] }
                    let alone = try model.hidden(
                        Tensor.from(path, [1, path.count]), state: own, form: .parallel
                    ).hidden.sliced(1, path.count - 1..<path.count).doubles()
                    let mine = try found.sliced(0, row..<row + 1).sliced(1, node..<node + 1).doubles()
                    for (a, b) in zip(mine, alone) {
                        #expect(abs(a - b) < 1e-10, "\(Self.models[index].0), row \(row), token \(node)")
                    }
                }
            }
        }
    }

    @Test("The normalizer that only the parallel form has, too") func absoluteSums() throws {
        let model = try LanguageModelTests.model(Self.retention { $0.normalization = .decaySumAbs })
        let forest = try TokenForest(parents: [[-1, 0, 1, 0, 3]])
        let tokens = try LanguageModelTests.tokens(1, 5)
        try withoutGradients {
            let found = try model.hidden(tokens, in: forest).sliced(1, 4..<5).doubles()
            let ids = try tokens.values(as: Int64.self)
            let alone = try model.hidden(Tensor.from([ids[0], ids[3], ids[4]], [1, 3]), form: .parallel)
                .hidden.sliced(1, 2..<3).doubles()
            for (a, b) in zip(found, alone) { #expect(abs(a - b) < 1e-10) }
        }
    }

    @Test("Layers that count along a row, and trees that are none, are refused") func refusals() throws {
        let damped = try LanguageModelTests.model(Self.retention { $0.xPosScaleBase = 64 })
        #expect(!damped.supportsForests)
        let forest = try TokenForest(parents: [[-1, 0]])
        #expect(throws: MixerError.self) {
            try damped.hidden(LanguageModelTests.tokens(1, 2), in: forest)
        }
        let model = try LanguageModelTests.model(Self.models[0].1)
        #expect(throws: MixerError.self) { try model.hidden(LanguageModelTests.tokens(1, 3), in: forest) }
        #expect(throws: MixerError.self) { try TokenForest(parents: [[]]) }
        for wrong in [[0], [-1, 1], [-1, -2]] {
            #expect(throws: TorchError.self) { try TokenForest(parents: [wrong]) }
        }
    }
}
