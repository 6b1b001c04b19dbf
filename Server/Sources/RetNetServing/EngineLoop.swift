import Foundation
import RetNetRuntime
import RetNetSampling

/// The steps of an engine, on its thread.
final class EngineLoop: @unchecked Sendable {
    // Sendable: used by the engine's thread only.
    private let model: ServingModel
    private let runner: ModelRunner
    private let configuration: ServingEngine.Configuration
    private let store: StateStore
    private let metrics: ServingMetrics
    private let inbox: EngineInbox

    private var readers: [PromptReader] = []
    private var prompts: [ReadPrompt] = []
    private var rows: [EngineRow] = []
    /// The reader whose turn it is.
    private var turn = 0

    init(
        _ model: ServingModel, _ runner: ModelRunner, _ configuration: ServingEngine.Configuration,
        store: StateStore, metrics: ServingMetrics, inbox: EngineInbox
    ) {
        self.model = model
        self.runner = runner
        self.configuration = configuration
        self.store = store
        self.metrics = metrics
        self.inbox = inbox
    }

    func run() {
        while true {
            let room = configuration.rowLimit - readers.count - rows.count - prompts.count
            let delivery = inbox.take(
                room: room, mayWait: readers.isEmpty && rows.isEmpty && prompts.isEmpty)
            for (job, error) in delivery.dropped { end(job, error) }
            guard !delivery.isStopped else { return }
            for job in delivery.jobs { begin(job) }
            startChoices()
            step()
            inbox.report(
                reading: readers.count, generating: rows.count + prompts.count,
                stateByteCount: readers.reduce(0) { $0 + ($1.state?.byteCount ?? 0) }
                    + rows.reduce(0) { $0 + ($1.state?.byteCount ?? 0) })
        }
    }

    // MARK: Begin and end

    private func begin(_ job: EngineJob) {
        let request = job.request
        metrics.update { $0.queueing.record(Self.seconds(since: job.arrival)) }
        if let start = request.start {
            let reader = PromptReader(
                job, start.state, history: start.history, rest: start.pending + request.tokens)
            if request.usesCache { reader.planSnapshots(every: configuration.snapshotInterval, shared: 0) }
            guard reader.isDone, let logits = start.logits else { return readers.append(reader) }
            return finish(reader, logits)
        }
        let hashes = request.usesCache ? PrefixHashes(request.tokens) : nil
        // Scores need the logits of every token.
        let match =
            request.scoresPrompt ? nil : hashes.flatMap { store.longestBeginning(of: request.tokens, $0) }
        let count = match?.count ?? 0
        let reader = PromptReader(
            job, match?.snapshot.state ?? model.model.initialState(),
            history: Array(request.tokens.prefix(count)), rest: Array(request.tokens.dropFirst(count)))
        if let hashes {
            reader.planSnapshots(
                every: configuration.snapshotInterval, shared: store.sharedBlockLength(hashes))
        }
        guard reader.isDone, let logits = match?.snapshot.logits else { return readers.append(reader) }
        finish(reader, logits)
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
        inbox.finished(job)
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
                StateSnapshot(state: state, history: reader.history, logits: logits, place: job.request.place)
            )
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
        while let prompt = prompts.first, rows.count + readers.count < configuration.rowLimit {
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

    /// Reads the last token of every text and a piece of one prompt.
    private func step() {
        let reader = nextReader()
        let piece = reader?.nextPiece(
            rows.isEmpty ? ModelRunner.pieceLength : configuration.pieceLength)
        let batch = rows.filter { $0.decoder.pending != nil && $0.state != nil }
        guard !batch.isEmpty || reader != nil else { return }
        var sequences: [[Int32]] = []
        var states: [SequenceState] = []
        for row in batch {
            guard let token = row.decoder.pending, let state = row.takeState() else { continue }
            row.history?.append(token)
            sequences.append([token])
            states.append(state)
        }
        if let reader, let piece, let state = reader.takeState() {
            sequences.append(piece)
            states.append(state)
        }
        let needsLast = reader.map { $0.endsWithPiece } ?? true
        let wanted: WantedLogits =
            reader?.job.request.scoresPrompt == true ? .all : !batch.isEmpty || needsLast ? .last : .none
        do {
            let logits = try runner.read(sequences, &states, logits: wanted)
            metrics.update {
                $0.passes += 1
                $0.decodedRows += batch.count
            }
            if let reader { reader.state = states.removeLast() }
            for row in batch.reversed() { row.state = states.removeLast() }
            if let reader { finishPiece(of: reader, logits, from: batch.count, all: wanted == .all) }
            guard let logits else { return }
            for (index, row) in batch.enumerated() { advance(row, logits[index]) }
        } catch {
            // Arguments were checked, so that nothing about one request can be the reason.
            let failure = ServingError.modelFailure("\(error)")
            for job in batch.map(\.job) + (reader.map { [$0.job] } ?? []) { end(job, failure) }
        }
    }

    /// Returns the prompt whose turn it is.
    private func nextReader() -> PromptReader? {
        guard !readers.isEmpty else { return nil }
        turn = (turn + 1) % readers.count
        return readers[turn]
    }

    private func finishPiece(of reader: PromptReader, _ logits: Logits?, from first: Int, all: Bool) {
        let request = reader.job.request
        if request.scoresPrompt, all, let logits {
            reader.score(logits, from: first, topCount: request.topCount ?? 0)
        }
        reader.advance()
        if reader.isDone {
            guard let logits else { return }
            // The rows of texts come before those of the prompt.
            let row = all ? logits.count - 1 : first
            finish(reader, Array(logits[row]))
        } else if reader.isAtSnapshot, let state = reader.state {
            store.keep(StateSnapshot(state: state, history: reader.history, place: .inside))
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
        inbox.finished(job)
    }

    private static func seconds(since start: ContinuousClock.Instant) -> Double { seconds(start, .now) }

    private static func seconds(_ start: ContinuousClock.Instant, _ end: ContinuousClock.Instant) -> Double {
        (end - start) / .seconds(1)
    }
}
