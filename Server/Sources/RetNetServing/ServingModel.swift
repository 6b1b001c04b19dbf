import RetNetArchitecture
import RetNetRuntime
import RetNetSampling
import RetNetText

/// A model as a server offers it: weights, tokenizer, and the sampling parameters that its folder proposes.
public struct ServingModel: Sendable {
    /// The model.
    public let model: RuntimeModel
    /// The tokenizer.
    public let tokenizer: any Tokenizer
    /// The sampling parameters of the folder.
    public let defaults: SamplingParameters
    /// The number of tokens that the folder proposes to generate, if it does.
    public let defaultMaxTokens: Int?
    /// The name by which clients call the model.
    public let name: String

    /// Opens a model folder; the name is that of the folder unless one is given.
    ///
    /// States hold their matrices in the element type. Throws what `RuntimeFolder` throws, and the error of a tokenizer that
    /// cannot be read.
    public init(path: String, name: String? = nil, stateType: StateElementType = .float32) throws {
        let folder = try RuntimeFolder(path: path, stateType: stateType)
        model = folder.model
        tokenizer = try folder.tokenizer
        defaults = SamplingParameters(defaults: folder.defaults)
        defaultMaxTokens = folder.defaults.maxTokens
        let parts = path.split(separator: "/").filter { $0 != "." }
        self.name = name ?? parts.last.map(String.init) ?? "model"
    }

    /// The largest number of tokens of a sequence; nil if there is no limit.
    public var positionLimit: Int? {
        model.configuration.positionEmbedding == .learned ? model.configuration.positionCount : nil
    }

    /// The number of different tokens.
    public var vocabularySize: Int { model.configuration.vocabularySize }

    /// Returns the tokens of a text with those before it, and the place behind them.
    ///
    /// A text that continues another begins at the place behind that and has no begin token.
    public func tokens(
        of text: String, begin: BeginTokenChoice = .auto, continuing place: TextPlace? = nil
    ) -> (tokens: [Int32], place: TextPlace) {
        var end = place ?? .beginning
        let tokens = tokenizer.encode(text, at: &end)
        guard place == nil else { return (tokens, end) }
        let start = begin.tokens(tokenizer)
        if !tokens.starts(with: start) || start.isEmpty {
            let all = start + tokens
            // A text of nothing needs a begin token even if prompts do without.
            if all.isEmpty, begin != .no { return (BeginTokenChoice.yes.tokens(tokenizer), end) }
            return (all, end)
        }
        return (tokens, end)
    }

    /// The tokens at which texts end.
    func endTokens(_ parameters: SamplingParameters) -> Set<Int32> {
        guard parameters.stopsAtEndToken else { return [] }
        return Set(parameters.endTokens ?? tokenizer.endToken.map { [$0] } ?? [])
    }

    /// Returns the text that names a token in answers: its characters, its name if it is special, or its bytes.
    ///
    /// A part of a character is written as OpenAI's interface does: `bytes:\xe2\x82`.
    public func label(of token: Int32) -> String {
        let bytes = tokenizer.bytes(of: token)
        if bytes.isEmpty { return tokenizer.specialName(of: token) ?? "<\(token)>" }
        let text = String(decoding: bytes, as: UTF8.self)
        guard !text.utf8.elementsEqual(bytes) else { return text }
        let digits = Array("0123456789abcdef")
        return "bytes:" + bytes.map { "\\x\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }.joined()
    }
}
