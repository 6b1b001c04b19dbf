import Foundation
import RetNetArchitecture
import RetNetCheckpoints
import RetNetRuntime
import RetNetSampling
import RetNetStorage
import RetNetTestSupport
import RetNetTorch
import Testing

/// States in 16 bits: matrices of recurrences and caches of attention.
@Suite struct StateTypeTests {
    private static let types: [StateElementType] = [.bfloat16, .float16]
    private static let variants =
        [
            ParityTests.retentions[0], ParityTests.retentions[4], ParityTests.blocks[14],
            StateInterchangeTests.reducedAttention,
        ] + ParityTests.mixers

    private func logits(_ pair: EnginePair, _ tokens: [Int32]) throws -> [Float] {
        try pair.found(tokens, pieces: [tokens.count])
    }

    @Test(arguments: variants, types)
    func `logits stay near those of float32, also over the file of the state`(
        _ variant: ParityTests.Variant, _ type: StateElementType
    ) throws {
        let pair = try EnginePair(variant.configuration, stateType: type)
        let wide = try EnginePair(variant.configuration)
        let tokens = EnginePair.tokens(30)
        let error = relativeError(try logits(pair, tokens), try logits(wide, tokens))
        // The sums of RWKV are float32 always.
        #expect(error == 0 || error > 1e-6)
        #expect(error < (type == .bfloat16 ? 3e-2 : 4e-3))
        #expect((error == 0) == variant.name.hasPrefix("rwkv"))

        var states = [pair.runtime.initialState()]
        try pair.runner.read([tokens], &states)
        var expected = [wide.runtime.initialState()]
        try wide.runner.read([tokens], &expected)
        if error > 0 { #expect(states[0].byteCount < expected[0].byteCount) }
        // Files have the last tokens in matrices. Into the other types and back nothing changes but by rounding.
        states[0].settle()
        let data = try pair.runtime.data(of: SavedSequences(states: states))
        var (own, others) = (
            try pair.runtime.load(data, tokenizer: nil).states,
            try wide.runtime.load(data, tokenizer: nil).states
        )
        let next = try Array(pair.runner.step([3], &states)[0])
        #expect(try Array(pair.runner.step([3], &own)[0]) == next)
        #expect(
            relativeError(try Array(wide.runner.step([3], &others)[0]), next)
                < (type == .bfloat16 ? 1e-2 : 2e-3))
        let folder = try TemporaryFolder()
        try data.write(to: folder.url.appendingPathComponent("state"))
        let saved = try StateFile.read(folder.path("state"), for: pair.torch)
        let torch = try withoutGradients {
            try pair.torch(Tensor.from([Int64(3)], [1, 1]), state: saved.state, form: .recurrent)
                .logits.values(as: Float.self)
        }
        #expect(relativeError(torch, next) < (type == .bfloat16 ? 1e-2 : 2e-3))
    }

    @Test(arguments: variants, types)
    func `rows of a batch have the bits that they have alone`(
        _ variant: ParityTests.Variant, _ type: StateElementType
    ) throws {
        let pair = try EnginePair(variant.configuration, stateType: type)
        let prompts = [1, 33, 7].enumerated().map { EnginePair.tokens($1, seed: $0) }
        var alone: [[Float]] = []
        for prompt in prompts {
            var state = [pair.runtime.initialState()]
            try pair.runner.read([prompt], &state)
            alone.append(try Array(pair.runner.step([5], &state)[0]))
        }
        let narrow = try ModelRunner(pair.runtime, threads: 1)
        for runner in [pair.runner, narrow] {
            var states = prompts.map { _ in pair.runtime.initialState() }
            try runner.read(prompts, &states)
            let found = try runner.step([5, 5, 5], &states)
            for row in prompts.indices { #expect(Array(found[row]) == alone[row]) }
        }
    }

    @Test func `a state in another type, and numbers beyond its range, are refused`() throws {
        let wide = try EnginePair(ParityTests.retention())
        let narrow = try EnginePair(ParityTests.retention(), stateType: .float16)
        var states = [wide.runtime.initialState()]
        try wide.runner.read([[1, 2]], &states)
        #expect(throws: RuntimeError.self) { try narrow.runner.step([1], &states) }
        #expect(throws: RuntimeError.self) { try narrow.runtime.data(of: SavedSequences(states: states)) }
        let folder = try TemporaryFolder()
        let path = folder.path("state")
        let tokens = try Tensor.from([Int64(1)], [1, 1])
        let state = try withoutGradients { try wide.torch(tokens, form: .recurrent).state }
        let large = try state.mapTensors { try Tensor.full($0.shape, 1e6) }
        try StateFile.write(SavedState(state: large), of: wide.torch, to: path)
        _ = try wide.runtime.load(path, tokenizer: nil)
        #expect(throws: RuntimeError.stateRange(path: path, name: "layers.0.memory", type: .float16)) {
            _ = try narrow.runtime.load(path, tokenizer: nil)
        }
    }
}
