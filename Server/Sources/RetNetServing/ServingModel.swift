import Foundation
import RetNetArchitecture
import RetNetRuntime
import RetNetSampling
import RetNetText

/// A model as a server offers it: weights, tokenizer, and the sampling parameters that its folder proposes.
public struct ServingModel: Sendable {
    /// What computes.
    public enum Network: Sendable {
        /// A text goes on.
        case language(RuntimeModel)
        /// A text is read as a source, and another one is its output.
        case encoderDecoder(EncoderDecoderModel)
    }

    /// What computes.
    public let network: Network
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
    /// States hold their matrices, and keys and values, in the element type. Throws what `RuntimeFolder` and `EncoderDecoderFolder`
    /// throw, and the error of a tokenizer that cannot be read.
    public init(path: String, name: String? = nil, stateType: StateElementType = .float32) throws {
        let parts = path.split(separator: "/").filter { $0 != "." }
        self.name = name ?? parts.last.map(String.init) ?? "model"
        if EncoderDecoderFolder.recognizes(path) {
            let folder = try EncoderDecoderFolder(path: path, stateType: stateType)
            network = .encoderDecoder(folder.model)
            tokenizer = try folder.tokenizer
            (defaults, defaultMaxTokens) = (folder.parameters, folder.defaults.maxTokens)
        } else {
            let folder = try RuntimeFolder(path: path, stateType: stateType)
            network = .language(folder.model)
            tokenizer = try folder.tokenizer
            defaults = SamplingParameters(defaults: folder.defaults)
            defaultMaxTokens = folder.defaults.maxTokens
        }
    }

    /// The language model; nil for an encoder-decoder.
    public var languageModel: RuntimeModel? {
        if case .language(let model) = network { model } else { nil }
    }

    /// The encoder-decoder; nil for a language model.
    public var encoderDecoder: EncoderDecoderModel? {
        if case .encoderDecoder(let model) = network { model } else { nil }
    }

    /// True for a model whose prompts are sources.
    public var isEncoderDecoder: Bool { encoderDecoder != nil }

    /// The folder.
    public var path: String {
        switch network {
        case .language(let model): model.path
        case .encoderDecoder(let model): model.path
        }
    }

    /// Number of parameters.
    public var parameterCount: Int {
        switch network {
        case .language(let model): model.parameterCount
        case .encoderDecoder(let model): model.parameterCount
        }
    }

    /// The element type of matrices of states, and of keys and values.
    public var stateType: StateElementType {
        switch network {
        case .language(let model): model.stateType
        case .encoderDecoder(let model): model.stateType
        }
    }

    /// Bytes of the state of a text that do not grow with it.
    public var stateByteCount: Int { languageModel?.stateByteCount ?? 0 }

    /// Bytes that every token adds to the state of a text, of an encoder-decoder those of the source too.
    public var stateByteCountPerToken: Int {
        switch network {
        case .language(let model): model.stateByteCountPerToken
        case .encoderDecoder(let model): model.stateByteCountPerToken
        }
    }

    /// The largest number of tokens of a sequence; nil if there is no limit.
    public var positionLimit: Int? {
        guard let configuration = languageModel?.configuration else { return nil }
        return configuration.positionEmbedding == .learned ? configuration.positionCount : nil
    }

    /// The number of different tokens.
    public var vocabularySize: Int {
        switch network {
        case .language(let model): model.configuration.vocabularySize
        case .encoderDecoder(let model): model.configuration.vocabularySize
        }
    }

    /// Returns the tokens of a text with those before it, and the place behind them.
    ///
    /// A text that continues another begins at the place behind that and has no begin token. The text of an encoder-decoder is
    /// a source, which ends with the end token unless there are to be no such tokens, and its output begins a text.
    public func tokens(
        of text: String, begin: BeginTokenChoice = .auto, continuing place: TextPlace? = nil
    ) -> (tokens: [Int32], place: TextPlace) {
        if let encoderDecoder {
            let tokens = tokenizer.encode(text)
            let isWhole = begin == .no || tokens.last == encoderDecoder.endToken
            return (isWhole ? tokens : tokens + [encoderDecoder.endToken], .beginning)
        }
        var end = place ?? .beginning
        let tokens = tokenizer.encode(text, at: &end)
        return (place == nil ? beginning(tokens, begin) : tokens, end)
    }

    /// Returns the place behind tokens of a prompt, where what is generated begins.
    public func place(after tokens: [Int32], from place: TextPlace) -> TextPlace {
        isEncoderDecoder ? .beginning : tokenizer.place(after: tokens, from: place)
    }

    /// Returns the tokens of a text from its beginning, the place behind them, and the numbers of tokens that end before some
    /// places of the text, which are given in bytes.
    public func tokens(of text: String, begin: BeginTokenChoice, marks: [Int])
        -> (tokens: [Int32], place: TextPlace, marks: [Int])
    {
        if isEncoderDecoder {
            // A template writes the tokens of beginnings, but not the end of a source.
            let (tokens, place) = tokens(of: text)
            return (tokens, place, [])
        }
        var end = TextPlace.beginning
        var text = text
        let encoded = text.withUTF8 {
            tokenizer.encodeCountingBytes(utf8: UnsafeRawBufferPointer($0), at: &end)
        }
        let tokens = beginning(encoded.tokens, begin)
        let shift = tokens.count - encoded.tokens.count
        var (count, offset) = (0, 0)
        let counts = marks.sorted().map { mark in
            while count < encoded.byteCounts.count, offset + encoded.byteCounts[count] <= mark {
                offset += encoded.byteCounts[count]
                count += 1
            }
            return shift + count
        }
        return (tokens, end, counts)
    }

    /// Returns tokens with those that begin a text, unless they are there already.
    private func beginning(_ tokens: [Int32], _ begin: BeginTokenChoice) -> [Int32] {
        let start = begin.tokens(tokenizer)
        let all = tokens.starts(with: start) ? tokens : start + tokens
        // A text of nothing needs a begin token even if prompts do without.
        return all.isEmpty && begin != .no ? BeginTokenChoice.yes.tokens(tokenizer) : all
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
