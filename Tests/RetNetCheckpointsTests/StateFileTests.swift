import Foundation
import RetNetCheckpoints
import RetNetMixers
import RetNetModels
import RetNetSampling
import RetNetStorage
import RetNetTestSupport
import RetNetTorch
import Testing

@Suite struct StateFileTests {
    private func advanced(_ model: LanguageModel, rows: Int = 2) throws -> SavedState {
        let tokens = try Tensor.from((0..<rows * 5).map { Int64($0 % 256) }, [rows, 5])
        return try withoutGradients {
            let (logits, state) = try model(tokens, form: .parallel, lastOnly: true)
            return SavedState(
                state: state, logits: try logits.squeezed(1), pendingTokens: [[7], []],
                tokenizerIdentity: "byte-256-v1", metadata: ["note": "a \"text\"\n"])
        }
    }

    @Test("a state is read back bit for bit", arguments: [ScoreNormalization.decay, .decayAbsSum])
    func roundTrip(normalization: ScoreNormalization) throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel(normalization: normalization)
            let saved = try advanced(model)
            let path = folder + "/state.safetensors"
            try StateFile.write(saved, of: model, to: path)
            let read = try StateFile.read(path, for: model, tokenizerIdentity: "byte-256-v1")
            #expect(read.state.positions == saved.state.positions)
            #expect(read.tokenCounts == [5, 5])
            #expect(read.pendingTokens == saved.pendingTokens)
            #expect(read.metadata == saved.metadata)
            #expect(read.tokenizerIdentity == saved.tokenizerIdentity)
            #expect(try read.logits?.doubles() == saved.logits?.doubles())
            for (a, b) in zip(read.state.layers, saved.state.layers) {
                for (one, other) in zip(a.tensors, b.tensors) {
                    #expect(one.name == other.name)
                    #expect(try one.tensor.doubles() == other.tensor.doubles())
                }
            }
        }
    }

    @Test("states of other models and tokenizers are refused")
    func otherModels() throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel()
            let path = folder + "/state"
            try StateFile.write(advanced(model), of: model, to: path)
            let other = try tinyModel(seed: 2)
            let error = #expect(throws: StateFileError.self) { try StateFile.read(path, for: other) }
            guard case .wrongModel = error else {
                Issue.record("unexpected error \(String(describing: error))")
                return
            }
            #expect(
                throws: StateFileError.wrongTokenizer(path: path, expected: "x", found: "byte-256-v1")
            ) { try StateFile.read(path, for: model, tokenizerIdentity: "x") }
            try SafetensorsWriter(tensors: [("a", try Tensor.zeros([1]))]).write(to: path)
            #expect(throws: StateFileError.notStateFile(path: path)) {
                try StateFile.read(path, for: model)
            }
        }
    }

    @Test("a state that is not finite is neither saved nor read")
    func notFinite() throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel()
            var saved = try advanced(model)
            saved.state = try saved.state.mapTensors { try Tensor.full($0.shape, .nan) }
            let path = folder + "/state"
            #expect(throws: StateFileError.notFinite(path: path, name: "layers.0.memory")) {
                try StateFile.write(saved, of: model, to: path)
            }
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test("every malformed metadata is refused with its reason")
    func malformed() throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel()
            let path = folder + "/state"
            let saved = try advanced(model)
            try StateFile.write(saved, of: model, to: path)
            let file = try SafetensorsTensors(file: path)
            var tensors: [(name: String, tensor: Tensor)] = []
            for name in file.names { tensors.append((name, try file.tensor(named: name))) }
            func expectRefusal(
                _ reason: String, _ changes: [ExactString: String?] = [:], dropping dropped: String? = nil,
                adding added: String? = nil
            ) throws {
                var metadata = file.metadata
                for (key, value) in changes { metadata[key] = value }
                var kept = tensors.filter { $0.name != dropped }
                if let added { kept.append((added, try Tensor.zeros([1]))) }
                try SafetensorsWriter(tensors: kept, metadata: metadata).write(to: path)
                let error = #expect(throws: StateFileError.self) { try StateFile.read(path, for: model) }
                let text = error?.description ?? ""
                #expect(text.contains(path) && text.contains(reason), "\(text)")
            }
            try expectRefusal("version '3'", ["version": "3"])
            try expectRefusal("version '(none)'", ["version": nil])
            try expectRefusal("fingerprint is '(none)'", ["fingerprint": nil])
            try expectRefusal("no 'positions'", ["positions": nil])
            try expectRefusal("no rows", ["positions": "[]"])
            // One row less than the tensors have.
            try expectRefusal("has the shape", ["positions": "[[1,2]]", "pending_tokens": "[[]]"])
            for positions in ["[[1,2],[3]]", "[[0,-1],[0,0]]", "[[0,9223372036854775807],[0,0]]"] {
                try expectRefusal("which is not a position and a token count", ["positions": positions])
            }
            for positions in ["", "[[1e30,0],[0,0]]", "{}", "[[0,0],[0,\"1\"]]"] {
                try expectRefusal("not a JSON array of the right form", ["positions": positions])
            }
            try expectRefusal("no 'pending_tokens'", ["pending_tokens": nil])
            try expectRefusal("has 0 rows", ["pending_tokens": "[]"])
            try expectRefusal("has 3 rows", ["pending_tokens": "[[1],[2],[3]]"])
            for pending in ["[[256],[]]", "[[-1],[]]"] {
                try expectRefusal("not in the vocabulary of 256", ["pending_tokens": pending])
            }
            for pending in ["[[1.5],[]]", "7"] {
                try expectRefusal("not a JSON array of the right form", ["pending_tokens": pending])
            }
            try expectRefusal("'layers.1.memory' is missing", dropping: "layers.1.memory")
            try expectRefusal("'layers.2.memory' belongs to no layer", adding: "layers.2.memory")
            try expectRefusal("'logits' has the shape [1]", dropping: "logits", adding: "logits")
        }
    }
}
