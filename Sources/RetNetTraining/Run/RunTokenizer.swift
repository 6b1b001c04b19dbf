import RetNetText

/// The tokenizer of a run.
enum RunTokenizer {
    /// When a run is resumed that of its newest checkpoint, else the one that its configuration names, else another.
    ///
    /// Throws ``TrainingError/checkpointMismatch(path:reason:)`` if checkpoint and configuration mean different ones,
    /// `TextError` and `StorageError`.
    static func load(
        named name: String?, sentinelCount: Int = 0, folder: RunFolder, resume: Bool,
        otherwise: () throws -> any Tokenizer
    ) throws -> any Tokenizer {
        let named = Result {
            try name.map { try TokenizerLoader.load(named: $0, sentinelCount: sentinelCount) }
        }
        guard resume, let newest = try? folder.newestWholeCheckpoint()?.path,
            let own = try? TokenizerLoader.load(folder: newest)
        else { return try named.get() ?? otherwise() }
        // The file may be gone: a checkpoint has all that is needed.
        if case .success(let named?) = named, named.identity != own.identity {
            throw TrainingError.checkpointMismatch(
                path: newest,
                reason: "its tokenizer is \(own.identity), but data.tokenizer means \(named.identity)")
        }
        return own
    }
}
