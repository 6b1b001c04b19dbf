import Foundation
import Testing

@testable import RetNetStorage

@Suite struct SafetensorsFolderTests {
    typealias Tensor = SafetensorsWriter.Tensor

    private func tensors(_ count: Int, byteCount: Int = 10, seed: UInt64 = 20) -> [Tensor] {
        (0..<count).map { index in
            Tensor(
                name: "t\(index)", elementType: .uint8, shape: [byteCount],
                data: randomData(byteCount, seed: seed + UInt64(index)))
        }
    }

    @Test func `a single file is read where there is no index`() throws {
        try withTemporaryFolder { folder throws in
            try SafetensorsWriter(tensors(3), metadata: ["a": "b"])
                .write(to: folder + "/model.safetensors")
            let opened = try SafetensorsFolder(path: folder)
            #expect(opened.entries.map(\.name) == ["t0", "t1", "t2"])
            #expect(opened.metadata == ["a": "b"])
            #expect(opened.files.count == 1)
        }
    }

    @Test func `shards are written and read as one list`() throws {
        try withTemporaryFolder { folder throws in
            let written = try SafetensorsWriter(tensors(5), metadata: ["format": "pt"])
                .writeShards(in: folder, maximumShardByteCount: 25)
            #expect(
                written == [
                    "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                    "model-00003-of-00003.safetensors", "model.safetensors.index.json",
                ])
            #expect(try names(folder) == written)
            let opened = try SafetensorsFolder(path: folder)
            #expect(opened.entries.map(\.name) == ["t0", "t1", "t2", "t3", "t4"])
            #expect(opened.metadata == ["format": "pt"])
            for index in 0..<5 {
                let data = try opened.withUnsafeBytes(of: "t\(index)") { Data($0) }
                #expect(data == randomData(10, seed: 20 + UInt64(index)))
            }
            #expect(opened.file(holding: "t4")?.path == folder + "/model-00003-of-00003.safetensors")
            #expect(opened.entry(named: "t4")?.shape == [10])
            expectStorageError("no tensor named") { try opened.withUnsafeBytes(of: "x") { _ in } }
            let index = try JSONSerialization.jsonObject(
                with: contents(folder + "/model.safetensors.index.json"))
            let object = try #require(index as? [String: Any])
            let metadata = try #require(object["metadata"] as? [String: Any])
            #expect(metadata["total_size"] as? Int == 50)
        }
    }

    @Test func `the index selects the files, and stale files are ignored`() throws {
        try withTemporaryFolder { folder throws in
            try SafetensorsWriter(tensors(5)).writeShards(in: folder, maximumShardByteCount: 10)
            try put("rubbish", at: folder + "/model.safetensors")
            try SafetensorsWriter(tensors(2)).writeShards(in: folder, maximumShardByteCount: 1)
            #expect(try names(folder).count == 9)
            let opened = try SafetensorsFolder(path: folder)
            #expect(opened.entries.map(\.name) == ["t0", "t1"])
        }
    }

    @Test func `a large tensor has its own shard and one shard still has an index`() throws {
        try withTemporaryFolder { folder throws in
            let large = Tensor(
                name: "large", elementType: .uint8, shape: [100], data: randomData(100, seed: 1))
            let list = [tensors(2)[0], large, tensors(2)[1]]
            let names = try SafetensorsWriter(list).writeShards(in: folder, maximumShardByteCount: 50)
            #expect(names.count == 4)
            #expect(try SafetensorsFolder(path: folder).entries.map(\.name) == ["t0", "large", "t1"])
            let one = try SafetensorsWriter(list).writeShards(in: folder, maximumShardByteCount: .max)
            #expect(one == ["model-00001-of-00001.safetensors", "model.safetensors.index.json"])
            try SafetensorsWriter([]).writeShards(in: folder, maximumShardByteCount: 1)
            #expect(try SafetensorsFolder(path: folder).entries.isEmpty)
        }
    }

    @Test func `disagreements of index and shards are refused`() throws {
        try withTemporaryFolder { folder throws in
            let shard = "model-00001-of-00002.safetensors"
            let second = "model-00002-of-00002.safetensors"
            let list = tensors(2)
            try SafetensorsWriter(list).writeShards(in: folder, maximumShardByteCount: 10)
            func refuse(_ reason: String) {
                expectStorageError("not a valid safetensors index", reason) {
                    _ = try SafetensorsFolder(path: folder)
                }
            }
            try SafetensorsWriter(list).write(to: folder + "/" + second)
            refuse("tensor 't0' is listed in shard \(shard) but shard \(second) holds one too")
            let other = Tensor(name: "x", elementType: .uint8, shape: [1], data: Data([1]))
            try SafetensorsWriter([list[1], other]).write(to: folder + "/" + second)
            refuse("holds tensor 'x', which the index does not list")
            try SafetensorsWriter([other]).write(to: folder + "/" + second)
            refuse("tensor 't1' is listed in shard \(second) but is not there")
            try FileManager.default.removeItem(atPath: folder + "/" + second)
            refuse("the shard \(second) is missing")
            try put("rubbish", at: folder + "/" + second)
            expectStorageError(second, "not a valid safetensors file") {
                _ = try SafetensorsFolder(path: folder)
            }
        }
    }

    @Test(arguments: [
        ("", "not JSON at byte 0"),
        ("[]", "at byte 0, expected an object"),
        ("{}", "no 'weight_map'"),
        ("{\"weight_map\":[]}", "expected an object"),
        ("{\"weight_map\":{\"a\":1}}", "expected a text"),
        ("{\"weight_map\":{\"a\":\"../b\"}}", "not a plain file name"),
        ("{\"weight_map\":{\"a\":\"\"}}", "not a plain file name"),
        ("{\"weight_map\":{\"a\":\"..\"}}", "not a plain file name"),
        ("{\"weight_map\":{\"a\":\"x\\u0000y\"}}", "not a plain file name"),
        ("{\"weight_map\":{\"a\":\"b\",\"a\":\"b\"}}", "the name 'a' occurs twice"),
        ("{\"weight_map\":{}} {", "something follows"),
        ("{\"weight_map\":{\"a\":\"b\"}", "',' or '}' is missing"),
        ("{\"weight_map\":{\"a\":\"b\"}}", "the shard b is missing"),
    ]) func `a bad index is refused with its reason`(text: String, reason: String) throws {
        try withTemporaryFolder { folder throws in
            try put(text, at: folder + "/model.safetensors.index.json")
            expectStorageError("not a valid safetensors index", reason) {
                _ = try SafetensorsFolder(path: folder)
            }
        }
    }

    @Test func `an index with other metadata is read`() throws {
        try withTemporaryFolder { folder throws in
            try SafetensorsWriter(tensors(1)).write(to: folder + "/w.safetensors")
            for metadata in ["null", "{\"total_size\": 1.5e3, \"note\": \"n\", \"x\": [true, {}]}"] {
                try put(
                    "{\"metadata\": \(metadata), \"weight_map\": {\"t0\": \"w.safetensors\"}}",
                    at: folder + "/model.safetensors.index.json")
                #expect(try SafetensorsFolder(path: folder).entries.count == 1)
            }
            #expect(try SafetensorsFolder(path: folder).metadata == ["note": "n"])
        }
    }

    @Test func `folders without weights and bad arguments are refused`() throws {
        try withTemporaryFolder { folder throws in
            expectStorageError("contains neither") { _ = try SafetensorsFolder(path: folder) }
            expectStorageError("does not exist") { _ = try SafetensorsFolder(path: folder + "/x") }
            expectStorageError("maximumShardByteCount", "0 is not positive") {
                try SafetensorsWriter([]).writeShards(in: folder, maximumShardByteCount: 0)
            }
            expectStorageError("does not exist") {
                try SafetensorsWriter([]).writeShards(in: folder + "/x", maximumShardByteCount: 1)
            }
            let list = tensors(1)
            expectStorageError("occurs twice") {
                try SafetensorsWriter(list + list).writeShards(in: folder, maximumShardByteCount: 1)
            }
            #expect(try names(folder) == [])
        }
    }
}
