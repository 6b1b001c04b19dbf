import RetNetStorage

/// What the files of a model folder say about its weights, without reading a tensor.
public struct StoredWeights: Sendable, Equatable {
    /// Tensors of one purpose.
    public struct Kind: Sendable, Equatable {
        /// `embedding`, `mixers`, `feed-forwards`, `norms`, `output` or `others`.
        public let name: String
        /// Number of values, without scales.
        public internal(set) var valueCount = 0
        /// Bytes in the files, scales included.
        public internal(set) var byteCount = 0
        /// The element types with their numbers of values, the most frequent first.
        public internal(set) var elementTypes: [ElementCount] = []
    }

    /// Values of one element type.
    public struct ElementCount: Sendable, Equatable {
        /// The element type, such as `float32` or `int4`.
        public let name: String
        /// Number of values.
        public var valueCount: Int
    }

    /// The kinds that the folder has, in the order in which a token meets them.
    public let kinds: [Kind]
    /// The number of bits to which matrices are rounded, such as `int8`; nil for others.
    public let scheme: String?
    /// What became of which tensors, in the words of the program that rounded them.
    public let policy: String?

    private static let names = ["embedding", "mixers", "feed-forwards", "norms", "output", "others"]

    /// Reads the headers of the files of a folder of this package; throws `StorageError`.
    public init(path: String) throws {
        let folder = try SafetensorsFolder(path: path)
        scheme = folder.metadata[SafetensorsFolder.roundingKey]
        policy = folder.metadata[ExactString(QuantizationScheme.policyKey)]
        let names = Set(folder.entries.map { ExactString($0.name) })
        var kinds: [String: Kind] = [:]
        for entry in folder.entries {
            let parts = entry.name.split(separator: ".").map(String.init)
            // Scales belong to the matrix that has their name.
            let base = parts.dropLast().joined(separator: ".")
            let isScale =
                (parts.last == "scales" || parts.last == "minima") && names.contains(ExactString(base))
            let name = Self.kind(isScale ? parts.dropLast() : parts)
            var kind = kinds[name] ?? Kind(name: name)
            kind.byteCount += entry.byteCount
            if !isScale {
                let isHalves =
                    entry.elementType == .uint8 && names.contains(ExactString(entry.name + ".minima"))
                // Cannot overflow: the file has half as many bytes.
                let count = entry.shape.reduce(1, *) * (isHalves ? 2 : 1)
                kind.valueCount += count
                let type = isHalves ? "int4" : Self.name(of: entry.elementType)
                if let index = kind.elementTypes.firstIndex(where: { $0.name == type }) {
                    kind.elementTypes[index].valueCount += count
                } else {
                    kind.elementTypes.append(ElementCount(name: type, valueCount: count))
                }
            }
            kinds[name] = kind
        }
        self.kinds = Self.names.compactMap { kinds[$0] }.map { kind in
            var kind = kind
            kind.elementTypes.sort { ($0.valueCount, $1.name) > ($1.valueCount, $0.name) }
            return kind
        }
    }

    /// Bytes of all tensors.
    public var byteCount: Int { kinds.reduce(0) { $0 + $1.byteCount } }
    /// Number of values of all tensors, without scales.
    public var valueCount: Int { kinds.reduce(0) { $0 + $1.valueCount } }
    /// The element types of all tensors with their numbers of values, the most frequent first.
    public var elementTypes: [ElementCount] {
        var counts: [String: Int] = [:]
        for type in kinds.flatMap(\.elementTypes) { counts[type.name, default: 0] += type.valueCount }
        return counts.map { ElementCount(name: $0.key, valueCount: $0.value) }
            .sorted { ($0.valueCount, $1.name) > ($1.valueCount, $0.name) }
    }

    private static func kind(_ parts: some Collection<String>) -> String {
        let parts = Array(parts)
        if parts.contains(where: { $0.hasSuffix("norm") }) { return "norms" }
        switch parts.first {
        case "embedding", "position_embedding", "shared": return "embedding"
        case "output", "lm_head": return "output"
        case "encoder", "decoder":
            if parts.contains("DenseReluDense") { return "feed-forwards" }
            if parts.contains("embed_tokens") { return "embedding" }
            return parts.contains { $0.hasSuffix("Attention") } ? "mixers" : "others"
        case "layers" where parts.count > 2:
            return parts[2] == "mixer" ? "mixers" : parts[2] == "feed_forward" ? "feed-forwards" : "others"
        default: return "others"
        }
    }

    /// Returns the element type's name in options and results.
    static func name(of type: StoredElementType) -> String {
        switch type {
        case .float64: "float64"
        case .float32: "float32"
        case .bfloat16: "bfloat16"
        case .float16: "float16"
        case .int8: "int8"
        default: type.rawValue
        }
    }
}
