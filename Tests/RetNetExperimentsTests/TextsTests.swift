import Foundation
import RetNetStorage
import RetNetTestSupport
import Testing

@testable import RetNetExperiments

@Suite struct TextsTests {
    /// Writes a file; creates its folder if it does not exist.
    private func write(_ text: String, _ name: String, in folder: URL) throws {
        let file = folder.appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        let data = Data(text.utf8)
        try (name.hasSuffix(".gz") ? Gzip.compress(data) : data).write(to: file)
    }

    private func makeCorpora(in folder: URL) throws {
        let text = String(repeating: "Once upon a time there was a fox. ", count: 20)
        try write(text, "lm/wikitext-2/train.txt.gz", in: folder)
        try write(text + "Held out.", "lm/wikitext-2/valid.txt", in: folder)
        for part in ["train", "valid", "test"] {
            try write(text + part, "lm/novels/\(part)/A.txt.gz", in: folder)
        }
        try write(
            #"{"meeting_transcripts": [{"speaker": "A", "content": "Hello\u2028there."}]}"# + "\n",
            "long/qmsum_test.jsonl.gz", in: folder)
        for name in ["govreport", "summscreen"] {
            try write(
                #"{"input": "A report."}"# + "\n" + #"{"input": "A report."}"# + "\n",
                "long/\(name)_leval.jsonl",
                in: folder)
        }
    }

    @Test("A folder of corpora gives training, held-out and four other texts")
    func corpora() throws {
        try withFolder(created: false) { folder in
            try makeCorpora(in: folder)
            let texts = try CorporaFolder(folder.path).texts(scale: .tiny)
            #expect(texts.domains.map(\.name) == ["novels", "QMSum", "GovReport", "SummScreen"])
            #expect(texts.training.documentCount == 2)
            #expect(texts.validation.documentCount == 2)
            // Repeated documents count once.
            #expect(texts.domains[2].stream.documentCount == 1)
            let meeting = try texts.domains[1].stream.tokens(in: 1..<texts.domains[1].stream.tokenCount)
            #expect(String(decoding: meeting.map { UInt8($0) }, as: UTF8.self) == "A: Hello\u{2028}there.")
            #expect(texts.origin.contains("WikiText-2 and 1 novels"))
        }
    }

    @Test("An error names the path of a missing corpus")
    func missing() throws {
        try withFolder(created: false) { folder in
            try makeCorpora(in: folder)
            try FileManager.default.removeItem(
                at: folder.appendingPathComponent("long/govreport_leval.jsonl"))
            do {
                _ = try CorporaFolder(folder.path).texts(scale: .tiny)
                Issue.record("it was accepted")
            } catch {
                #expect("\(error)".contains("govreport_leval.jsonl"))
            }
            try write("[1]\nx", "long/govreport_leval.jsonl", in: folder)
            #expect(
                errorText(ExperimentError.self) { try CorporaFolder(folder.path).texts(scale: .tiny) }
                    .contains("is not a JSON object: expected one object per line"))
            // A record without its text is named, not left out.
            for (name, lines) in [
                ("govreport_leval.jsonl", "{\"input\": \"A report.\"}\n\n{\"text\": \"Another.\"}\n"),
                ("qmsum_test.jsonl.gz", "\n\n{\"meeting_transcripts\": [{\"speaker\": \"A\"}]}\n"),
            ] {
                try makeCorpora(in: folder)
                try write(lines, "long/\(name)", in: folder)
                let error = #expect(throws: ExperimentError.self) {
                    try CorporaFolder(folder.path).texts(scale: .tiny)
                }
                #expect(error?.description.contains("line 3 of '\(folder.path)/long/\(name)' has no") == true)
            }
        }
    }

    @Test("Files are read with a held-out tenth or separate validation text")
    func files() throws {
        try withFolder(created: false) { folder in
            try write(String(repeating: "abcdefghij", count: 100), "train.txt", in: folder)
            try write("held out", "valid.txt", in: folder)
            let (train, valid) = (folder.path + "/train.txt", folder.path + "/valid.txt")
            let split = try ExperimentTexts.files(training: [train], validation: [], domains: [])
            #expect(split.validation.tokenCount == 101)
            #expect(split.origin.contains("a tenth"))
            let named = try ExperimentTexts.files(
                training: [train], validation: [valid], domains: [("v", valid)])
            #expect(named.validation.tokenCount == 9)
            #expect(named.domains.map(\.name) == ["v"])
            #expect(named.fingerprint != split.fingerprint)
            #expect(
                errorText(ExperimentError.self) {
                    try ExperimentTexts.files(
                        training: [train], validation: [valid], domains: [("v", valid), ("v", train)])
                }.contains("two domains have the name 'v'"))
        }
    }

    @Test("Generated stories are the same every time, and their origin is stated")
    func stories() throws {
        let texts = try ExperimentTexts.stories(byteCount: 10_000)
        #expect(texts.origin.contains("No text was given"))
        #expect(texts.domains.count == 2)
        #expect(try ExperimentTexts.stories(byteCount: 10_000).fingerprint == texts.fingerprint)
        #expect(try ExperimentTexts.none().training.tokenCount > 1)
    }
}
