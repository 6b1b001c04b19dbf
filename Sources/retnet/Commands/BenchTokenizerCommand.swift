import ArgumentParser
import Foundation
import RetNetCommandLine
import RetNetReporting
import RetNetSettings
import RetNetText

/// `retnet bench tokenizer`: loading and encoding on one thread.
struct BenchTokenizerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenizer",
        abstract: "Measure the loading of a tokenizer and the encoding and decoding of text, on one thread.",
        discussion: """
            The text is encoded as a whole and line by line. Benchmarks/tokenizers/compare.py puts the library of Hugging \
            Face beside it.
            """)

    @OptionGroup var choice: TokenizerOptions

    @Option(help: ArgumentHelp("Text to encode.", valueName: "file"))
    var data: String

    @Option(parsing: .unconditional, help: "Timed repetitions.", transform: Arguments.positive)
    var repetitions = 5

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let text = Array(try TextInput.text(data).utf8)
        guard !text.isEmpty else { throw CommandError("'\(data)' is empty: give a file with text") }
        let loading = try Self.seconds(repetitions) { _ = try choice.load() }
        let tokenizer = try choice.load()
        var (tokens, lineTokenCount): ([Int32], Int) = ([], 0)
        // Fills the word cache.
        _ = text.withUnsafeBytes { tokenizer.encode(utf8: $0) }
        let whole = Self.seconds(repetitions) {
            tokens = text.withUnsafeBytes { tokenizer.encode(utf8: $0) }
        }
        let lines = Self.seconds(repetitions) {
            lineTokenCount = Self.encodeLines(text, tokenizer)
        }
        let decoding = Self.seconds(repetitions) { _ = tokenizer.decode(tokens) }
        func speed(_ seconds: Double) -> Double { Double(text.count) / seconds / 1e6 }
        guard json else {
            func line(_ name: String, _ seconds: Double) -> String {
                "\(name) \(String(format: "%.1f", speed(seconds))) MB/s"
            }
            Console.result(
                "\(tokenizer.identity): loaded in \(String(format: "%.3f", loading)) s, "
                    + "\(Format.grouped(tokens.count)) tokens of \(Format.grouped(text.count)) bytes; "
                    + [line("encoding", whole), line("line by line", lines), line("decoding", decoding)]
                    .joined(separator: ", "))
            return
        }
        try Console.json(
            .ordered([
                ("benchmark", .string("tokenizer")), ("tokenizer", .string(tokenizer.identity)),
                ("bytes", .int(text.count)), ("tokens", .int(tokens.count)),
                ("line_tokens", .int(lineTokenCount)),
                ("load_seconds", .double(loading)), ("encode_mb_per_second", .double(speed(whole))),
                ("encode_lines_mb_per_second", .double(speed(lines))),
                ("decode_mb_per_second", .double(speed(decoding))), ("repetitions", .int(repetitions)),
            ]))
    }

    /// Returns the median of the seconds of several runs.
    private static func seconds(_ repetitions: Int, _ body: () throws -> Void) rethrows -> Double {
        let clock = ContinuousClock()
        var times: [Double] = []
        for _ in 0..<repetitions {
            let start = clock.now
            try body()
            times.append((clock.now - start) / .seconds(1))
        }
        times.sort()
        let middle = times.count / 2
        return times.count % 2 == 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2
    }

    private static func encodeLines(_ text: [UInt8], _ tokenizer: any Tokenizer) -> Int {
        text.withUnsafeBytes { bytes in
            var (start, count) = (0, 0)
            while start < bytes.count {
                let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
                count += tokenizer.encode(utf8: UnsafeRawBufferPointer(rebasing: bytes[start..<end])).count
                start = end + 1
            }
            return count
        }
    }
}
