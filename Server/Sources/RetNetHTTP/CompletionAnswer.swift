import Foundation
import RetNetSampling
import RetNetServing
import RetNetStorage
import RetNetText

/// Counts of tokens, as answers report them.
struct TokenUsage: Sendable, Equatable {
    var promptTokens = 0
    var cachedTokens = 0
    var completionTokens = 0

    var json: JSONValue {
        [
            "prompt_tokens": .int(promptTokens), "completion_tokens": .int(completionTokens),
            "total_tokens": .int(promptTokens + completionTokens),
            "prompt_tokens_details": ["cached_tokens": .int(cachedTokens)],
        ]
    }
}

/// The objects that answer a request for completions.
struct CompletionAnswer: Sendable {
    let id: String
    let created: Int
    let model: ServingModel
    /// True for answers with messages.
    var isChat = false

    /// Returns the piece of a message: the first one names who speaks, the last one why it ends.
    func delta(index: Int, role: Bool, text: String?, logprobs: JSONValue, reason: FinishReason?) -> JSONValue
    {
        var delta: [JSONValue.Member] = []
        if role { delta.append((name: "role", value: "assistant")) }
        if let text { delta.append((name: "content", value: .string(text))) }
        return [
            "index": .int(index), "delta": .object(delta), "logprobs": logprobs,
            "finish_reason": reason.map { .string(Self.name(of: $0)) } ?? .null,
        ]
    }

    /// Returns a whole message of an answer.
    func message(index: Int, text: String, logprobs: JSONValue, reason: FinishReason?) -> JSONValue {
        [
            "index": .int(index),
            "message": ["role": "assistant", "content": .string(text), "refusal": nil],
            "logprobs": logprobs, "finish_reason": reason.map { .string(Self.name(of: $0)) } ?? .null,
        ]
    }

    /// Returns the log-probabilities of a message's tokens: a list of objects.
    func content(_ tokens: [GeneratedToken]) -> JSONValue {
        func object(_ token: Int32, _ value: Double?, _ more: [JSONValue.Member] = []) -> JSONValue {
            let bytes: [JSONValue] = model.tokenizer.bytes(of: token).map { .int(Int($0)) }
            let members: [JSONValue.Member] = [
                (name: "token", value: .string(model.label(of: token))),
                (name: "logprob", value: value.map { .double($0) } ?? .null),
                (name: "bytes", value: .array(bytes)),
            ]
            return .object(members + more)
        }
        return [
            "content": .array(
                tokens.map { token in
                    let top = token.score.top.map { object($0.token, $0.logProbability) }
                    return object(
                        token.score.token, token.score.logProbability,
                        [(name: "top_logprobs", value: .array(top))])
                })
        ]
    }

    /// Returns one text of an answer.
    func choice(index: Int, text: String, logprobs: JSONValue, reason: FinishReason?) -> JSONValue {
        [
            "index": .int(index), "text": .string(text), "logprobs": logprobs,
            "finish_reason": reason.map { .string(Self.name(of: $0)) } ?? .null,
        ]
    }

    /// Returns the object around some choices.
    func object(
        _ choices: [JSONValue], usage: TokenUsage?, showsUsage: Bool = true, state: JSONValue? = nil,
        isChunk: Bool = false
    )
        -> JSONValue
    {
        let kind = !isChat ? "text_completion" : isChunk ? "chat.completion.chunk" : "chat.completion"
        var members: [JSONValue.Member] = [
            (name: "id", value: .string(id)), (name: "object", value: .string(kind)),
            (name: "created", value: .int(created)), (name: "model", value: .string(model.name)),
            (name: "choices", value: .array(choices)),
        ]
        if showsUsage { members.append((name: "usage", value: usage?.json ?? .null)) }
        if let state { members.append((name: "state", value: state)) }
        return .object(members)
    }

    /// OpenAI's name of a reason.
    private static func name(of reason: FinishReason) -> String {
        switch reason {
        case .stop, .endToken: "stop"
        case .length: "length"
        case .cancelled: "cancelled"
        }
    }

    /// Returns the log-probabilities of tokens: four lists of equal length.
    func logprobs(_ tokens: [(score: TokenScore, offset: Int)]) -> JSONValue {
        [
            "tokens": .array(tokens.map { .string(model.label(of: $0.score.token)) }),
            "token_logprobs": .array(
                tokens.map { $0.score.logProbability.map { .double($0) } ?? .null }),
            "top_logprobs": .array(tokens.map { top($0.score) }),
            "text_offset": .array(tokens.map { .int($0.offset) }),
        ]
    }

    /// The most probable tokens and the chosen one; of tokens with one name the most probable counts.
    private func top(_ score: TokenScore) -> JSONValue {
        guard let own = score.logProbability else { return .null }
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        let chosen = TokenScore.Alternative(token: score.token, logProbability: own)
        for alternative in score.top + [chosen] {
            let name = model.label(of: alternative.token)
            guard names.insert(name).inserted else { continue }
            members.append((name: name, value: .double(alternative.logProbability)))
        }
        return .object(members)
    }

    /// Returns the tokens of a prompt with the places at which they begin in its text.
    func located(_ scores: [TokenScore]) -> [(score: TokenScore, offset: Int)] {
        var (offset, place) = (0, TextPlace.beginning)
        return scores.map { score in
            defer {
                offset += model.tokenizer.bytes(of: score.token, at: &place).count { $0 & 0xC0 != 0x80 }
            }
            return (score, offset)
        }
    }
}
