import ArgumentParser
import RetNetArchitecture
import RetNetInference
import RetNetReporting
import RetNetSettings
import RetNetStorage
import RetNetText

/// The measurement of perplexity of a text, by any engine.
package struct PerplexityMeasurement: ParsableArguments {
    /// The help of commands that measure.
    package static let discussion = """
        By default the text is read once from start to end with a carried state, so that every token is predicted from all \
        before it. --context N divides it into independent windows of N tokens, as is usual for models with a limited \
        context; this is the default for models whose state grows with the text, with N their training length.
        """

    @Option(
        parsing: .unconditional, help: "Tokens per independent window (default: none, the state is carried).",
        transform: Arguments.positive)
    package var context: Int?

    @Option(
        parsing: .unconditional, help: "Tokens per pass with a carried state; bounds the memory.",
        transform: Arguments.positive)
    package var window = 2048

    @Option(parsing: .unconditional, help: "Windows per pass with --context.", transform: Arguments.positive)
    package var batch: Int?

    @Option(
        parsing: .unconditional,
        help: "Tokens that a window repeats from the previous one as context, with --context.",
        transform: Arguments.nonNegative)
    package var overlap = 0

    @Flag(
        name: .customLong("reset-at-documents"),
        help: "Clear the carried state at the beginning of each document.")
    package var resetsAtDocuments = false

    @Flag(
        name: .customLong("by-position"),
        help: "Add the loss by the number of tokens before each prediction, in buckets that double.")
    package var byPosition = false

    @Flag(help: "Print one JSON object.")
    package var json = false

    package init() {}

    package func validate() throws {
        if let context {
            if overlap >= context { throw ValidationError("--overlap must be smaller than --context") }
            if resetsAtDocuments { throw ValidationError("give --context or --reset-at-documents, not both") }
        } else if batch != nil || overlap > 0 {
            throw ValidationError("--batch and --overlap need --context")
        }
    }

    /// What a rank tells the others of its part.
    private struct Part: Codable {
        var result: PerplexityResult
        var isComplete: Bool
    }

    /// Measures a corpus and prints the result; an interrupted measurement covers its first part and throws the exit code.
    ///
    /// With `ranks`, each measures some of the documents or windows, and rank 0 prints the result of all.
    package func run(
        _ engine: any LanguageEngine, reason: String?, on corpus: Corpus, form: MixerForm,
        ranks: (any MeasuringRanks)? = nil
    ) throws {
        let stream = try corpus.tokenStream(tokenizer: engine.tokenizer, inMemoryUpTo: 1 << 24)
        let interrupt = InterruptFlag.onSignals()
        let context = context ?? engine.configuration.evaluationWindowLength
        var options = options(context: context)
        options.form = form
        let isFirst = ranks?.rank ?? 0 == 0
        if let ranks { options.share = try share(of: ranks, options, stream) }
        if isFirst { stream.byteCountWarnings.forEach(Console.warn) }
        let bar = isFirst ? ProgressBar(title: "eval", total: stream.tokenCount) : nil
        var isComplete = true
        var result = try engine.perplexity(of: stream, options) { sums, fraction in
            bar?.update(
                step: Int((fraction * Double(stream.tokenCount)).rounded()),
                metrics: (sums.bitsPerByte.map { [.value("bits/byte", $0)] } ?? [])
                    + [.rate(sums.tokensPerSecond, unit: "tok/s")])
            isComplete = !interrupt.isRaised || fraction >= 1
            return isComplete
        }
        bar?.finish()
        if let ranks {
            let parts = try ranks.gatheredValues(
                Part(result: result, isComplete: isComplete), "the measurements of all ranks")
            result = parts[0].result
            for part in parts.dropFirst() { result.add(part.result) }
            isComplete = parts.allSatisfy(\.isComplete)
            guard isFirst else {
                if !isComplete { throw ExitCodes.interrupted }
                return
            }
        }
        if isComplete { result.wordCount = try corpus.wordCount() }
        if !isComplete { Console.warn("interrupted: the result covers only the first part of the text") }
        let usedForm = engine.kind == .libtorch ? options.form.description : nil
        if json {
            try Console.json(
                tree(result, form: usedForm, context: context, isComplete: isComplete)
                    .merging(engine.tree(reason: reason)))
        } else {
            Console.result(
                text(result, form: usedForm, context: context, engine: engine.summary(reason: reason)))
        }
        if !isComplete { throw ExitCodes.interrupted }
    }

    /// Returns a rank's share of a text that all of them have; throws where the text has to be read by one.
    private func share(
        of ranks: any MeasuringRanks, _ options: PerplexityOptions, _ stream: TokenStream
    ) throws -> EvaluationWindows.Share {
        guard options.mode != .carried else {
            throw CommandError(
                "a state that is carried through the whole text is no work for several ranks: add --reset-at-documents, by"
                    + " whose documents they divide the text, or --context, or start one process")
        }
        let texts = try ranks.gatheredValues(
            "\(stream.tokenCount) tokens with checksum \(stream.fingerprint)", "comparing the texts")
        for (rank, text) in texts.enumerated() where text != texts[0] {
            throw CommandError(
                "rank \(rank) has another text than rank 0 (\(text) instead of \(texts[0])): give all ranks the same files"
                    + " and the same tokenizer")
        }
        return EvaluationWindows.Share(rank: ranks.rank, count: ranks.count)
    }

    private func options(context: Int?) -> PerplexityOptions {
        var options = context.map { PerplexityOptions.independent(context: $0) } ?? PerplexityOptions()
        options.measuresPositions = byPosition
        if context == nil {
            options.windowLength = window
            options.mode = resetsAtDocuments ? .carriedWithinDocuments : .carried
        } else if let batch {
            options.mode = .independent(rowCount: batch, overlap: overlap)
        } else if case .independent(let rowCount, _) = options.mode {
            options.mode = .independent(rowCount: rowCount, overlap: overlap)
        }
        return options
    }

    private func text(_ result: PerplexityResult, form: String?, context: Int?, engine: String) -> String {
        var table = TextTable(header: ["measure", "value"], alignments: [.left, .right])
        func add(_ name: String, _ value: String?) { table.append([name, value ?? "unknown"]) }
        add("bits per byte", result.bitsPerByte.map { Format.fixed($0, decimals: 4) })
        add("perplexity per byte", result.bytePerplexity.map { Format.fixed($0, decimals: 4) })
        add("perplexity per word", result.wordPerplexity.map { Format.fixed($0, decimals: 4) })
        add("perplexity per token", Format.fixed(result.perplexity, decimals: 4))
        add("nats per token", Format.fixed(result.natsPerToken, decimals: 6))
        add("tokens predicted", Format.grouped(result.tokenCount))
        add("bytes of text", result.byteCount.map { Format.grouped($0) })
        add("words of text", result.wordCount.map { Format.grouped($0) })
        if let form { add("form", form) }
        add("context", context.map { "\($0) tokens" } ?? "everything before")
        add("tokens per second", Format.count(result.tokensPerSecond))
        let positions = result.byPosition.map { "\n" + Self.text($0) } ?? ""
        return table.text() + "\nEngine: \(engine).\n" + positions
    }

    private func tree(_ result: PerplexityResult, form: String?, context: Int?, isComplete: Bool)
        -> SettingsTree
    {
        let tree: SettingsTree = [
            "bits_per_byte": result.bitsPerByte.map { .double($0) } ?? .null,
            "byte_perplexity": result.bytePerplexity.map { .double($0) } ?? .null,
            "word_perplexity": result.wordPerplexity.map { .double($0) } ?? .null,
            "perplexity": .double(result.perplexity),
            "nats_per_token": .double(result.natsPerToken), "bits_per_token": .double(result.bitsPerToken),
            "total_nats": .double(result.totalNats), "tokens": .int(result.tokenCount),
            "bytes": result.byteCount.map { .int($0) } ?? .null,
            "words": result.wordCount.map { .int($0) } ?? .null, "form": form.map { .string($0) } ?? .null,
            "context": context.map { .int($0) } ?? .null, "seconds": .double(result.seconds),
            "tokens_per_second": .double(result.tokensPerSecond), "complete": .bool(isComplete),
        ]
        guard let positions = result.byPosition else { return tree }
        return tree.merging(["by_position": .array(positions.buckets.map(Self.tree))])
    }

    private static func text(_ positions: PositionLosses) -> String {
        var table = TextTable(
            header: ["tokens before", "predictions", "nats per token", "perplexity"],
            alignments: [.left, .right, .right, .right])
        for bucket in positions.buckets {
            let (from, to) = (bucket.contextLengths.lowerBound, bucket.contextLengths.upperBound)
            table.append([
                from == to ? Format.grouped(from) : "\(Format.grouped(from)) to \(Format.grouped(to))",
                Format.grouped(bucket.tokenCount), Format.fixed(bucket.natsPerToken, decimals: 4),
                Format.fixed(bucket.perplexity, decimals: 4),
            ])
        }
        return table.text()
    }

    private static func tree(_ bucket: PositionLosses.Bucket) -> SettingsTree {
        [
            "from": .int(bucket.contextLengths.lowerBound), "to": .int(bucket.contextLengths.upperBound),
            "tokens": .int(bucket.tokenCount), "nats_per_token": .double(bucket.natsPerToken),
            "perplexity": .double(bucket.perplexity),
        ]
    }
}

extension LanguageEngine {
    /// Returns the engine in a few words, with the reason why it is not the runtime.
    package func summary(reason: String?) -> String {
        summary + (reason.map { "; not the runtime: \($0)" } ?? "")
    }

    /// Returns the engine as the entries of JSON that every command has.
    package func tree(reason: String?) -> SettingsTree {
        [
            "device": .string(deviceName), "dtype": .string(elementTypeName),
            "engine": .string(kind.rawValue),
            "engine_details": .string(details), "engine_reason": reason.map { .string($0) } ?? .null,
            "state_dtype": .string(stateElementTypeName), "threads": .int(threadCount),
        ]
    }
}
