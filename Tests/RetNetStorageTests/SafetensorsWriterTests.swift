import Foundation
import Testing

@testable import RetNetStorage

@Suite struct SafetensorsWriterTests {
    typealias Tensor = SafetensorsWriter.Tensor

    @Test func `tensors of every type survive writing and reading`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/a.safetensors"
            var tensors: [Tensor] = []
            var expected: [ExactString: Data] = [:]
            for (index, type) in StoredElementType.allCases.enumerated() {
                for (suffix, shape) in [
                    ("", type.bitCount % 8 == 0 ? [] : [8]), (".e", [0, 3]), (".m\"\\\n\u{1}\u{E9}", [4, 6]),
                    (".m\"\\\n\u{1}e\u{301}", [4]),
                ] {
                    let name = type.rawValue + suffix
                    let byteCount = try #require(type.byteCount(shape: shape))
                    let data = randomData(byteCount, seed: UInt64(index))
                    expected[ExactString(name)] = data
                    tensors.append(Tensor(name: name, elementType: type, shape: shape, data: data))
                }
            }
            let metadata: [ExactString: String] = [
                "format": "pt", "a \"quote\"": "line\n\u{1F600}", "\u{E9}": "one", "e\u{301}": "two",
            ]
            try SafetensorsWriter(tensors, metadata: metadata).write(to: path)
            let file = try SafetensorsFile(path: path)
            #expect(file.metadata == metadata)
            #expect(file.entries.count == expected.count)
            #expect(file.header.dataOffset % 8 == 0)
            for entry in file.entries {
                #expect(entry.byteRange.lowerBound % max(1, entry.elementType.bitCount / 8) == 0)
                let data = try file.withUnsafeBytes(of: entry.name) { Data($0) }
                #expect(data == expected[ExactString(entry.name)])
                #expect(file.entry(named: entry.name) == entry)
            }
            #expect(file.entry(named: "none") == nil)
            expectStorageError("no tensor named 'none'") {
                try file.withUnsafeBytes(of: "none") { _ in }
            }
            let first = try contents(path)
            try SafetensorsWriter(tensors, metadata: metadata).write(to: path)
            #expect(try contents(path) == first)
        }
    }

    @Test func `a file without tensors can be written`() throws {
        try withTemporaryFolder { folder throws in
            try SafetensorsWriter([]).write(to: folder + "/empty.safetensors")
            let file = try SafetensorsFile(path: folder + "/empty.safetensors")
            #expect(file.entries.isEmpty)
            #expect(file.byteCount == 16)
        }
    }

    @Test func `the layout is that of the format's documentation`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/a.safetensors"
            let tensor = Tensor(name: "t", elementType: .uint8, shape: [2], data: Data([1, 2]))
            try SafetensorsWriter([tensor]).write(to: path)
            let header = "{\"t\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}"
            let padding = String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
            #expect(
                try contents(path) == safetensorsData(header: header + padding, data: Data([1, 2])))
        }
    }

    @Test func `bad tensors are refused before the old file is touched`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/a.safetensors"
            try put("old", at: path)
            func refuse(_ reason: String, _ tensors: Tensor..., and others: [Tensor] = []) {
                expectStorageError(path, reason) { try SafetensorsWriter(tensors + others).write(to: path) }
            }
            let good = Tensor(name: "a", elementType: .uint8, shape: [1], data: Data([1]))
            refuse("occurs twice", good, good)
            refuse("reserved", Tensor(name: "__metadata__", elementType: .uint8, shape: [0], data: Data()))
            refuse("negative", Tensor(name: "a", elementType: .uint8, shape: [-1], data: Data()))
            refuse("64 bits", Tensor(name: "a", elementType: .int64, shape: [.max], data: Data()))
            let huge = (0..<20).map {
                Tensor(name: "\($0)", elementType: .uint8, shape: [.max / 16], data: Data())
            }
            refuse("64 bits", and: huge)
            refuse("no whole bytes", Tensor(name: "a", elementType: .float4, shape: [3], data: Data([1])))
            refuse("has 1 bytes", Tensor(name: "a", elementType: .int64, shape: [1], data: Data([1])))
            refuse(
                "has 3 bytes",
                Tensor(name: "a", elementType: .uint8, shape: [2]) { sink in
                    try sink.write(Data([1, 2]))
                    try sink.write(Data([3]))
                })
            #expect(try contents(path) == Data("old".utf8))
            #expect(try names(folder) == ["a.safetensors"])
        }
    }

    @Test func `providers are called one by one with a sink`() throws {
        try withTemporaryFolder { folder throws in
            var calls: [String] = []
            let tensors = ["x", "y"].map { name in
                Tensor(name: name, elementType: .float32, shape: [100_000]) { sink in
                    calls.append(name)
                    for _ in 0..<100 { try sink.write(Data(repeating: 9, count: 4000)) }
                }
            }
            try SafetensorsWriter(tensors).write(to: folder + "/a")
            #expect(calls == ["x", "y"])
            #expect(try SafetensorsFile(path: folder + "/a").entries.map(\.name) == ["x", "y"])
        }
    }

    @Test func `a full disk while writing tensors is reported`() throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
        let tensor = Tensor(name: "a", elementType: .uint8, shape: [1], data: Data([1]))
        expectStorageError("No space left", "/dev/full") {
            try SafetensorsWriter([tensor]).write(to: "/dev/full")
        }
    }

    @Test func `a file of the reference implementation is read`() throws {
        // safetensors.numpy.save({"a": numpy.array([1, 2], dtype=numpy.int16)})
        let header = "{\"a\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[0,4]}}     "
        let parsed = try parse(safetensorsData(header: header, data: Data([1, 0, 2, 0])))
        #expect(parsed.entries.map(\.shape) == [[2]])
    }
}
