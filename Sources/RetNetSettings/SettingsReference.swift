extension SettingsRow {
    /// Returns the rows as a Markdown table with the columns Setting, Values, Default, Description and Condition.
    ///
    /// The column Condition is omitted if no row has a condition.
    public static func markdownTable(_ rows: [SettingsRow]) -> String {
        let hasConditions = rows.contains { $0.condition != nil }
        let header = ["Setting", "Values", "Default", "Description"] + (hasConditions ? ["Condition"] : [])
        let cells = rows.map { row in
            let cells = [
                code(row.path), escaped(row.values), row.defaultText.map(code) ?? "", escaped(row.help),
            ]
            return cells + (hasConditions ? [row.condition.map(code) ?? ""] : [])
        }
        let rule = header.map { _ in "---" }
        return ([header, rule] + cells).map { "| " + $0.joined(separator: " | ") + " |\n" }.joined()
    }

    /// A text between backticks; more of them where the text contains backticks itself.
    private static func code(_ text: String) -> String {
        text.contains("`") ? "`` \(escaped(text)) ``" : "`\(escaped(text))`"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("|", with: "\\|").replacing("\n", with: " ")
    }
}
