import Foundation
import RetNetStorage

/// The folder in which a demo leaves its results.
struct DemoFolder {
    let path: String

    var storiesPath: String { path + "/stories.txt" }
    var runPath: String { path + "/run" }
    var lossPath: String { path + "/loss" }
    var decodePath: String { path + "/decode" }
    private var markerPath: String { path + "/demo.txt" }

    /// Makes the folder empty; one that is there must be that of an earlier demo.
    func prepare() throws {
        let files = FileManager.default
        if files.fileExists(atPath: path) {
            let names = try? files.contentsOfDirectory(atPath: path)
            guard names?.isEmpty == true || files.fileExists(atPath: markerPath) else {
                throw CommandError(
                    "'\(path)' exists and is not the folder of an earlier demo: choose another with --out")
            }
            // Only what a demo makes; whatever else somebody has put there stays.
            for item in [storiesPath, runPath]
                + ["svg", "png"].flatMap({ ["\(lossPath).\($0)", "\(decodePath).\($0)"] })
            where files.fileExists(atPath: item) {
                try files.removeItem(atPath: item)
            }
        }
        do {
            try files.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw CommandError("the folder '\(path)' cannot be made: \(error.localizedDescription)")
        }
        let note = "Made by `retnet demo`, which replaces what is here when it is run again.\n"
        try AtomicFile.write(Data(note.utf8), to: markerPath)
    }
}
