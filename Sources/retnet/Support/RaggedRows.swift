import Foundation
import Settings

/// Rows of token ids of any lengths, as read from a JSON file.
struct RaggedRows {
    /// The rows in order.
    let rows: [[Int32]]

    /// Reads a JSON array of arrays; `-` is standard input.
    init(path: String) throws {
        let source = path == "-" ? "standard input" : "'\(path)'"
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
            guard let tokens = row.array, !tokens.isEmpty else {
                throw CommandError("\(source): row \(index) is not a list of token ids")
            }
            return try tokens.enumerated().map { column, token in
                guard let id = token.int.flatMap(Int32.init(exactly:)) else {
                    throw CommandError("\(source): row \(index), token \(column) is not a token id")
                }
                return id
            }
        }
    }
}
