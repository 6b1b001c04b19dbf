import Foundation
import RetNetCheckpoints
import RetNetModels
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

/// Whatever happens to a file, reading it either works or throws; nothing may trap.
@Suite struct CorruptionTests {
    /// One random change: some bytes overwritten, removed, inserted or repeated.
    private func mutated(_ bytes: [UInt8], _ generator: inout SeededGenerator, within limit: Int) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<(1 + generator.integer(below: 3)) where !bytes.isEmpty {
            let place = generator.integer(below: min(limit, bytes.count))
            switch generator.integer(below: 5) {
            case 0: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
            case 1: bytes[place] ^= 1 << UInt8(generator.integer(below: 8))
            case 2: bytes.remove(at: place)
            case 3: bytes.insert(UInt8(ascii: "0") + UInt8(generator.integer(below: 10)), at: place)
            default: bytes.removeSubrange(place..<min(bytes.count, place + generator.integer(below: 40)))
            }
        }
        return bytes
    }

    @Test("thousands of damaged state files are read or refused")
    func stateFiles() throws {
        try withTemporaryFolder { folder in
            let model = try tinyModel()
            let tokens = try Tensor.from([Int64(1), 2, 3], [1, 3])
            let (_, state) = try withoutGradients { try model(tokens, form: .parallel) }
            let path = folder + "/state"
            try StateFile.write(SavedState(state: state), of: model, to: path)
            let bytes = try readBytes(path)
            var generator = SeededGenerator(seed: 11)
            var refused = 0
            for round in 0..<2000 {
                // Mostly the header, where a change means more than another value.
                let limit = round % 4 == 0 ? bytes.count : 600
                try writeBytes(mutated(bytes, &generator, within: limit), to: path)
                do {
                    let read = try StateFile.read(path, for: model)
                    _ = try withoutGradients { try model(tokens, state: read.state, form: .recurrent) }
                } catch {
                    refused += 1
                    #expect(!"\(error)".isEmpty)
                }
            }
            #expect(refused > 1000)
        }
    }

    @Test("thousands of damaged model folders are loaded or refused")
    func modelFolders() throws {
        try withTemporaryFolder { folder in
            try ModelFolder.write(tinyModel(), tokenizer: ByteTokenizer(), into: folder)
            let names = [
                "config.json", "model.safetensors", "generation_config.json", "tokenizer_config.json",
            ]
            let originals = try names.map { try readBytes(folder + "/" + $0) }
            var generator = SeededGenerator(seed: 12)
            var refused = 0
            for round in 0..<2000 {
                // The configuration most often: it decides about every size.
                let index = [0, 1, 0, 2, 0, 1, 3][round % 7]
                let path = folder + "/" + names[index]
                try writeBytes(mutated(originals[index], &generator, within: 1500), to: path)
                do {
                    let loaded = try ModelFolder.load(folder)
                    _ = try loaded.tokenizer
                } catch {
                    refused += 1
                    #expect(!"\(error)".isEmpty)
                }
                try writeBytes(originals[index], to: path)
            }
            #expect(refused > 1000)
            _ = try ModelFolder.load(folder)
        }
    }
}
