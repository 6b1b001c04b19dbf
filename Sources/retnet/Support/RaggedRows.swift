import Foundation
import RetNetSettings

/// Rows of token ids of any lengths, as read from a JSON file.
struct RaggedRows {
    /// The rows in order.
    let rows: [[Int32]]
    /// Where they were read, for messages.
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
