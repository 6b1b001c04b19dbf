import Foundation
import RetNetStorage
import RetNetText

/// A folder of corpora: WikiText-2 and novels to learn from, held-out novels, meetings, reports and scripts to test.
///
///     lm/wikitext-2/{train.txt.gz, valid.txt}     lm/novels/{train, valid, test}/*.txt.gz
///     long/{qmsum_test.jsonl.gz, govreport_leval.jsonl, summscreen_leval.jsonl}
///
/// The same folder may have `glue`, `superglue`, `eval` and `qa`, whose tasks the recipes of T5 fine-tune on.
///
/// The domains follow the out-of-domain texts of RetNet's Tables 5 and 6; PG22 is replaced by the test novels.
public struct CorporaFolder {
    private let folder: String

    /// The folder; nothing is read yet.
    public init(_ folder: String) { self.folder = folder }

    /// The texts of a scale: a part of the training text for `tiny`, and at most so many bytes of every test text.
    public func texts(scale: ExperimentScale) throws -> ExperimentTexts {
        let trainingLimit = scale == .tiny ? 24_000_000 : Int.max
        let testLimit = scale == .tiny ? 60_000 : 1_000_000
        let novels = try files("lm/novels/train")
        var documents = [try text("lm/wikitext-2/train.txt.gz")]
        var byteCount = documents[0].utf8.count
        for path in novels where byteCount < trainingLimit {
            documents.append(try Self.read(path))
            byteCount += documents[documents.count - 1].utf8.count
        }
        let validation =
            [try text("lm/wikitext-2/valid.txt")] + (try files("lm/novels/valid").map { try Self.read($0) })
        return ExperimentTexts(
            training: try stream(documents, limit: trainingLimit),
            validation: try stream(validation, limit: testLimit),
            domains: [
                (
                    "novels",
                    try stream(try files("lm/novels/test").map { try Self.read($0) }, limit: testLimit)
                ),
                ("QMSum", try stream(try meetings(), limit: testLimit)),
                ("GovReport", try stream(try inputs("long/govreport_leval.jsonl"), limit: testLimit)),
                ("SummScreen", try stream(try inputs("long/summscreen_leval.jsonl"), limit: testLimit)),
            ],
            origin:
                "WikiText-2 and \(documents.count - 1) novels to learn from; held-out parts of both in domain;"
                + " six other novels, QMSum, GovReport and SummScreen out of domain; all as bytes.",
            taskFolder: folder)
    }

    /// Documents as bytes; each contributes an equal share of the limit.
    private func stream(_ documents: [String], limit: Int) throws -> TokenStream {
        let share = limit == Int.max ? Int.max : max(1, limit / documents.count)
        return try TokenStream(
            texts: documents.map { document in
                document.utf8.count <= share
                    ? document : String(decoding: document.utf8.prefix(share), as: UTF8.self)
            }, tokenizer: ByteTokenizer())
    }

    private func files(_ name: String) throws -> [String] {
        try Corpus(path: "\(folder)/\(name)").files.map(\.path)
    }

    private func text(_ name: String) throws -> String { try Self.read("\(folder)/\(name)") }

    private func meetings() throws -> [String] {
        try objects("long/qmsum_test.jsonl.gz").map { object in
            let turns = object["meeting_transcripts"] as? [[String: Any]] ?? []
            return turns.map { "\($0["speaker"] as? String ?? ""): \($0["content"] as? String ?? "")" }
                .joined(separator: "\n")
        }.filter { !$0.isEmpty }
    }

    private func inputs(_ name: String) throws -> [String] {
        let texts = try objects(name).compactMap { $0["input"] as? String }
        return texts.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private func objects(_ name: String) throws -> [[String: Any]] {
        // Only line feeds separate lines: texts may hold other line separators.
        try text(name).utf8.split(separator: 0x0A).enumerated().map { index, line in
            guard let object = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any] else {
                throw ExperimentError.unusable("\(folder)/\(name), line \(index + 1), is not a JSON object")
            }
            return object
        }
    }

    private static func read(_ path: String) throws -> String {
        var bytes: [UInt8] = []
        if path.hasSuffix(".gz") {
            try Gzip.decompress(file: path) { bytes.append(contentsOf: $0) }
        } else {
            try MappedFile(path: path).withUnsafeBytes { bytes = Array($0) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
