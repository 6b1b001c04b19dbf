import Foundation
import RetNetTestSupport
import Testing

@testable import RetNetExperiments

@Suite struct ResultStoreTests {
    static let result = UnitResult(
        id: "retnet-seed1", contender: "RetNet", seed: 1, values: ["validation": 1.5, "bad": .infinity],
        seconds: 2)

    @Test("Results are found again by a store of the same settings")
    func resume() throws {
        try withFolder(created: false) { folder in
            let settings = ["scale": "tiny", "texts": "1"]
            #expect(try ResultStore(folder: folder.path, settings: settings).result("retnet-seed1") == nil)
            try ResultStore(folder: folder.path, settings: settings).save(Self.result)
            #expect(
                try ResultStore(folder: folder.path, settings: settings).result("retnet-seed1") == Self.result
            )
            #expect(try ResultStore(folder: folder.path, settings: settings).result("retnet-seed2") == nil)
        }
    }

    @Test("Results of other settings are refused with the differences")
    func refusal() throws {
        try withFolder(created: false) { folder in
            _ = try ResultStore(folder: folder.path, settings: ["scale": "tiny", "texts": "1"])
            do {
                _ = try ResultStore(folder: folder.path, settings: ["scale": "small", "texts": "1"])
                Issue.record("other settings were accepted")
            } catch let error as ExperimentError {
                #expect(
                    error
                        == .otherSettings(folder: folder.path, differences: ["scale: tiny there, small here"])
                )
                #expect(error.description.contains("choose another folder"))
            }
        }
    }

    @Test("Two experiments in one folder do not mix: the second is refused until the first ends")
    func inUse() throws {
        try withFolder(created: false) { folder in
            var store: ResultStore? = try ResultStore(folder: folder.path, settings: ["scale": "tiny"])
            for settings in [["scale": "tiny"], ["scale": "small"]] {
                #expect(throws: ExperimentError.inUse(folder: folder.path)) {
                    try ResultStore(folder: folder.path, settings: settings)
                }
            }
            try store?.save(Self.result)
            store = nil
            _ = try ResultStore(folder: folder.path, settings: ["scale": "tiny"])
        }
    }

    @Test("Broken and exchanged result files are refused with their path")
    func broken() throws {
        try withFolder(created: false) { folder in
            let store = try ResultStore(folder: folder.path, settings: [:])
            try store.save(Self.result)
            let files = folder.appendingPathComponent("runs")
            try FileManager.default.moveItem(
                at: files.appendingPathComponent("retnet-seed1.json"),
                to: files.appendingPathComponent("retnet-seed2.json"))
            #expect(throws: ExperimentError.self) { try store.result("retnet-seed2") }
            try Data("{".utf8).write(to: files.appendingPathComponent("retnet-seed3.json"))
            do {
                _ = try store.result("retnet-seed3")
                Issue.record("a broken file was read")
            } catch {
                #expect("\(error)".contains("retnet-seed3.json"))
                #expect("\(error)".contains("remove it"))
            }
        }
    }

    @Test("Names that are not valid file names are refused", arguments: ["", "..", "a/b", "a b", "é"])
    func names(id: String) throws {
        try withFolder(created: false) { folder in
            let store = try ResultStore(folder: folder.path, settings: [:])
            var result = Self.result
            result.id = id
            #expect(throws: ExperimentError.self) { try store.save(result) }
        }
    }

    @Test("A folder that cannot be created is named")
    func unusable() throws {
        try withFolder(created: false) { folder in
            try Data().write(to: folder)
            do {
                _ = try ResultStore(folder: folder.path, settings: [:])
                Issue.record("a file was taken for a folder")
            } catch {
                #expect("\(error)".contains(folder.path))
            }
        }
    }
}
