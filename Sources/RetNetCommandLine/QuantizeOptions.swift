import ArgumentParser
import RetNetInference
import RetNetReporting
import RetNetRuntime
import RetNetSettings
import RetNetStorage
import RetNetText

/// The rounding of a model's weights, the same for both commands.
package struct QuantizeOptions: ParsableArguments {
    /// The help of commands that round.
    package static let discussion = """
        The matrices get a scale for every 32 columns, and in 4 bits a minimum too. The embedding and the output matrix \
        keep more bits (16 beside int8, 8 beside int4); vectors, routers and gates of few channels stay as they are. The \
        folder keeps the tokenizer and the settings of generation. It is for the engine without LibTorch; training \
        continues from the model from which it was made. With --data the perplexity of a text is measured before and after.
        """

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Weights of the matrices: int8 or int4.", valueName: "scheme"),
        transform: Self.scheme)
    package var to: QuantizationScheme

    @Option(help: ArgumentHelp("Folder to write.", valueName: "dir"))
    package var out: String

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Text on which perplexity is measured before and after: files or folders, or token files.",
            valueName: "path"))
    package var data: [String] = []

    @Option(
        name: .customLong("document-separator"), parsing: .unconditional,
        help: "Separator of documents in a file of --data: file (none), blank_lines:N or text:SEPARATOR.",
        transform: DataOptions.separator)
    package var separator: DocumentSeparator?

    @Option(
        parsing: .unconditional, help: "Threads (default: one per processor core).",
        transform: Arguments.threads)
    package var threads: Int?

    @Flag(help: "Print one JSON object.")
    package var json = false

    package init() {}

    package func validate() throws {
        if separator != nil, data.isEmpty { throw ValidationError("--document-separator needs --data") }
    }

    private static func scheme(_ text: String) throws -> QuantizationScheme {
        guard let scheme = QuantizationScheme(rawValue: text) else {
            throw ValidationError(
                "'\(text)' is not a number of bits that weights are rounded to: use int8 or int4")
        }
        return scheme
    }

    /// Writes the folder and prints what became of the weights, and of the perplexity if there is a text.
    package func run(path: String) throws {
        try Arguments.checkOutput(out)
        if !data.isEmpty, EncoderDecoderFolder.recognizes(path) {
            throw CommandError(
                "perplexity of a text is that of language models, and '\(path)' has an encoder-decoder: leave --data out"
            )
        }
        let corpus = data.isEmpty ? nil : try DataOptions.corpus(data, separator: separator ?? .wholeFile)
        let threads = threads ?? ModelRunner.defaultThreadCount
        let quantization = try Quantization(path: path, scheme: to, threads: threads)
        let interrupt = InterruptFlag.onSignals()
        var text: MeasuredText?
        if let corpus {
            let folder = try RuntimeFolder(path: path)
            let stream = try corpus.tokenStream(tokenizer: folder.tokenizer)
            stream.byteCountWarnings.forEach(Console.warn)
            var measured = MeasuredText(stream, threads: threads)
            measured.before = try measured.measure(folder, "before", interrupt)
            text = measured
        }
        let start = ContinuousClock.now
        let all = try StoredWeights(path: path)
        let bar = ProgressBar(title: "quantize", total: all.valueCount)
        do {
            try quantization.write(to: out) { done, _ in
                bar.update(step: done)
                if interrupt.isRaised { throw ExitCodes.interrupted }
            }
        } catch is ExitCode {
            bar.finish()
            Console.warn("interrupted: nothing was written")
            throw ExitCodes.interrupted
        }
        bar.finish()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let new = try StoredWeights(path: out)
        Console.note("written to '\(out)' in \(Format.duration(seconds: seconds))")
        var isComplete = true
        if var measured = text {
            do {
                measured.after = try measured.measure(RuntimeFolder(path: out), "after", interrupt)
            } catch is ExitCode {
                isComplete = false
            }
            text = measured
        }
        if json {
            try Console.json(tree(all, new, text, seconds: seconds))
        } else {
            Console.result(table(all, new, text))
        }
        if !isComplete { throw ExitCodes.interrupted }
    }

    private func table(_ old: StoredWeights, _ new: StoredWeights, _ text: MeasuredText?) -> String {
        var table = TextTable(
            header: ["tensors", "values", "before", "", "after", ""],
            alignments: [.left, .right, .right, .left, .right, .left])
        for kind in new.kinds {
            let before = old.kinds.first { $0.name == kind.name }
            table.append([
                kind.name, Format.grouped(kind.valueCount), Format.bytes(before?.byteCount ?? 0),
                before?.typeNames ?? "", Format.bytes(kind.byteCount), kind.typeNames,
            ])
        }
        let share = Double(new.byteCount) / Double(max(1, old.byteCount))
        table.append([
            "all", Format.grouped(new.valueCount), Format.bytes(old.byteCount), "",
            Format.bytes(new.byteCount), Format.percent(share, decimals: 1),
        ])
        return "scheme       \(new.policy ?? to.policy)\n\n" + table.text() + (text?.table ?? "")
    }

    private func tree(_ old: StoredWeights, _ new: StoredWeights, _ text: MeasuredText?, seconds: Double)
        -> SettingsTree
    {
        var values = SettingsObject()
        for type in new.elementTypes { values[type.name] = .int(type.valueCount) }
        let kinds = new.kinds.map { kind -> SettingsTree in
            [
                "name": .string(kind.name), "values": .int(kind.valueCount),
                "source_bytes": .int(old.kinds.first { $0.name == kind.name }?.byteCount ?? 0),
                "bytes": .int(kind.byteCount),
                "element_types": .array(kind.elementTypes.map { .string($0.name) }),
            ]
        }
        return [
            "out": .string(out), "scheme": .string(to.rawValue), "policy": .string(new.policy ?? to.policy),
            "source_bytes": .int(old.byteCount), "bytes": .int(new.byteCount),
            "share": .double(Double(new.byteCount) / Double(max(1, old.byteCount))),
            "values": .object(values), "kinds": .array(kinds), "perplexity": text?.tree ?? .null,
            "seconds": .double(seconds),
        ]
    }
}

extension StoredWeights {
    /// The kinds of tensors with their sizes as a table.
    package var table: String {
        var table = TextTable(
            header: ["tensors", "values", "size", ""], alignments: [.left, .right, .right, .left])
        for kind in kinds {
            table.append([
                kind.name, Format.grouped(kind.valueCount), Format.bytes(kind.byteCount), kind.typeNames,
            ])
        }
        return table.text()
    }

    /// The kinds of tensors with their sizes for JSON.
    package var tree: SettingsTree {
        [
            "bytes": .int(byteCount), "quantization": scheme.map { .string($0) } ?? .null,
            "policy": policy.map { .string($0) } ?? .null,
            "kinds": .array(
                kinds.map {
                    [
                        "name": .string($0.name), "values": .int($0.valueCount), "bytes": .int($0.byteCount),
                        "element_types": .array($0.elementTypes.map { .string($0.name) }),
                    ]
                }),
        ]
    }
}

extension StoredWeights.Kind {
    /// The element types by their share of values.
    package var typeNames: String { elementTypes.map(\.name).joined(separator: ", ") }
}

/// The perplexity of a text before and after rounding.
private struct MeasuredText {
    private let stream: TokenStream
    private let threads: Int
    var before: PerplexityResult?
    var after: PerplexityResult?

    init(_ stream: TokenStream, threads: Int) {
        self.stream = stream
        self.threads = threads
    }

    /// Measures a folder; throws the exit code of an interruption.
    func measure(_ folder: RuntimeFolder, _ name: String, _ interrupt: InterruptFlag) throws
        -> PerplexityResult
    {
        let window = folder.model.configuration.evaluationWindowLength
        let options = window.map { PerplexityOptions.independent(context: $0) } ?? PerplexityOptions()
        let bar = ProgressBar(title: "perplexity \(name)", total: stream.tokenCount)
        defer { bar.finish() }
        let result = try RuntimeEngine(folder, threads: threads).perplexity(of: stream, options) {
            sums, fraction in
            bar.update(
                step: Int((fraction * Double(stream.tokenCount)).rounded()),
                metrics: [.rate(sums.tokensPerSecond, unit: "tok/s")])
            return !interrupt.isRaised || fraction >= 1
        }
        if interrupt.isRaised { throw ExitCodes.interrupted }
        return result
    }

    private var ratio: Double? {
        guard let before, let after else { return nil }
        return after.perplexity / before.perplexity
    }

    var table: String {
        guard let before, let after, let ratio else { return "" }
        var table = TextTable(
            header: ["text", "before", "after", ""], alignments: [.left, .right, .right, .right])
        let sign = ratio < 1 ? "" : "+"
        table.append([
            "perplexity per token", Format.fixed(before.perplexity, decimals: 4),
            Format.fixed(after.perplexity, decimals: 4),
            "\(sign)\(Format.fixed(100 * (ratio - 1), decimals: 3)) %",
        ])
        if let old = before.bitsPerByte, let new = after.bitsPerByte {
            table.append([
                "bits per byte", Format.fixed(old, decimals: 4), Format.fixed(new, decimals: 4), "",
            ])
        }
        return "\n" + table.text() + "\nOver \(Format.grouped(after.tokenCount)) tokens.\n"
    }

    var tree: SettingsTree {
        [
            "before": before.map { .double($0.perplexity) } ?? .null,
            "after": after.map { .double($0.perplexity) } ?? .null,
            "ratio": ratio.map { .double($0) } ?? .null,
            "bits_per_byte_before": before?.bitsPerByte.map { .double($0) } ?? .null,
            "bits_per_byte_after": after?.bitsPerByte.map { .double($0) } ?? .null,
            "tokens": .int(before?.tokenCount ?? 0),
        ]
    }
}
