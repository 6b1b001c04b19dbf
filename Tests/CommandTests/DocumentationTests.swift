import Foundation
import Testing

/// The documents name files that exist.
@Suite struct DocumentationTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    @Test(arguments: [
        "README.md", "CONTRIBUTING.md", "Documentation/Architecture.md", "Documentation/Architectures.md",
        "Documentation/Devices.md",
        "Documentation/Distributed.md", "Documentation/EncoderDecoders.md", "Documentation/Performance.md",
    ])
    func `Links and paths lead to files`(document: String) throws {
        let file = Self.root.appendingPathComponent(document)
        let text = try String(contentsOf: file, encoding: .utf8)
        // Paths of the repository in code voice, and links that are not addresses.
        let paths = text.matches(
            of: /`((?:Sources|Tests|Examples|scripts|Documentation)\/[A-Za-z0-9_+.\/-]+)`/
        )
        .map { Self.root.appendingPathComponent(String($0.output.1)) }
        let links = text.matches(of: /\]\(([^):#]+)(?:#[^)]*)?\)/)
            .map { file.deletingLastPathComponent().appendingPathComponent(String($0.output.1)) }
        for path in paths + links {
            #expect(FileManager.default.fileExists(atPath: path.path), "\(document) names \(path.path)")
        }
    }

    @Test func `Every target stands in the picture of the architecture`() throws {
        let picture = try String(
            contentsOf: Self.root.appendingPathComponent("Documentation/Architecture.md"), encoding: .utf8)
        let targets = try FileManager.default.contentsOfDirectory(
            atPath: Self.root.appendingPathComponent("Sources").path
        ).filter { !$0.hasPrefix(".") && $0 != "CRetNetZlib" }
        #expect(targets.count > 10)
        for target in targets { #expect(picture.contains(target), "\(target)") }
    }
}
