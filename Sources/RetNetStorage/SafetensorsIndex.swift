/// The contents of a `model.safetensors.index.json`.
struct SafetensorsIndex: Equatable {
    /// The shard of each tensor.
    let shards: [String: String]
    /// Those values of `metadata` that are texts.
    let metadata: [String: String]

    /// Parses an index; throws `SafetensorsIndexFault`.
    static func parse(_ bytes: UnsafeRawBufferPointer) throws -> SafetensorsIndex {
        if let offset = UTF8Text.firstInvalidOffset(bytes) {
            throw SafetensorsIndexFault.notUTF8(byteOffset: offset)
        }
        var shards: [String: String]?
        var metadata: [String: String] = [:]
        do {
            var scanner = JSONScanner(bytes)
            try scanner.readObject { scanner, key in
                switch key {
                case "weight_map": shards = try readWeightMap(&scanner)
                case "metadata": metadata = try readMetadata(&scanner)
                default: try scanner.skipValue()
                }
            }
            try scanner.finish()
        } catch let fault as JSONFault {
            throw translated(fault)
        }
        guard let shards else { throw SafetensorsIndexFault.noWeightMap }
        return SafetensorsIndex(shards: shards, metadata: metadata)
    }

    /// The text of an index.
    static func text(
        shards: [(name: String, shard: String)], totalByteCount: Int, metadata: [String: String]
    ) -> String {
        // The size is a number in every index in circulation, so a text of that key cannot be kept.
        let texts = metadata.filter { $0.key != "total_size" }.sorted { $0.key < $1.key }
            .map { ",\n    \(UTF8Text.quoted($0.key)): \(UTF8Text.quoted($0.value))" }.joined()
        let map = shards.map { "    \(UTF8Text.quoted($0.name)): \(UTF8Text.quoted($0.shard))" }
            .joined(separator: ",\n")
        return "{\n  \"metadata\": {\n    \"total_size\": \(totalByteCount)\(texts)\n  },\n"
            + "  \"weight_map\": {\n\(map)\n  }\n}\n"
    }

    private static func readWeightMap(_ scanner: inout JSONScanner) throws -> [String: String] {
        var shards: [String: String] = [:]
        try scanner.readObject { scanner, name in
            let shard = try scanner.readString()
            guard isPlainName(shard) else { throw SafetensorsIndexFault.unsafeShardName(shard: shard) }
            shards[name] = shard
        }
        return shards
    }

    private static func readMetadata(_ scanner: inout JSONScanner) throws -> [String: String] {
        var metadata: [String: String] = [:]
        // Some writers leave out the metadata by writing null.
        guard scanner.peek() == UInt8(ascii: "{") else {
            try scanner.skipValue()
            return metadata
        }
        try scanner.readObject { scanner, key in
            if scanner.peek() == UInt8(ascii: "\"") {
                metadata[key] = try scanner.readString()
            } else {
                try scanner.skipValue()
            }
        }
        return metadata
    }

    private static func isPlainName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".."
            && !name.utf8.contains(UInt8(ascii: "/")) && !name.utf8.contains(0)
    }

    private static func translated(_ fault: JSONFault) -> SafetensorsIndexFault {
        switch fault {
        case .syntax(let offset, let reason): return .notJSON(byteOffset: offset, reason: reason)
        case .wrongKind(let offset, let reason): return .wrongForm(byteOffset: offset, reason: reason)
        case .duplicateKey(let key, _): return .duplicateName(name: key)
        }
    }
}
