import ArgumentParser
import RetNetExperiments

/// The texts of an experiment.
struct ExperimentTextOptions: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Files and folders of text to learn from.", valueName: "path"))
    var data: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Held-out text (default: a tenth of --data).", valueName: "path"))
    var validation: [String] = []

    @Option(
        help: ArgumentHelp("Text of another kind; may be given several times.", valueName: "name=path"))
    var domain: [String] = []

    @Option(
        help: ArgumentHelp(
            "A folder with lm/wikitext-2, lm/novels and long/, instead of --data.", valueName: "dir"))
    var corpora: String?

    func validate() throws {
        if corpora != nil, !data.isEmpty || !validation.isEmpty || !domain.isEmpty {
            throw ValidationError("give --corpora, or --data with --validation and --domain, not both")
        }
        if data.isEmpty, !validation.isEmpty || !domain.isEmpty {
            throw ValidationError("--validation and --domain need --data")
        }
        for entry in domain {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                throw ValidationError("--domain needs NAME=PATH, not '\(entry)'")
            }
        }
    }

    /// Reads the texts; made-up stories where none are given.
    func read(_ scale: ExperimentScale) throws -> ExperimentTexts {
        if let corpora { return try CorporaFolder(corpora).texts(scale: scale) }
        guard !data.isEmpty else {
            Console.note("no text was given: learning from made-up stories")
            return try .stories(byteCount: scale == .tiny ? 4_000_000 : 32_000_000)
        }
        return try .files(
            training: data, validation: validation,
            domains: domain.map { entry in
                let parts = entry.split(separator: "=", maxSplits: 1)
                return (String(parts[0]), String(parts[1]))
            })
    }
}
