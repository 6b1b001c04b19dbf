import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetStorage
import RetNetText

/// The tokenizer of a command.
struct TokenizerOptions: ParsableArguments {
    @Option(
        name: .customLong("tokenizer"),
        help: ArgumentHelp(
            "Tokenizer: byte, byte-sentinel, a tokenizer.json, a SentencePiece model (.model), a model folder, or OWNER/NAME on the hub.",
            valueName: "name|path"))
    var name: String?

    /// The recipe of a tokenizer that a training run makes of its own text; nil for others.
    var recipe: TokenizerRecipe? {
        get throws { try name.flatMap { try TokenizerRecipe(named: $0) } }
    }

    /// Returns the named tokenizer, by default that of bytes.
    func load() throws -> any Tokenizer {
        try refuseRecipe()
        return try name.map { try TokenizerLoader.load(named: HubModels.folder($0, for: .tokenizer)) }
            ?? ByteTokenizer()
    }

    /// Returns the named tokenizer with T5's sentinels; nil if none is named.
    func loadWithSentinels() throws -> (any Tokenizer)? {
        try refuseRecipe()
        return try name.map {
            try TokenizerLoader.load(
                named: HubModels.folder($0, for: .tokenizer),
                sentinelCount: SentencePieceTokenizer.usualSentinelCount)
        }
    }

    private func refuseRecipe() throws {
        guard let recipe = try recipe else { return }
        throw CommandError(
            "this command cannot train the tokenizer '\(recipe)', only training runs can: make it with `retnet"
                + " tokenizer train --kind \(recipe.kind.rawValue) --vocabulary \(recipe.vocabularySize)`, and give"
                + " its folder")
    }
}
