import Foundation
import RetNetSettings

/// Rows of token ids of equal length from a JSON file.
struct TokenRows {
    /// The number of rows.
    let count: Int
    /// The number of tokens of each row.
    let length: Int
    /// All ids, row after row.
    let values: [Int64]
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
        values = ragged.rows.flatMap { $0.map(Int64.init) }
    }

    /// Throws if an id is outside the vocabulary.
    func check(vocabularySize: Int) throws {
        guard let bad = values.firstIndex(where: { $0 < 0 || $0 >= vocabularySize }) else { return }
        throw CommandError(
            "\(source): row \(bad / length), token \(bad % length) is \(values[bad]), outside the vocabulary of"
                + " \(vocabularySize) tokens (0 to \(vocabularySize - 1))")
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
        let data = try TextInput.data(path)
        guard let text = String(validatingUTF8Data: data) else {
            throw CommandError("\(source) is not UTF-8 text")
        }
        let tree: SettingsTree
        do {
            tree = try SettingsTree(json: text)
        } catch {
            throw CommandError("\(source) is not JSON: \(error)")
        }
        guard let elements = tree.array, !elements.isEmpty else {
            throw CommandError("\(source) must hold a JSON array of rows, such as [[1, 2, 3], [4, 5]]")
        }
        rows = try elements.enumerated().map { index, row in
            guard let tokens = row.array else {
                throw CommandError("\(source): row \(index) is not an array of token ids")
            }
            guard !tokens.isEmpty else { throw CommandError("\(source): row \(index) is empty") }
            return try tokens.enumerated().map { column, token in
                guard case .int(let number) = token else {
                    throw CommandError("\(source): row \(index), token \(column) is not a whole number")
                }
                guard let id = Int32(exactly: number) else {
                    throw CommandError(
                        "\(source): row \(index), token \(column) is \(number), outside every vocabulary")
                }
                return id
            }
        }
    }
}
