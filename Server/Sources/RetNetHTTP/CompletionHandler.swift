import Foundation
import RetNetSampling
import RetNetServing
import RetNetStorage

/// Carries out a request for completions.
struct CompletionHandler: Sendable {
    let request: CompletionRequest
    let answer: CompletionAnswer
    let states: StateKeeper
    let run: CompletionRun

    /// What came of one prompt.
    private struct Collected {
        var report: PromptReport?
        var texts: [String]
        var tokens: [[GeneratedToken]]
        var ends: [ChoiceEnd?]

        init(_ count: Int) {
            texts = Array(repeating: "", count: count)
            tokens = Array(repeating: [], count: count)
            ends = Array(repeating: nil, count: count)
        }

        mutating func add(_ fragment: TextFragment, _ choice: Int) {
            texts[choice] += fragment.text
            tokens[choice] += fragment.tokens
        }

        /// The candidates by the mean log-probability of their tokens, the most probable ones first.
        var ranking: [Int] {
            let means = ends.map { end in
                end.map { $0.totalLogProbability / Double(max(1, $0.tokenCount)) } ?? -.infinity
            }
            return ends.indices.sorted { means[$0] == means[$1] ? $0 < $1 : means[$0] > means[$1] }
        }
    }

    // MARK: The whole answer

    /// Returns the answer when all texts have ended, and the counts of its tokens.
    func whole() async throws -> (answer: JSONValue, usage: TokenUsage) {
        var usage = TokenUsage()
        var state: JSONValue?
        var collected = request.prompts.map { _ in Collected(request.candidateCount) }
        for try await event in run.events {
            guard case .event(let prompt, let event) = event else { continue }
            count(event, &usage)
            switch event {
            case .read(let report): collected[prompt].report = report
            case .text(let choice, let fragment): collected[prompt].add(fragment, choice)
            case .end(let choice, let end):
                collected[prompt].add(end.fragment, choice)
                collected[prompt].ends[choice] = end
                state = try await keep(end) ?? state
            }
        }
        var choices: [JSONValue] = []
        for (index, result) in collected.enumerated() {
            let candidates = Array(result.ends.indices)
            let ranked = request.candidateCount > request.choiceCount ? result.ranking : candidates
            for candidate in ranked.prefix(request.choiceCount) {
                choices.append(choice(choices.count, result, candidate, request.prompts[index].text))
            }
        }
        return (answer.object(choices, usage: usage, state: state), usage)
    }

    private func choice(_ index: Int, _ result: Collected, _ candidate: Int, _ prompt: String) -> JSONValue {
        if answer.isChat {
            return answer.message(
                index: index, text: result.texts[candidate],
                logprobs: request.topCount == nil ? .null : answer.content(result.tokens[candidate]),
                reason: result.ends[candidate]?.reason)
        }
        var tokens: [(score: TokenScore, offset: Int)] = []
        var offset = 0
        if request.echoes {
            tokens = answer.located(result.report?.scores ?? [])
            offset = prompt.unicodeScalars.count
        }
        tokens += result.tokens[candidate].map { ($0.score, offset + $0.offset) }
        return answer.choice(
            index: index, text: (request.echoes ? prompt : "") + result.texts[candidate],
            logprobs: request.topCount == nil ? .null : answer.logprobs(tokens),
            reason: result.ends[candidate]?.reason)
    }

    private func count(_ event: ServingEvent, _ usage: inout TokenUsage) {
        switch event {
        case .read(let report):
            usage.promptTokens += report.tokenCount
            usage.cachedTokens += report.cachedTokenCount
        case .end(_, let end): usage.completionTokens += end.tokenCount
        case .text: break
        }
    }

    /// Keeps the state behind a text under the name that the request gives, if it gives one.
    private func keep(_ end: ChoiceEnd) async throws -> JSONValue? {
        guard let name = request.savedName, let snapshot = end.snapshot else { return nil }
        return try await Blocking.run {
            let state = try states.set(
                snapshot, named: name, replaces: request.replacesState, persists: request.persistsState)
            return StateObject.json(state, states)
        }
    }

    // MARK: Streaming

    /// Hands out the answer piece by piece; returns the counts of its tokens.
    ///
    /// `write` gets whole server-sent events.
    func stream(_ write: ([UInt8]) async throws -> Void) async throws -> TokenUsage {
        var usage = TokenUsage()
        // Tokens of texts that have not ended.
        var running: [Int: Int] = [:]
        func send(_ object: JSONValue) async throws {
            try await write(Array("data: ".utf8) + object.bytes + Array("\n\n".utf8))
        }
        do {
            for try await event in run.events {
                switch event {
                case .ping: try await write(Array(": ping\n\n".utf8))
                case .event(let prompt, let event):
                    count(event, &usage)
                    var current: TokenUsage?
                    if request.reportsUsage {
                        switch event {
                        case .read: break
                        case .text(let choice, let fragment):
                            running[prompt * request.choiceCount + choice] = fragment.tokenCount
                        case .end(let choice, _): running[prompt * request.choiceCount + choice] = nil
                        }
                        current = usage
                        current?.completionTokens += running.values.reduce(0, +)
                    }
                    for chunk in try await chunks(event, prompt, current) { try await send(chunk) }
                }
            }
            if request.includesUsage { try await send(answer.object([], usage: usage, isChunk: true)) }
            try await write(Array("data: [DONE]\n\n".utf8))
        } catch let error where !(error is CancellationError) && !Task.isCancelled {
            // The status has been sent; the error comes in the stream.
            try await send(APIError(error).body)
            throw error
        }
        return usage
    }

    /// Returns the objects for an event, with the counts if they are given.
    private func chunks(_ event: ServingEvent, _ prompt: Int, _ usage: TokenUsage?) async throws
        -> [JSONValue]
    {
        if answer.isChat { return try await deltas(event, usage) }
        let first = prompt * request.choiceCount
        let offset = request.echoes ? request.prompts[prompt].text.unicodeScalars.count : 0
        func chunk(_ choice: Int, _ fragment: TextFragment, _ reason: FinishReason?, state: JSONValue? = nil)
            -> JSONValue
        {
            let tokens = fragment.tokens.map { ($0.score, offset + $0.offset) }
            return answer.object(
                [
                    answer.choice(
                        index: first + choice, text: fragment.text,
                        logprobs: request.topCount == nil ? .null : answer.logprobs(tokens), reason: reason)
                ], usage: usage, showsUsage: request.includesUsage, state: state)
        }
        switch event {
        case .read(let report):
            guard request.echoes else { return [] }
            let logprobs = request.topCount == nil ? .null : answer.logprobs(answer.located(report.scores))
            return (0..<request.choiceCount).map { choice in
                answer.object(
                    [
                        answer.choice(
                            index: first + choice, text: request.prompts[prompt].text, logprobs: logprobs,
                            reason: nil)
                    ], usage: usage, showsUsage: request.includesUsage)
            }
        case .text(let choice, let fragment): return [chunk(choice, fragment, nil)]
        case .end(let choice, let end):
            return [chunk(choice, end.fragment, end.reason, state: try await keep(end))]
        }
    }

    /// Returns the objects of a conversation for an event.
    private func deltas(_ event: ServingEvent, _ usage: TokenUsage?) async throws -> [JSONValue] {
        func chunk(_ choice: JSONValue, state: JSONValue? = nil) -> JSONValue {
            answer.object(
                [choice], usage: usage, showsUsage: request.includesUsage, state: state, isChunk: true)
        }
        func delta(_ choice: Int, _ fragment: TextFragment) -> [JSONValue] {
            guard !fragment.text.isEmpty || !fragment.tokens.isEmpty else { return [] }
            let logprobs = request.topCount == nil ? .null : answer.content(fragment.tokens)
            return [
                chunk(
                    answer.delta(
                        index: choice, role: false, text: fragment.text, logprobs: logprobs, reason: nil))
            ]
        }
        switch event {
        case .read:
            return (0..<request.choiceCount).map {
                chunk(answer.delta(index: $0, role: true, text: "", logprobs: .null, reason: nil))
            }
        case .text(let choice, let fragment): return delta(choice, fragment)
        case .end(let choice, let end):
            let last = answer.delta(
                index: choice, role: false, text: nil, logprobs: .null, reason: end.reason)
            return delta(choice, end.fragment) + [chunk(last, state: try await keep(end))]
        }
    }
}
