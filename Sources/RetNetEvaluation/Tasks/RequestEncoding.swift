import RetNetText

/// A request in tokens: the inputs of the model, and the targets of the last of them.
public struct ScoringRequest: Sendable, Equatable {
    /// The tokens that are read, at least as many as there are targets.
    public var inputs: [Int32]
    /// The tokens that follow the last inputs, in order.
    public var targets: [Int32]

    /// Creates a request.
    public init(inputs: [Int32], targets: [Int32]) {
        self.inputs = inputs
        self.targets = targets
    }

    /// The place of the first input whose target counts.
    var firstScored: Int { inputs.count - targets.count }
}

/// What answers the requests of tasks by a language model.
public protocol RequestScorer {
    /// Returns the answers to the requests of each question, in their order.
    ///
    /// After every batch `progress` gets the answers that it has finished, with the numbers of their requests counted
    /// through all questions, and ends the scoring by returning false; the answers to the others are then nil.
    func score(
        _ questions: [[ScoringRequest]], cost: inout ScoringCost,
        progress: (_ finished: [(request: Int, answer: RequestScore)]) throws -> Bool
    ) throws -> [[RequestScore?]]
}

/// The conversion of requests to tokens, as `lm_eval/api/model.py` and `lm_eval/models/huggingface.py` do it.
struct RequestEncoder {
    private let tokenizer: any Tokenizer
    private let prefixToken: Int32
    private let begin: [Int32]
    private let maximumLength: Int?
    private var lastContext: (text: String, tokens: [Int32])?

    /// Creates an encoder for inputs of at most `maximumLength` tokens, for models without a limit nil.
    ///
    /// With `addsBeginToken` every text begins with the begin token, as with tokenizers that add it by themselves.
    /// Throws ``EvaluationError/noPrefixToken(tokenizer:)``.
    init(_ tokenizer: any Tokenizer, addsBeginToken: Bool, maximumLength: Int?) throws {
        guard let prefix = tokenizer.beginToken ?? tokenizer.endToken else {
            throw EvaluationError.noPrefixToken(tokenizer: tokenizer.identity)
        }
        self.tokenizer = tokenizer
        prefixToken = prefix
        let start = tokenizer.textStart
        begin = !addsBeginToken ? [] : start.isEmpty ? BeginTokenChoice.yes.tokens(tokenizer) : start
        self.maximumLength = maximumLength
    }

    /// Returns the request of a continuation behind a context; throws ``MalformedExample`` if it cannot be scored.
    ///
    /// White space at the end of the context counts for the continuation. Both are encoded together, and the tokens behind
    /// as many as the context alone has are the targets. A text that is too long loses tokens at its beginning.
    mutating func request(context: String, continuation: String) throws(MalformedExample) -> ScoringRequest {
        var (contextTokens, targets): ([Int32], [Int32])
        if context.isEmpty {
            targets = tokenizer.encode(continuation)
            contextTokens = [prefixToken]
            if targets.first == prefixToken {
                (contextTokens, targets) = ([prefixToken], Array(targets.dropFirst()))
            }
        } else {
            let (text, space) = PythonText.splittingTrailingSpace(context)
            contextTokens = tokens(context: text)
            targets = Array(
                (begin + tokenizer.encode(text + space + continuation)).dropFirst(contextTokens.count))
        }
        guard !contextTokens.isEmpty else { throw MalformedExample("the context is nothing but white space") }
        guard !targets.isEmpty else {
            throw MalformedExample("its continuation adds no token to the context")
        }
        return try truncated(contextTokens, targets)
    }

    private mutating func tokens(context: String) -> [Int32] {
        // The choices of a question share the context.
        if let lastContext, lastContext.text.utf8.elementsEqual(context.utf8) { return lastContext.tokens }
        let tokens = begin + tokenizer.encode(context)
        lastContext = (context, tokens)
        return tokens
    }

    private func truncated(_ context: [Int32], _ targets: [Int32]) throws(MalformedExample) -> ScoringRequest
    {
        var inputs = context + targets.dropLast()
        if let maximumLength {
            guard targets.count <= maximumLength else {
                throw MalformedExample(
                    "its continuation has \(targets.count) tokens, more than the context of \(maximumLength): "
                        + "give a longer context")
            }
            inputs = Array(inputs.suffix(maximumLength))
        }
        return ScoringRequest(inputs: inputs, targets: targets)
    }

    /// Returns the requests that together predict a whole text from the prefix token.
    ///
    /// Without a maximal length it is one. Otherwise every window but the first begins with the last token of the one
    /// before, and the last one has as much context as fits.
    func rollingRequests(_ text: String) -> [ScoringRequest] {
        let tokens = begin + tokenizer.encode(text)
        guard !tokens.isEmpty else { return [] }
        let length = min(maximumLength ?? tokens.count, tokens.count)
        var requests = [
            ScoringRequest(
                inputs: [prefixToken] + tokens[..<(length - 1)], targets: Array(tokens[..<length]))
        ]
        var predicted = length
        while predicted < tokens.count {
            let end = min(predicted + length, tokens.count)
            requests.append(
                ScoringRequest(
                    inputs: Array(tokens[(end - length - 1)..<(end - 1)]),
                    targets: Array(tokens[predicted..<end])))
            predicted = end
        }
        return requests
    }
}
