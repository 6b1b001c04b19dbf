import Foundation
import Text

extension TrainingConfiguration {
    /// The tokenizer of a run: when it is resumed that of its newest checkpoint, else the one that `data` names.
    ///
    /// Throws ``TrainingError/checkpointMismatch(path:reason:)`` if the two differ, `TextError` and `StorageError`.
    func loadTokenizer(folder: RunFolder, resume: Bool) throws -> any Tokenizer {
        let named = Result { try TokenizerLoader.load(named: data.tokenizer) }
        guard resume, FileManager.default.fileExists(atPath: folder.path),
            let newest = try? folder.newestWholeCheckpoint(warn: { _ in })?.path,
            let own = try? TokenizerLoader.load(folder: newest)
        else { return try named.get() }
        // The file may be gone: a checkpoint has all that is needed.
        if case .success(let named) = named, named.identity != own.identity {
            throw TrainingError.checkpointMismatch(
                path: newest,
                reason: "its tokenizer is \(own.identity), but data.tokenizer means \(named.identity)")
        }
        return own
    }
}
