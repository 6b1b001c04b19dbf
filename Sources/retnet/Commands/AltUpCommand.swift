import ArgumentParser
import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetModels
import RetNetReporting
import RetNetStorage
import RetNetTorch

/// `retnet altup`: conversion of a dense model into an equivalent one with AltUp.
struct AltUpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "altup",
        abstract: "Convert a dense model into an equivalent one with AltUp, for further training.",
        discussion: """
            'recycled' adds only a few numbers per layer; 'standard' repeats the embedding and divides the output \
            matrix among the streams.
            """)

    /// Source of the streams in the embedding.
    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case recycled
        case standard
    }

    @OptionGroup var model: ModelOptions

    @Option(parsing: .unconditional, help: "Number of AltUp streams, from 1 to 64.")
    var blocks: Int = 2

    @Option(parsing: .unconditional, help: "Kind of AltUp: recycled or standard.")
    var kind: Kind = .recycled

    @Option(name: .shortAndLong, help: ArgumentHelp("Model folder to write.", valueName: "dir"))
    var output: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (1...64).contains(blocks) else {
            throw ValidationError("--blocks must be from 1 to 64, not \(blocks)")
        }
    }

    func run() throws {
        try Arguments.checkOutput(output, replaceable: false)
        let path = try model.modelPath()
        if T5Folder.recognizes(path) { return try convertT5(path) }
        let loaded = try ModelFolder.load(path)
        let altUp = AltUpConfiguration(
            kind: kind == .recycled ? .recycled : .standard, streamCount: blocks,
            reduction: kind == .recycled && !loaded.model.configuration.finalNorm ? .mean : .sum)
        let converted = try AltUpConversion.convert(loaded.model, to: altUp)
        try ModelFolder.save(
            converted, tokenizer: ModelOptions.tokenizerToCopy(from: path) { try loaded.tokenizer },
            to: output,
            generationDefaults: loaded.generationDefaults)
        try report(count: converted.parameters.parameterCount, before: loaded.model.parameters.parameterCount)
    }

    private func convertT5(_ path: String) throws {
        let loaded = try T5Folder.load(path)
        let altUp = AltUpConfiguration(
            kind: kind == .recycled ? .recycled : .standard, streamCount: blocks)
        let converted = try AltUpConversion.convert(loaded.model, to: altUp)
        try T5Folder.save(
            converted, tokenizer: ModelOptions.tokenizerToCopy(from: path) { try loaded.tokenizer },
            to: output,
            generationDefaults: loaded.generationDefaults)
        try report(count: converted.parameters.parameterCount, before: loaded.model.parameters.parameterCount)
    }

    private func report(count: Int, before: Int) throws {
        guard json else {
            Console.note(
                "model with \(blocks) streams and \(Format.grouped(count)) parameters written to '\(output)'")
            return
        }
        try Console.json([
            "output": .string(output), "kind": .string(kind.rawValue), "blocks": .int(blocks),
            "parameters": .int(count),
            "added_parameters": .int(count - before),
        ])
    }
}
