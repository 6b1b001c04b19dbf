import Foundation
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
    /// States hold their matrices in the element type. Throws what `RuntimeFolder` throws, ``ServingError/encoderDecoder(path:kind:)``,
    /// and the error of a tokenizer that cannot be read.
    public init(path: String, name: String? = nil, stateType: StateElementType = .float32) throws {
        let folder: RuntimeFolder
        do {
            folder = try RuntimeFolder(path: path, stateType: stateType)
        } catch RuntimeError.encoderDecoder(path) {
            throw ServingError.encoderDecoder(path: path, kind: Self.encoderDecoderKind(path) ?? "t5")
        }
        model = folder.model
        tokenizer = try folder.tokenizer
        defaults = SamplingParameters(defaults: folder.defaults)
        defaultMaxTokens = folder.defaults.maxTokens
        let parts = path.split(separator: "/").filter { $0 != "." }
        self.name = name ?? parts.last.map(String.init) ?? "model"
    }

    /// Returns the kind of an encoder-decoder in a folder, as its `config.json` names it; nil for another model.
    private static func encoderDecoderKind(_ path: String) -> String? {
        guard let data = FileManager.default.contents(atPath: path + "/config.json"), data.count <= 1 << 20,
            let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
            let kind = object["model_type"] as? String
        else { return nil }
        return object["is_encoder_decoder"] as? Bool == true || kind == "t5" ? kind : nil
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
        return (place == nil ? beginning(tokens, begin) : tokens, end)
    }

    /// Returns the tokens of a text from its beginning, the place behind them, and the numbers of tokens that end before some
    /// places of the text, which are given in bytes.
    public func tokens(of text: String, begin: BeginTokenChoice, marks: [Int])
        -> (tokens: [Int32], place: TextPlace, marks: [Int])
    {
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
