import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetHub
import RetNetReporting
import RetNetSettings
import RetNetStorage

/// `retnet pull`: models of the hub into the cache.
struct PullCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull",
        abstract: "Fetch a model from the Hugging Face hub into the cache that its own client uses.",
        discussion: """
            The result is the path of the model's folder, on standard output. --model OWNER/NAME[@REVISION] of other \
            commands uses the same cache, and fetches what it lacks.

            By default only files at the top of the repository are fetched that loading needs: weights in safetensors, or \
            those of PyTorch (.bin, .pt) where there are no others; not those of ONNX, TensorFlow, Flax or GGUF, no states of \
            trainers, no pictures. --include chooses others, by patterns in which * also stands for '/'.

            An interrupted fetch continues where it was. Checksums are compared. The environment is that of the hub's own \
            client: HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT; \
            https_proxy and no_proxy name a proxy.
            """)

    @Argument(help: ArgumentHelp("Model on the hub, OWNER/NAME or OWNER/NAME@REVISION.", valueName: "model"))
    var model: String

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Branch, tag, commit or refs/pr/N; the main branch by default.", valueName: "name")
    )
    var revision: String?

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "Pattern of files to fetch instead of those that loading needs; repeatable.", valueName: "glob"))
    var include: [String] = []

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Pattern of files to leave out; repeatable.", valueName: "glob"))
    var exclude: [String] = []

    @Option(
        help: ArgumentHelp("Folder of the cache, by default that of the hub's own client.", valueName: "dir"))
    var cache: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Connections at the same time, 1 to 32.",
            discussion: "One per file; what is left over fetches large files in several parts at once."))
    var connections = 4

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (1...32).contains(connections) else {
            throw ValidationError("--connections must be from 1 to 32")
        }
        _ = try reference()
    }

    private func reference() throws -> HubReference {
        let named = HubReference(model)
        if revision != nil, named?.revision != nil {
            throw ValidationError("give the revision either after '@' or with --revision, not both")
        }
        do {
            return try HubReference(
                repository: named?.repository ?? model, revision: revision ?? named?.revision)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func run() throws {
        let reference = try reference()
        var environment = HubEnvironment()
        if let cache { environment.cacheFolder = cache }
        var pull = ModelPull(reference, environment)
        pull.selection = FileSelection(include: include, exclude: exclude)
        pull.connectionCount = connections
        let display = PullDisplay(title: reference.repository)
        display.connect(&pull)
        let timing = ContinuousClock.now
        let pulled: PulledModel
        do {
            defer { display.finish() }
            pulled = try pull.run(interrupt: .onSignals())
        }
        let seconds = (ContinuousClock.now - timing) / .seconds(1)
        guard json else {
            let size = Format.bytes(pulled.files.reduce(0) { $0 + $1.byteCount })
            let fetched =
                pulled.fetchedByteCount > 0
                ? "\(Format.bytes(pulled.fetchedByteCount)) fetched in \(Format.duration(seconds: seconds))"
                : "all of them in the cache already"
            Console.note(
                "\(reference.repository) at \(pulled.commit.prefix(12)): \(pulled.files.count) files, \(size), \(fetched)"
            )
            Console.result(pulled.folder)
            return
        }
        try Console.json([
            "repository": .string(reference.repository), "revision": .string(reference.revisionName),
            "commit": .string(pulled.commit), "path": .string(pulled.folder),
            "files": .array(
                pulled.files.map {
                    ["name": .string($0.name), "bytes": .int($0.byteCount), "cached": .bool($0.wasCached)]
                }),
            "fetched_bytes": .int(pulled.fetchedByteCount), "seconds": .double(seconds),
        ])
    }
}
