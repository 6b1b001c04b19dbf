import Foundation
import RetNetCheckpoints
import RetNetEvaluation
import RetNetSettings
import RetNetText

/// The tokenizer of a run: that of its checkpoint, one that is named, or one that is trained on the run's own text.
///
/// A trained tokenizer sees the training text only, never that of the validation. It is kept in the folder of the run,
/// `tokenizer/`, and in every checkpoint, and is not trained again when the run is resumed.
extension TaskConfiguration {
    /// The recipe of the tokenizer that is to be trained; nil for other tokenizers.
    ///
    /// Throws `TextError.invalidArgument` for a name that begins with `train:` and goes on wrongly.
    func tokenizerRecipe() throws -> TokenizerRecipe? {
        try tokenizerName.flatMap { try TokenizerRecipe(named: $0) }
    }

    /// Returns the tokenizer of a checkpoint, else that of the folder, else the named or trained one, else the standard one.
    ///
    /// Throws ``TrainingError/checkpointMismatch(path:reason:)`` if checkpoint and configuration name different ones,
    /// `TextError` and `StorageError`.
    func tokenizer(checkpoint: String?, folder: RunFolder, seed: UInt64, note: (String) -> Void) throws
        -> any Tokenizer
    {
        guard let recipe = try tokenizerRecipe() else { return try tokenizer(checkpoint: checkpoint) }
        if let checkpoint { return try TokenizerLoader.load(folder: checkpoint) }
        if FileManager.default.fileExists(atPath: folder.tokenizerPath) {
            return try TokenizerLoader.load(folder: folder.tokenizerPath)
        }
        let trainer = try TokenizerTrainer(recipe, specialTokens: specialTokens)
        try readTrainingText(into: trainer, seed: seed)
        let tokenizer = try trainer.tokenizer()
        note(
            "trained a tokenizer of \(tokenizer.vocabularySize) tokens on \(trainer.byteCount) bytes of training text"
        )
        if tokenizer.vocabularySize < recipe.vocabularySize {
            note(
                "the training text gives only \(tokenizer.vocabularySize) of the \(recipe.vocabularySize) tokens of"
                    + " '\(recipe)': the rest of the model's vocabulary stays unused")
        }
        return tokenizer
    }

    private func tokenizer(checkpoint: String?) throws -> any Tokenizer {
        let named = Result {
            try tokenizerName.map { try TokenizerLoader.load(named: $0, sentinelCount: sentinelCount) }
        }
        guard let checkpoint, let own = try? TokenizerLoader.load(folder: checkpoint) else {
            return try named.get() ?? standardTokenizer()
        }
        // The file may be gone: a checkpoint has all that is needed.
        if case .success(let named?) = named, named.identity != own.identity {
            throw TrainingError.checkpointMismatch(
                path: checkpoint,
                reason: "its tokenizer is \(own.identity), but data.tokenizer means \(named.identity)")
        }
        return own
    }
}

extension TextData {
    /// Passes the text that a run trains on to a trainer of its tokenizer; throws `TextError` and ``TrainingError``.
    static func readTrainingText(
        paths: [String], separator: DocumentSeparator, validationPaths: [String], validationFraction: Double,
        seed: UInt64, into trainer: TokenizerTrainer
    ) throws {
        guard !paths.isEmpty else { throw TrainingError.noDataPaths }
        let corpus = try Corpus(paths: paths, separator: separator)
        guard validationPaths.isEmpty, validationFraction > 0 else { return try trainer.read(corpus) }
        try TokenizerTrainer.checkIsText(corpus)
        let all = try corpus.tokenStream(tokenizer: ByteTokenizer())
        try trainer.read(
            all.trainValidationSplit(validationFraction: validationFraction, seed: seed, countsBytes: true)
                .train)
    }
}

extension RunConfiguration {
    /// Gives a model whose tokenizer is to be trained the size of that vocabulary, unless the document names one.
    static func fitVocabulary(of document: inout SettingsDocument, _ assignments: [SettingsAssignment]) throws
    {
        let sizes = assignments.contains { $0.path == "model.vocabulary_size" }
        guard !sizes, document.tree.value(at: "model.vocabulary_size") == nil else { return }
        let named = assignments.last { $0.path == "data.tokenizer" }?.value
        guard let name = (named ?? document.tree.value(at: "data.tokenizer"))?.string,
            let recipe = try TokenizerRecipe(named: name)
        else { return }
        try document.set("model.vocabulary_size", to: .int(recipe.vocabularySize))
    }
}
