import Foundation
import RetNetCommandLine
import RetNetStorage

/// Rows of token ids of equal length from a JSON file.
struct TokenRows {
    /// The number of rows.
    let count: Int
    /// The number of tokens of each row.
    let length: Int
    /// The ids of each row.
    let rows: [[Int32]]
    private let source: String

    /// Reads a JSON array of arrays; `-` is standard input.
    init(path: String) throws {
        let ragged = try RaggedRows(path: path)
        source = ragged.source
        count = ragged.rows.count
        length = ragged.rows.first?.count ?? 0
        for (index, row) in ragged.rows.enumerated() where row.count != length {
            throw CommandError(
                "\(source): rows must have one length, but row 0 has \(length) tokens and row \(index) has"
                    + " \(row.count)")
        }
        rows = ragged.rows
    }

    /// Throws if an id is outside the vocabulary.
    func check(vocabularySize: Int) throws {
        for (index, row) in rows.enumerated() {
            guard let bad = row.firstIndex(where: { $0 < 0 || Int($0) >= vocabularySize }) else { continue }
            throw CommandError(
                "\(source): row \(index), token \(bad) is \(row[bad]), outside the vocabulary of"
                    + " \(vocabularySize) tokens (0 to \(vocabularySize - 1))")
        }
    }
}

/// Rows of token ids of any lengths from a JSON file.
struct RaggedRows {
    /// The rows in order.
    let rows: [[Int32]]
    /// The source, for messages.
    let source: String

    /// Reads a JSON array of arrays; `-` is standard input.
    init(path: String) throws {
        let source = path == "-" ? "standard input" : "'\(path)'"
        self.source = source
        // Not as a tree of settings: that would take fifty times the memory of the file.
        rows = try TextInput.data(path).withUnsafeBytes { bytes in
            do {
                var scanner = try JSONScanner(bytes)
                scanner.skipByteOrderMark()
                let rows = try Self.rows(&scanner, source)
                try scanner.finish()
                return rows
            } catch let fault as JSONFault {
                switch fault {
                case .notUTF8(let offset): throw CommandError("\(source) is not UTF-8 text at byte \(offset)")
                case .syntax(let offset, let reason), .wrongKind(let offset, let reason):
                    throw CommandError("\(source) is not JSON at byte \(offset): \(reason)")
                case .duplicateName(let name, let offset):
                    throw CommandError("\(source) is not JSON at byte \(offset): '\(name)' occurs twice")
                }
            }
        }
        guard !rows.isEmpty else { throw Self.noRows(source) }
    }

    private static func noRows(_ source: String) -> CommandError {
        CommandError("\(source) must hold a JSON array of rows, such as [[1, 2, 3], [4, 5]]")
    }

    private static func rows(_ scanner: inout JSONScanner, _ source: String) throws -> [[Int32]] {
        let bracket = UInt8(ascii: "[")
        guard scanner.peek() == bracket else {
            // What is no JSON at all is named as such.
            try scanner.skipValue()
            try scanner.finish()
            throw noRows(source)
        }
        var rows: [[Int32]] = []
        try scanner.readArray { scanner in
            let index = rows.count
            guard scanner.peek() == bracket else {
                try scanner.skipValue()
                throw CommandError("\(source): row \(index) is not an array of token ids")
            }
            var row: [Int32] = []
            try scanner.readArray { scanner in
                // Only for an error: a text per token would take most of the time.
                func place() -> String { "\(source): row \(index), token \(row.count)" }
                guard let number = try integer(&scanner) else {
                    throw CommandError("\(place()) is not a whole number")
                }
                guard let id = Int32(exactly: number) else {
                    throw CommandError("\(place()) is \(number), outside every vocabulary")
                }
                row.append(id)
            }
            guard !row.isEmpty else { throw CommandError("\(source): row \(index) is empty") }
            rows.append(row)
        }
        return rows
    }

    /// Returns the next value if it is a whole number.
    private static func integer(_ scanner: inout JSONScanner) throws -> Int? {
        switch scanner.peek() {
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            try scanner.skipValue()
            return nil
        default:
            guard case .int(let number) = try scanner.readScalar() else { return nil }
            return number
        }
    }
}
