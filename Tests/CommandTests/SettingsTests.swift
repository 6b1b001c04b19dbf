import Foundation
import Testing

@Suite struct SettingsTests {
    private func rows(_ arguments: String...) throws -> [[String: Any]] {
        let report = try succeed(["settings", "--json"] + arguments).json()
        return report.values.flatMap { $0 as? [[String: Any]] ?? [] }
    }

    @Test("The reference in the documentation is that of the command")
    func documentation() throws {
        let text = try succeed(["settings", "--markdown"]).output
        #expect(
            try repositoryText("Documentation/Settings.md") == text,
            "write it with `retnet settings --markdown`")
    }

    @Test("Every setting has a help text and allowed values")
    func texts() throws {
        let rows = try rows()
        #expect(rows.count > 50)
        for row in rows {
            let path = row["path"] as? String ?? ""
            let help = row["help"] as? String ?? ""
            #expect(!path.isEmpty && row["values"] as? String != "", "\(row)")
            #expect(help.hasSuffix(".") && help.first?.isLowercase == false, "\(path): \(help)")
            for opening in ["How ", "What ", "Whether ", "Where ", "When ", "Which "] {
                #expect(!help.hasPrefix(opening), "\(path): \(help)")
            }
        }
    }

    @Test("A beginning of paths limits the list, and an unknown one is refused")
    func prefix() throws {
        let paths = try rows("optimizer.").compactMap { $0["path"] as? String }
        #expect(paths.contains("optimizer.learning_rate"))
        #expect(paths.allSatisfy { $0.hasPrefix("optimizer.") })
        #expect(try succeed(["settings", "steps"]).output.contains("steps"))
        let unknown = try retnet("settings", "optimizer.learning_rat3")
        #expect(unknown.status == 1)
        #expect(unknown.errors.contains("did you mean 'optimizer.learning_rate'?"))
        #expect(try retnet("settings", "--json", "--markdown").status == 64)
    }
}
