import Foundation
import RetNetStorage

/// What a model of the hub is fetched for, which decides the files that are needed.
public enum HubPurpose: Sendable, Equatable {
    /// Everything that loading a model needs.
    case model
    /// The files of the tokenizer alone.
    case tokenizer
    /// The configuration alone.
    case configuration

    /// Returns why a folder with these names cannot serve; nil if it can.
    func missing(in folder: String, names: [String]) -> String? {
        switch self {
        case .configuration: return names.contains("config.json") ? nil : "it has no config.json"
        case .tokenizer:
            return names.contains(where: FileSelection.isTokenizer) ? nil : "it has no files of a tokenizer"
        case .model:
            for name in names where name.hasSuffix(".index.json") {
                for shard in Self.shards(folder + "/" + name)
                where !FileManager.default.fileExists(atPath: folder + "/" + shard) {
                    return "'\(shard)' is missing"
                }
            }
            // A link without its contents is no file.
            return names.contains { name in
                FileSelection.isWeights(name) && FileManager.default.fileExists(atPath: folder + "/" + name)
            } ? nil : "it has no weights"
        }
    }

    /// Returns the files that an index lists; none if it cannot be read, which loading reports better.
    private static func shards(_ path: String) -> Set<String> {
        var shards: Set<String> = []
        try? MappedFile(path: path).withUnsafeBytes { bytes in
            var scanner = try JSONScanner(bytes)
            try scanner.readObject { scanner, key in
                guard key == "weight_map" else { return try scanner.skipValue() }
                try scanner.readObject { scanner, _ in shards.insert(try scanner.readString()) }
            }
        }
        return shards
    }
}

/// A choice among the files of a model.
public struct FileSelection: Sendable, Equatable {
    /// Patterns of the files to fetch; none means those that are needed.
    public var include: [String]
    /// Patterns of files to leave out.
    public var exclude: [String]

    /// Creates a choice by patterns in the manner of a shell, in which `*` also stands for `/`.
    public init(include: [String] = [], exclude: [String] = []) {
        self.include = include
        self.exclude = exclude
    }

    /// Returns the files to fetch, in the given order.
    public func selected(from files: [String], for purpose: HubPurpose = .model) -> [String] {
        let chosen =
            include.isEmpty
            ? Self.needed(files, for: purpose)
            : files.filter { file in include.contains { Self.matches(file, $0) } }
        return chosen.filter { file in !exclude.contains { Self.matches(file, $0) } }
    }

    /// Returns the files at the top of a repository that loading needs: of weights in several forms those in safetensors.
    private static func needed(_ files: [String], for purpose: HubPurpose) -> [String] {
        let top = files.filter { !$0.contains("/") }
        switch purpose {
        case .configuration:
            return top.filter { $0.hasSuffix(".json") && !$0.hasSuffix(".index.json") && !isTokenizer($0) }
        case .tokenizer: return top.filter { isTokenizer($0) || $0 == "config.json" }
        case .model: break
        }
        let hasModel = top.contains { $0.hasPrefix("model") && $0.hasSuffix(".safetensors") }
        let hasSafetensors = top.contains { $0.hasSuffix(".safetensors") }
        let hasBin = top.contains { $0.hasPrefix("pytorch_model") && $0.hasSuffix(".bin") }
        return top.filter { name in
            if unused.contains(where: { matches(name, $0) }) { return false }
            if name.hasSuffix(".safetensors") || name.hasSuffix(".safetensors.index.json") {
                return !hasModel || name.hasPrefix("model")
            }
            if isWeights(name) || name.hasSuffix(".bin.index.json") {
                return !hasSafetensors && (!hasBin || name.hasPrefix("pytorch_model"))
            }
            return true
        }
    }

    /// What is left out by default: weights of other libraries, states of trainers, pictures.
    public static let unused = [
        "*.onnx", "*.onnx_data", "*.h5", "*.msgpack", "*.ot", "*.gguf", "*.ggml", "*.tflite", "*.mlmodel",
        "*.npz",
        "optimizer*", "scheduler*", "rng_state*", "trainer_state*", "training_args*", "events.out.tfevents*",
        "*.png",
        "*.jpg", "*.jpeg", "*.gif", "*.webp", "*.svg", "*.mp4", "*.pdf", "*.zip", "*.gz", "*.tar",
        "*.parquet", ".git*",
    ]

    /// Returns true if a file of this name holds weights.
    static func isWeights(_ name: String) -> Bool {
        [".safetensors", ".bin", ".pt", ".pth", ".ckpt"].contains { name.hasSuffix($0) }
            && !unused.contains { matches(name, $0) }
    }

    /// Returns true if a file of this name belongs to a tokenizer.
    static func isTokenizer(_ name: String) -> Bool {
        [
            "tokenizer*", "vocab*", "merges.txt", "spiece.model", "sentencepiece*", "*.tiktoken",
            "special_tokens_map.json",
            "added_tokens.json", "dict.txt",
        ].contains { matches(name, $0) }
    }

    /// Returns true if a path matches a pattern of `*`, `?` and `[…]`, as Python's fnmatch does.
    public static func matches(_ path: String, _ pattern: String) -> Bool {
        // A folder means everything in it, as for the hub's own client.
        let pattern = pattern.hasSuffix("/") ? pattern + "*" : pattern
        return matches(Array(path.unicodeScalars), Array(pattern.unicodeScalars))
    }

    private static func matches(_ text: [Unicode.Scalar], _ pattern: [Unicode.Scalar]) -> Bool {
        var (place, next) = (0, 0)
        // Where the last star was, and how much of the text it stands for: the only point to come back to.
        var star: (next: Int, place: Int)?
        while place < text.count {
            if next < pattern.count, pattern[next] == "*" {
                star = (next + 1, place)
                next += 1
                continue
            }
            if next < pattern.count, let length = width(of: pattern, at: next, matching: text[place]) {
                next += length
                place += 1
                continue
            }
            guard let last = star else { return false }
            star = (last.next, last.place + 1)
            (next, place) = (last.next, last.place + 1)
        }
        return pattern[next...].allSatisfy { $0 == "*" }
    }

    /// Returns the length of the element of a pattern if it matches a scalar.
    private static func width(of pattern: [Unicode.Scalar], at start: Int, matching scalar: Unicode.Scalar)
        -> Int?
    {
        guard pattern[start] == "[" else {
            return pattern[start] == "?" || pattern[start] == scalar ? 1 : nil
        }
        var index = start + 1
        let isNegated = index < pattern.count && pattern[index] == "!"
        if isNegated { index += 1 }
        var isFound = false
        let first = index
        while index < pattern.count, pattern[index] != "]" || index == first {
            if index + 2 < pattern.count, pattern[index + 1] == "-", pattern[index + 2] != "]" {
                isFound = isFound || (pattern[index] <= scalar && scalar <= pattern[index + 2])
                index += 3
            } else {
                isFound = isFound || pattern[index] == scalar
                index += 1
            }
        }
        // Without its end the bracket means itself.
        guard index < pattern.count else { return scalar == "[" ? 1 : nil }
        return isFound != isNegated ? index + 1 - start : nil
    }
}
