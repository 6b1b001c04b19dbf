import Foundation
import RetNetCheckpoints
import RetNetSettings
import RetNetStorage
import RetNetTorch
import Testing

/// The tensors of files of PyTorch, whose bytes the tests of the storage layer compare.
@Suite struct PyTorchTensorsTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .appendingPathComponent("RetNetStorageTests/Fixtures/PyTorch").path

    @Test(arguments: ["state.pt", "legacy.pt", "deflated.pt"])
    func viewsBecomeTensorsInTheOrderOfTheirShape(name: String) throws {
        let tensors = try PyTorchTensors(file: Self.folder + "/" + name)
        let whole = try tensors.tensor(named: "f32")
        #expect(whole.shape == [4, 6] && whole.elementType == .float32)
        #expect(try tensors.tensor(named: "transposed").doubles() == whole.transposed(0, 1).doubles())
        #expect(try tensors.tensor(named: "column").doubles() == [2, 8, 14, 20].map { $0 / 8 })
        #expect(try tensors.tensor(named: "expanded").doubles() == [1, 1, 1, 2, 2, 2])
        #expect(tensors.entry(named: "bf16")?.elementType == .bfloat16)
        #expect(tensors.isSame("embed.weight", "output.weight") && !tensors.isSame("f32", "transposed"))
        #expect(throws: CheckpointError.self) { try tensors.tensor(named: "complex") }
        #expect(throws: StorageError.self) { try tensors.tensor(named: "none") }
    }

    @Test(arguments: ["state.pt", "legacy.pt", "deflated.pt"])
    func tensorsOfTheFileItselfAreTheSameAsCopies(name: String) throws {
        let path = Self.folder + "/" + name
        let (shared, copied) = (
            try PyTorchTensors(file: path, sharesFiles: true), try PyTorchTensors(file: path)
        )
        try withoutGradients {
            for entry in copied.entries where entry.elementType == .float32 || entry.elementType == .bfloat16
            {
                let (a, b) = (try shared.tensor(named: entry.name), try copied.tensor(named: entry.name))
                #expect(try a.doubles() == b.doubles() && a.shape == b.shape, "\(entry.name)")
                // Writing to one changes neither the file nor a tensor that shares bytes with it there.
                if a.elementCount > 0 { try a.scale(by: 2) }
            }
            for entry in copied.entries where entry.elementType == .float32 {
                let again = try PyTorchTensors(file: path, sharesFiles: true).tensor(named: entry.name)
                #expect(try again.doubles() == copied.tensor(named: entry.name).doubles(), "\(entry.name)")
            }
        }
    }

    @Test func valuesAreATreeOfSettings() throws {
        let tensors = try PyTorchTensors(file: Self.folder + "/fairseq.pt")
        #expect(tensors.stateDictionaryPath == ["model"])
        #expect(tensors.values.object?["args"]?.object?["decoder_layers"]?.int == 6)
        #expect(tensors.values.object?["args"]?.object?["dropout"]?.double == 0.1)
        #expect(tensors.entries.map(\.name) == ["decoder.embed_tokens.weight", "decoder.version"])
        #expect(try PyTorchTensors(folder: Self.folder + "/shards").entries.map(\.name) == ["a", "b", "c"])
    }
}
