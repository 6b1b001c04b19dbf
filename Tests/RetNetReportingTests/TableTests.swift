import Foundation
import RetNetTestSupport
import Testing

@testable import RetNetReporting

@Suite("Tables")
struct TableTests {
    @Test("Terminal tables align text left and numbers right")
    func textTable() {
        var table = TextTable(header: ["model", "params", "loss"])
        table.append(["retnet", "1.35B", "2.9"])
        table.append(["gpt", "125M", "-"])
        table.append(["short"])
        #expect(
            table.text() == """
                model   params  loss
                ------  ------  ----
                retnet   1.35B   2.9
                gpt       125M     -
                short

                """)
    }

    @Test("Alignments can be given")
    func alignments() {
        let table = TextTable(header: ["a", "bb"], rows: [["1", "x"]], alignments: [.left, .right])
        #expect(table.text() == "a  bb\n-  --\n1   x\n")
    }

    @Test("Markdown tables have aligned pipes and escape them in cells")
    func markdown() {
        var table = MarkdownTable(header: ["name", "n"])
        table.append(["a|b", "12"])
        table.append(["c\nd", "7", "extra"])
        #expect(
            table.text() == """
                | name   |   n |       |
                | ------ | --: | ----- |
                | a\\|b   |  12 |       |
                | c<br>d |   7 | extra |

                """)
    }

    @Test("Empty tables are valid")
    func empty() {
        #expect(TextTable(header: []).text() == "\n\n")
        #expect(MarkdownTable(header: ["a"]).text() == "| a   |\n| --- |\n")
    }

    @Test("CSV fields are quoted where needed")
    func csv() throws {
        var csv = CSV(header: ["step", "note"])
        csv.append(["1", "plain"])
        csv.append(["2", "a, \"b\"\nc"])
        csv.append([" padded", ""])
        csv.append([""])
        let expected = "step,note\n1,plain\n2,\"a, \"\"b\"\"\nc\"\n\" padded\",\n\"\"\n"
        #expect(csv.text() == expected)
        let folder = try TemporaryFolder()
        try csv.write(to: folder.path("t.csv"))
        #expect(try folder.text("t.csv") == expected)
    }
}
