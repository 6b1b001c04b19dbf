import Foundation
import RetNetCheckpoints
import RetNetStorage
import RetNetTestSupport
import RetNetTorch
import Testing

@Suite struct SafetensorsTensorsTests {
    @Test("every element type survives a file", arguments: ElementType.allCases)
    func elementTypes(type: ElementType) throws {
        try withTemporaryFolder { folder in
            let path = folder + "/t.safetensors"
            let tensor = try Tensor.from([Float(0), 1, 1, 0, 1, 1], [2, 3]).to(type)
            try SafetensorsWriter(tensors: [("x", tensor), ("scalar", try Tensor.full([], 1, type))])
                .write(to: path)
            let tensors = try SafetensorsTensors(file: path)
            let read = try tensors.tensor(named: "x")
            #expect(read.elementType == type)
            #expect(read.shape == [2, 3])
            #expect(try read.doubles() == [0, 1, 1, 0, 1, 1])
            #expect(try tensors.tensor(named: "scalar").item() == 1)
            #expect(ElementType(type.stored) == type)
        }
    }

    @Test("views are written in the order of their elements, and empty tensors too")
    func views() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/t.safetensors"
            let tensor = try Tensor.from([Float(1), 2, 3, 4, 5, 6], [2, 3]).transposed(0, 1)
            try SafetensorsWriter(tensors: [("x", tensor), ("none", try Tensor.zeros([0, 4]))])
                .write(to: path)
            let tensors = try SafetensorsTensors(file: path)
            #expect(try tensors.tensor(named: "x").doubles() == [1, 4, 2, 5, 3, 6])
            #expect(try tensors.tensor(named: "none").shape == [0, 4])
        }
    }

    @Test("unknown names and types that tensors cannot have are errors")
    func errors() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/t.safetensors"
            try SafetensorsWriter([
                .init(name: "x", elementType: .uint64, shape: [1], data: Data(count: 8))
            ]).write(to: path)
            let tensors = try SafetensorsTensors(file: path)
            let unusable = CheckpointProblem.unusableType(name: "x", found: "U64")
            #expect(throws: CheckpointError(path: path, problems: [unusable])) {
                try tensors.tensor(named: "x")
            }
            #expect(throws: StorageError.unknownTensor(name: "y", path: path)) {
                try tensors.tensor(named: "y")
            }
            let error = CheckpointError(path: path, problems: [unusable])
            #expect(
                error.description.contains(
                    "'x' has elements of type U64 (integers of 64 bits), which tensors cannot have"))
        }
    }
}
