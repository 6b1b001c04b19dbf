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

    @Test func `Tensors that share a file outlive its reader and change no file`() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("t.safetensors")
        let values = (0..<5000).map { Float($0) }
        try SafetensorsWriter(tensors: [
            ("x", try Tensor.from(values, [50, 100])), ("y", try Tensor.ones([3])),
        ])
        .write(to: path)
        let before = try readBytes(path)
        let tensor = try SafetensorsTensors(file: path, sharesFiles: true).tensor(named: "x")
        let row = try tensor.selected(0, 1)
        #expect(try tensor.values(as: Float.self) == values)
        try tensor.scale(by: 2)
        #expect(try row.doubles().prefix(2) == [200, 202])
        #expect(try readBytes(path) == before)
        #expect(try SafetensorsTensors(file: path).tensor(named: "x").doubles()[1] == 1)
    }

    @Test func `Tensors at odd places of a file are copied`() throws {
        let folder = try TemporaryFolder()
        let header = #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"# + " "
        let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { [UInt8]($0) }
        let data = [Float(3), 4].withUnsafeBytes { [UInt8]($0) }
        try writeBytes(length + [UInt8](header.utf8) + data, to: folder.path("t.safetensors"))
        #expect(header.utf8.count % 4 != 0)
        let tensors = try SafetensorsTensors(file: folder.path("t.safetensors"), sharesFiles: true)
        #expect(try tensors.tensor(named: "x").doubles() == [3, 4])
    }

    @Test(
        arguments: [ElementType.float16, .bfloat16, .float32, .float64], [Double.nan, .infinity, -.infinity])
    func `A single number that is not finite is found wherever it is`(type: ElementType, bad: Double) throws {
        for place in [0, 1, 4095, 4096, 9999] {
            var values = [Double](repeating: -3e4, count: 10_000)
            #expect(try Tensor.from(values).to(type).allFinite())
            values[place] = bad
            let tensor = try Tensor.from(values, [100, 100]).to(type)
            #expect(try !tensor.allFinite())
            #expect(try !tensor.transposed(0, 1).allFinite())
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
