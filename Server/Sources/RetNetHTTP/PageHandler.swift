import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import RetNetPage
import RetNetServing
import RetNetStorage

/// The page at `/` and what it needs to know.
enum PageHandler {
    /// Returns the file of a path.
    static func file(_ parts: [String]) -> PageFile? {
        switch parts {
        case [""]: PageFile.index
        case _ where parts.count == 2 && parts[0] == "page": PageFile.parts[parts[1]]
        default: nil
        }
    }

    /// Only what this server has itself: no other resource, no markup from texts, no frame around it.
    private static let policy = """
        default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
        form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'
        """

    /// Returns a file, or 304 if the browser has it.
    static func response(_ file: PageFile, to request: Request) -> Response {
        var headers: HTTPFields = [
            .eTag: file.tag, .cacheControl: "no-cache", .contentSecurityPolicy: policy,
        ]
        headers[.contentTypeOptions] = "nosniff"
        headers[.referrerPolicy] = "no-referrer"
        headers[.openerPolicy] = "same-origin"
        if request.headers[.ifNoneMatch] == file.tag {
            return Response(status: .notModified, headers: headers)
        }
        headers[.contentType] = file.type
        let response = Response(
            status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: file.bytes)))
        return request.method == .head ? response.createHeadResponse() : response
    }

    /// Bytes of a number in the caches of Transformers as servers keep them.
    private static let cacheElementByteCount = 2

    /// Returns the facts about a model that the page shows.
    static func info(_ engine: ServingEngine, format: ChatFormat, hasFolder: Bool) -> JSONValue {
        let (model, defaults) = (engine.model, engine.model.defaults)
        // Keys and values of every layer, of the width of the model.
        let (layers, width, cached) =
            switch model.network {
            case .language(let network):
                (
                    network.configuration.layerCount, network.configuration.hiddenSize,
                    network.configuration.layerCount * network.configuration.hiddenSize
                )
            case .encoderDecoder(let network):
                (
                    network.configuration.decoderLayerCount, network.configuration.hiddenSize,
                    network.configuration.decoderLayerCount * network.configuration.attentionSize
                )
            }
        let modes: JSONValue =
            model.isEncoderDecoder && format.isPlain ? ["completion"] : ["chat", "completion"]
        let limit = [engine.model.positionLimit, engine.configuration.contextLimit].compactMap { $0 }.min()
        return [
            "model": .string(engine.model.name), "parameters": .int(model.parameterCount),
            "kind": model.isEncoderDecoder ? "encoder_decoder" : "language_model",
            "layers": .int(layers), "hidden_size": .int(width),
            "context_limit": limit.map { .int($0) } ?? .null,
            "state_bytes": .int(model.stateByteCount),
            "state_bytes_per_token": .int(model.stateByteCountPerToken),
            "state_type": .string(model.stateType.rawValue),
            "cache_bytes_per_token": .int(2 * cached * cacheElementByteCount), "modes": modes,
            "chat_template": format.isPlain ? "plain" : "model",
            "keeps_states_on_disk": .bool(hasFolder),
            "defaults": [
                "temperature": .double(defaults.temperature), "top_p": .double(defaults.topP),
                "top_k": .int(defaults.topK), "min_p": .double(defaults.minP),
                "repetition_penalty": .double(defaults.repetitionPenalty),
                "repetition_window": .int(defaults.repetitionWindow),
                "completion_max_tokens": .int(
                    engine.model.defaultMaxTokens ?? CompletionRequest.defaultMaxTokens),
                "chat_max_tokens": .int(engine.model.defaultMaxTokens ?? CompletionRequest.defaultChatTokens),
            ],
        ]
    }
}

extension HTTPField.Name {
    static let contentTypeOptions = HTTPField.Name("X-Content-Type-Options") ?? .via
    static let referrerPolicy = HTTPField.Name("Referrer-Policy") ?? .via
    static let openerPolicy = HTTPField.Name("Cross-Origin-Opener-Policy") ?? .via
}
