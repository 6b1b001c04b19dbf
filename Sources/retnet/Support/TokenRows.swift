/// Rows of token ids of one length, as read from a JSON file.
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

    /// Throws where an id is outside the vocabulary.
    func check(vocabularySize: Int) throws {
        guard let bad = values.firstIndex(where: { $0 < 0 || $0 >= vocabularySize }) else { return }
        throw CommandError(
            "\(source): row \(bad / length), token \(bad % length) is \(values[bad]), outside the vocabulary of"
                + " \(vocabularySize) tokens (0 to \(vocabularySize - 1))")
    }
}
