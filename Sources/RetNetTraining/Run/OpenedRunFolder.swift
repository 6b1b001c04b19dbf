import Foundation

/// The folder of a run that this process alone writes.
final class OpenedRunFolder {
    let folder: RunFolder
    let isResumed: Bool
    /// The newest whole checkpoint, where a run is resumed that has one.
    let checkpoint: (step: Int, path: String)?
    private let lock: RunLock

    /// Throws unless a run can begin, or be resumed, at the path; nothing is made.
    static func check(_ folder: RunFolder, resume: Bool) throws {
        if resume {
            guard FileManager.default.fileExists(atPath: folder.path) else {
                throw TrainingError.nothingToResume(path: folder.path)
            }
        } else if folder.isOccupied {
            throw TrainingError.runExists(path: folder.path)
        }
    }

    /// Makes the folder or takes over what is there.
    ///
    /// `settings` are those of the run, of which those under `changeableKeys` may differ from those that it was
    /// started with.
    init(
        _ folder: RunFolder, resume: Bool, settings: RunSettings, warn: (String) -> Void
    ) throws {
        try folder.prepare()
        lock = try RunLock(folder: folder)
        self.folder = folder
        isResumed = resume
        guard resume else {
            checkpoint = nil
            return
        }
        try folder.removeLeftovers()
        try settings.checkResumable(folder: folder)
        checkpoint = try folder.newestWholeCheckpoint(warn: warn)
    }
}
