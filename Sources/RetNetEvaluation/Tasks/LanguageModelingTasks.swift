import Foundation
import RetNetStorage

/// LAMBADA and WikiText, each as its YAML file in the harness declares it.
extension EvaluationTask {
    static let languageModeling: [EvaluationTask] = [
        lambada("openai", ("EleutherAI/lambada_openai", "default"), [.test], ["lambada"]),
        lambada("standard", ("cimec/lambada", nil), [.validation, .test], []), wikitext,
    ]

    /// `tasks/lambada/lambada_openai.yaml` and `lambada_standard.yaml`: everything behind the last space is the target.
    private static func lambada(
        _ name: String, _ dataset: (String, String?), _ splits: [Split], _ fileNames: [String]
    ) -> EvaluationTask {
        EvaluationTask(
            "lambada_\(name)", dataset: dataset, splits: splits, fileNames: fileNames, kind: .logLikelihood,
            metrics: [.perplexity, .accuracy], fields: "text; or context, target"
        ) { document throws(MalformedExample) in
            let text =
                document.has("text") || !document.has("context")
                ? try document.text("text")
                : try document.text("context") + " " + (try document.text("target"))
            let bytes = Array(text.utf8)
            let space = bytes.lastIndex(of: UInt8(ascii: " "))
            let word = String(decoding: bytes[(space.map { $0 + 1 } ?? 0)...], as: UTF8.self)
            return .continuation(
                context: String(decoding: bytes[..<(space ?? 0)], as: UTF8.self), target: " " + word)
        }
    }

    /// `tasks/wikitext/wikitext.yaml` with `preprocess_wikitext.py`.
    private static let wikitext = EvaluationTask(
        "wikitext", version: "2.0", dataset: ("EleutherAI/wikitext_document_level", "wikitext-2-raw-v1"),
        splits: [.train, .validation, .test], fileNames: ["wikitext-2", "wiki"], kind: .rolling,
        metrics: [.wordPerplexity, .bytePerplexity, .bitsPerByte],
        fields: "page; or a plain text file with headings of the form ' = Title = '"
    ) { document throws(MalformedExample) in
        let page = try document.text("page")
        return .text(WikiText.detokenized(page), original: page)
    }
}

/// The conventions of WikiText: how its articles are told apart and how its tokens become text.
enum WikiText {
    /// Returns the articles of a plain text, which begin with headings of the form ` = Title = `.
    ///
    /// The rule of the script of EleutherAI/wikitext_document_level.
    static func pages(_ text: String) -> [String] {
        var pages: [String] = []
        var lines: [String] = []
        func close() {
            let page = lines.joined(separator: "\n")
            if !PythonText.stripped(page).isEmpty { pages.append(page) }
            lines = []
        }
        for bytes in text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false) {
            let line = String(decoding: bytes, as: UTF8.self)
            if isTitle(line) { close() }
            lines.append(line)
        }
        close()
        return pages
    }

    private static func isTitle(_ line: String) -> Bool {
        guard line.utf8.starts(with: " = ".utf8) else { return false }
        var line = PythonText.replacing(line, "= = =", with: "===")
        line = PythonText.replacing(line, "= =", with: "==")
        return line.utf8.starts(with: " = ".utf8)
            && PythonText.stripped(line).utf8.suffix(2).elementsEqual(" =".utf8)
    }

    /// Returns `wikitext_detokenizer`: the text without the spaces that tokenization has put in.
    static func detokenized(_ page: String) -> String {
        var text = PythonText.replacing(page, "s '", with: "s'")
        text = withLiteralDigits(text)
        for (old, new) in separators { text = PythonText.replacing(text, old, with: new) }
        for (open, close) in pairs { text = trimmingInside(text, open, close) }
        for (old, new) in rest { text = PythonText.replacing(text, old, with: new) }
        return text
    }

    private static let separators = [
        (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."), (" : ", ": "), (" ; ", "; "), (" . ", ". "),
        (" ! ", "! "), (" ? ", "? "), (" , ", ", "),
    ]
    private static let pairs: [(Unicode.Scalar, Unicode.Scalar)] = [
        ("(", ")"), ("[", "]"), ("{", "}"), ("\"", "\""), ("'", "'"),
    ]
    private static let rest = [
        ("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" \u{B0} ", "\u{B0}"), (" \n", "\n"),
        ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s"),
    ]

    /// Returns `re.sub(r"/' [0-9]/", r"/'[0-9]/", text)`, which writes the class of the digits, not the digit.
    private static func withLiteralDigits(_ text: String) -> String {
        var text = text
        for digit in 0...9 { text = PythonText.replacing(text, "/' \(digit)/", with: "/'[0-9]/") }
        return text
    }

    /// Returns the text without white space behind each opening mark and before the next closing one.
    ///
    /// As `re.sub(r"\\(\\s*([^\\)]*?)\\s*\\)", r"(\\1)", text)` for parentheses.
    private static func trimmingInside(_ text: String, _ open: Unicode.Scalar, _ close: Unicode.Scalar)
        -> String
    {
        let scalars = Array(text.unicodeScalars)
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(scalars.count)
        var index = 0
        while let start = scalars[index...].firstIndex(of: open),
            let end = scalars[(start + 1)...].firstIndex(of: close)
        {
            result += scalars[index...start]
            var inside = scalars[(start + 1)..<end]
            while let first = inside.first, PythonText.isSpace(first) { inside.removeFirst() }
            while let last = inside.last, PythonText.isSpace(last) { inside.removeLast() }
            result += inside
            result.append(close)
            index = end + 1
        }
        result += scalars[index...]
        return PythonText.string(result)
    }
}
