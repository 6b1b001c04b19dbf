import Foundation
import RetNetRuntime
import RetNetSampling

/// The steps of a replica of an engine, on its thread.
final class EngineLoop: @unchecked Sendable {
    // Sendable: used by the replica's thread only.
    private let model: ServingModel
    private let runner: SequenceRunner
    private let configuration: ServingEngine.Configuration
    private let store: StateStore
    private let metrics: ServingMetrics
    private let inbox: EngineInbox
    private let replica: Int
    private let rowLimit: Int

    private var readers: [PromptReader] = []
    private var prompts: [ReadPrompt] = []
    private var rows: [EngineRow] = []
    /// The reader whose turn it is.
    private var turn = 0
    /// The number of tokens of prompts that a step reads while texts are generated.
    private var pieceLimit = PrefixHashes.blockLength

    init(
        _ model: ServingModel, _ runner: SequenceRunner, _ configuration: ServingEngine.Configuration,
        store: StateStore, metrics: ServingMetrics, inbox: EngineInbox, replica: Int
    ) {
        self.replica = replica
        rowLimit = configuration.rowLimitOfReplica
        self.model = model
        self.runner = runner
        self.configuration = configuration
        self.store = store
        self.metrics = metrics
        self.inbox = inbox
    }

    func run() {
        while true {
            let room = rowLimit - readers.count - rows.count - prompts.count
            let delivery = inbox.take(
                replica: replica, room: room, mayWait: readers.isEmpty && rows.isEmpty && prompts.isEmpty)
            if delivery.isStopped { closeKeptRows() }
            for (job, error) in delivery.dropped { end(job, error) }
            guard !delivery.isStopped else { return }
            for job in delivery.jobs { begin(job) }
            startChoices()
            let spent = step()
            readSources(after: spent)
            inbox.report(
                replica: replica, reading: readers.count, generating: rows.count + prompts.count,
                stateByteCount: readers.reduce(0) { $0 + $1.byteCount }
                    + rows.reduce(0) { $0 + ($1.state?.byteCount ?? 0) })
        }
    }

    // MARK: Begin and end

    private func begin(_ job: EngineJob) {
        let request = job.request
        metrics.update { $0.queueing.record(Self.seconds(since: job.arrival)) }
        if let encoderDecoder = model.encoderDecoder { return begin(job, encoderDecoder) }
        let start = request.start
        // The whole sequence, if it is known.
        var tokens: [Int32]? = request.tokens
        if let start { tokens = start.history.map { $0 + start.pending + request.tokens } }
        let hashes = request.usesCache ? tokens.map { PrefixHashes($0) } : nil
        var match: StateStore.Match?
        // Scores need the logits of every token.
        if let tokens, let hashes, !request.scoresPrompt {
            match = store.longestBeginning(of: tokens, hashes)
        }
        let reader: PromptReader
        let logits: [Float]?
        if let match, let tokens, match.count > start?.state.tokenCount ?? 0 {
            reader = PromptReader(
                job, match.snapshot.state, history: Array(tokens.prefix(match.count)),
                rest: Array(tokens.dropFirst(match.count)))
            logits = match.snapshot.logits
        } else if let start {
            reader = PromptReader(
                job, start.state, history: start.history, rest: start.pending + request.tokens)
            logits = start.logits
        } else {
            guard let state = model.languageModel?.initialState() else { return }
            reader = PromptReader(job, state, history: [], rest: request.tokens)
            logits = nil
        }
        if let hashes {
            reader.planSnapshots(
                every: configuration.snapshotInterval,
                places: request.marks + [store.sharedBlockLength(hashes)])
        }
        guard reader.isDone, let logits else { return readers.append(reader) }
        finish(reader, logits)
    }

    private func begin(_ job: EngineJob, _ model: EncoderDecoderModel) {
        do {
            let source = try SourceReading(job.request.tokens, model)
            readers.append(PromptReader(job, source, startToken: model.startToken))
        } catch {
            // The tokens were checked.
            end(job, ServingError.modelFailure("\(error)"))
        }
    }

    /// Ends texts whose states shall be kept, because the engine stops.
    private func closeKeptRows() {
        for row in rows where row.job.request.keepsState && row.choice == 0 && row.state != nil {
            let rest = row.decoder.finish(.cancelled)
            rows.removeAll { $0 === row }
            close(row, rest)
        }
    }

    /// Ends a request: all of its prompt and texts leave the batch.
    private func end(_ job: EngineJob, _ error: (any Error)?) {
        guard !job.isOver else { return }
        job.isOver = true
        readers.removeAll { $0.job === job }
        prompts.removeAll { $0.job === job }
        rows.removeAll { $0.job === job }
        metrics.update { $0.finished[error == nil ? "cancelled" : "error", default: 0] += 1 }
        job.finish(throwing: error ?? CancellationError())
        inbox.finished(job, replica: replica)
    }

    private func send(_ event: ServingEvent, to job: EngineJob) {
        if !job.send(event) { end(job, ServingError.slowReader) }
    }

    // MARK: Prompts

    /// A prompt is read: its texts may begin.
    private func finish(_ reader: PromptReader, _ logits: [Float]) {
        guard let state = reader.state else { return }
        let job = reader.job
        readers.removeAll { $0 === reader }
        if job.request.usesCache, reader.readCount >= configuration.minimumSnapshotLength {
            store.keep(
                StateSnapshot(
                    state: state, history: reader.history, logits: logits, place: job.request.place))
        }
        metrics.update {
            $0.promptTokens += reader.tokenCount
            $0.cachedTokens += reader.tokenCount - reader.readCount
        }
        let report = PromptReport(
            tokenCount: reader.tokenCount, cachedTokenCount: reader.tokenCount - reader.readCount,
            scores: reader.scores)
        prompts.append(ReadPrompt(job, state, logits, history: reader.history, recent: reader.recent))
        reader.state = nil
        send(.read(report), to: job)
    }

    private func startChoices() {
        while let prompt = prompts.first, rows.count + readers.count < rowLimit {
            start(prompt)
            // A failure has removed it already.
            if prompt.next == prompt.job.request.choiceCount { prompts.removeAll { $0 === prompt } }
        }
    }

    private func start(_ prompt: ReadPrompt) {
        let choice = prompt.next
        prompt.next += 1
        guard let state = prompt.takeState() else { return }
        let decoder = RowDecoder(model, prompt.job.request, history: prompt.recent, choice: choice)
        let row = EngineRow(prompt.job, choice: choice, state, decoder, history: prompt.history)
        guard row.decoder.end == nil else {
            row.logits = prompt.logits
            return close(row, TextFragment())
        }
        rows.append(row)
        prompt.logits.withUnsafeBufferPointer { advance(row, $0) }
    }

    // MARK: Steps

    /// The next tokens of a prompt.
    private struct Piece {
        let reader: PromptReader
        let tokens: [Int32]
        /// Number of its last tokens whose logits are wanted.
        var wantedCount: Int {
            reader.job.request.scoresPrompt ? tokens.count : reader.endsWithPiece ? 1 : 0
        }
    }

    /// Reads the last token of every text and pieces of prompts; returns the time that it took if there were texts.
    private func step() -> Duration? {
        let batch = rows.filter { $0.decoder.pending != nil && $0.state != nil }
        let pieces = nextPieces(batch.isEmpty ? ModelRunner.pieceLength : pieceLimit)
        guard !batch.isEmpty || !pieces.isEmpty else { return nil }
        var sequences: [[Int32]] = []
        var states: [SequenceState] = []
        for row in batch {
            guard let token = row.decoder.pending, let state = row.takeState() else { continue }
            row.history?.append(token)
            sequences.append([token])
            states.append(state)
        }
        for piece in pieces {
            guard let state = piece.reader.takeState() else { continue }
            sequences.append(piece.tokens)
            states.append(state)
        }
        let wanted = batch.map { _ in 1 } + pieces.map(\.wantedCount)
        let begin = ContinuousClock.now
        do {
            let logits = try runner.read(sequences, &states, logits: .tails(wanted))
            let duration = ContinuousClock.now - begin
            metrics.update {
                $0.passes += 1
                $0.decodedRows += batch.count
                $0.batchSize.record(Double(sequences.count))
                $0.step.record(duration / .seconds(1))
            }
            // From the end, so that each state has one holder only.
            for piece in pieces.reversed() { piece.reader.state = states.removeLast() }
            for row in batch.reversed() { row.state = states.removeLast() }
            if !batch.isEmpty, !pieces.isEmpty {
                adapt(pieces.reduce(0) { $0 + $1.tokens.count }, duration)
            }
            // The rows of texts come before those of prompts.
            var first = batch.count
            for (piece, count) in zip(pieces, wanted.dropFirst(batch.count)) {
                finishPiece(piece.reader, logits, first..<first + count)
                first += count
            }
            if let logits {
                for (index, row) in batch.enumerated() { advance(row, logits[index]) }
            }
            return batch.isEmpty ? nil : duration
        } catch {
            // Arguments were checked, so that nothing about one request can be the reason.
            let failure = ServingError.modelFailure("\(error)")
            for job in batch.map(\.job) + pieces.map(\.reader.job) { end(job, failure) }
            return nil
        }
    }

    /// Moves sources on through the encoder, a part of a layer at a time: by the work of a step, or while texts have waited less
    /// than a step may take.
    private func readSources(after spent: Duration?) {
        guard let runner = runner as? EncoderDecoderRunner else { return }
        let waiting = readers.indices.map { readers[(turn + $0) % readers.count] }
        let reading = waiting.filter { $0.source != nil }
        guard !reading.isEmpty else { return }
        turn = (turn + 1) % readers.count
        let sources = reading.compactMap(\.source)
        let limit = spent == nil ? ModelRunner.pieceLength : pieceLimit
        let begin = ContinuousClock.now
        var count = 0
        do {
            while count < limit, sources.contains(where: { $0.state == nil }) {
                count += try runner.read(sources, tokenLimit: 1)
                if let spent, spent + (ContinuousClock.now - begin) > configuration.stepTime { break }
            }
            let duration = ContinuousClock.now - begin
            metrics.update { $0.step.record(duration / .seconds(1)) }
            if let spent { adapt(count, spent + duration) }
            for reader in reading { reader.takeSource() }
        } catch {
            let failure = ServingError.modelFailure("\(error)")
            for reader in reading { end(reader.job, failure) }
        }
    }

    /// Returns the next pieces of as many prompts as have room in so many tokens, beginning with the one whose turn it is.
    private func nextPieces(_ limit: Int) -> [Piece] {
        guard !readers.isEmpty else { return [] }
        turn = (turn + 1) % readers.count
        var pieces: [Piece] = []
        var rest = limit
        for offset in readers.indices where rest > 0 {
            let reader = readers[(turn + offset) % readers.count]
            let tokens = reader.nextPiece(rest)
            guard !tokens.isEmpty else { continue }
            pieces.append(Piece(reader: reader, tokens: tokens))
            rest -= tokens.count
        }
        return pieces
    }

    /// Changes the number of tokens of prompts in a step by the time that one took.
    private func adapt(_ tokenCount: Int, _ duration: Duration) {
        let unit = PrefixHashes.blockLength
        if duration > configuration.stepTime {
            pieceLimit = max(unit, pieceLimit - unit)
        } else if tokenCount > pieceLimit - unit, duration < configuration.stepTime / 2 {
            pieceLimit = min(configuration.pieceLength, pieceLimit + unit)
        }
    }

    private func finishPiece(_ reader: PromptReader, _ logits: Logits?, _ rows: Range<Int>) {
        if reader.job.request.scoresPrompt, let logits {
            reader.score(logits, from: rows.lowerBound, topCount: reader.job.request.topCount ?? 0)
        }
        reader.advance()
        if reader.isDone {
            guard let logits else { return }
            finish(reader, Array(logits[rows.upperBound - 1]))
        } else if reader.isAtSnapshot, let state = reader.state {
            store.keep(
                StateSnapshot(state: state, history: reader.history, place: .inside),
                isOnTheWay: reader.isOnTheWay)
        }
    }

    /// Chooses the next token of a text.
    private func advance(_ row: EngineRow, _ logits: UnsafeBufferPointer<Float>) {
        // An event of another choice may have ended the request.
        guard rows.contains(where: { $0 === row }) else { return }
        guard let fragment = row.decoder.advance(logits) else { return end(row.job, ServingError.notFinite) }
        let now = ContinuousClock.now
        metrics.update {
            $0.generatedTokens += 1
            if !row.job.hasFirstToken { $0.firstToken.record(Self.seconds(row.job.arrival, now)) }
            if let last = row.lastToken { $0.betweenTokens.record(Self.seconds(last, now)) }
        }
        row.job.hasFirstToken = true
        row.lastToken = now
        guard row.decoder.end == nil else {
            rows.removeAll { $0 === row }
            return close(row, fragment)
        }
        if !fragment.text.isEmpty || !fragment.tokens.isEmpty {
            send(.text(choice: row.choice, fragment), to: row.job)
        }
    }

    /// Ends one text, and the request with the last of its texts.
    private func close(_ row: EngineRow, _ fragment: TextFragment) {
        let job = row.job
        let decoder = row.decoder
        let snapshot = row.state.map {
            StateSnapshot(
                state: $0, history: row.history, pending: decoder.pending.map { [$0] } ?? [],
                logits: row.logits, place: decoder.place)
        }
        if let snapshot, job.request.usesCache, decoder.tokenCount > 1,
            snapshot.state.tokenCount >= configuration.minimumSnapshotLength
        {
            // Without the last token, which was not read.
            store.keep(StateSnapshot(state: snapshot.state, history: row.history, place: decoder.place))
        }
        let reason = decoder.end ?? .cancelled
        metrics.update { $0.finished[reason.rawValue, default: 0] += 1 }
        job.openChoices -= 1
        send(
            .end(
                choice: row.choice,
                ChoiceEnd(
                    reason: reason, fragment: fragment, tokenCount: decoder.tokenCount,
                    totalLogProbability: decoder.totalLogProbability,
                    snapshot: job.request.keepsState && row.choice == 0 ? snapshot : nil)), to: job)
        guard job.openChoices == 0, !job.isOver else { return }
        job.isOver = true
        metrics.update { $0.wholeRequest.record(Self.seconds(since: job.arrival)) }
        job.finish()
        inbox.finished(job, replica: replica)
    }

    private static func seconds(since start: ContinuousClock.Instant) -> Double { seconds(start, .now) }

    private static func seconds(_ start: ContinuousClock.Instant, _ end: ContinuousClock.Instant) -> Double {
        (end - start) / .seconds(1)
    }
}
