import Foundation
import Testing

@testable import RetNetStorage

@Suite struct FolderTreeTests {
    private func tree(_ folder: String) throws -> FolderTree {
        try FolderTree(folder) { $0.hasSuffix(".txt") }
    }

    private func link(_ path: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
    }

    private func makeFolder(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    @Test func `linked folders and files are followed at every depth`() throws {
        try withTemporaryFolder { folder throws in
            try makeFolder(folder + "/data/inner")
            try put("x", at: folder + "/data/b.txt")
            try put("x", at: folder + "/data/inner/a.txt")
            try makeFolder(folder + "/other")
            try put("x", at: folder + "/other/c.txt")
            try link(folder + "/data/inner/linked", to: folder + "/other")
            try link(folder + "/data/z.txt", to: "../other/c.txt")
            try link(folder + "/link", to: "data")
            let expected = ["b.txt", "inner/a.txt", "inner/linked/c.txt", "z.txt"]
            for path in [folder + "/data", folder + "/link", folder + "/link/"] {
                #expect(try tree(path).files == expected)
                #expect(try tree(path).skipped == [])
            }
        }
    }

    @Test func `loops end, and everything that is left out is named with its reason`() throws {
        try withTemporaryFolder { folder throws in
            try makeFolder(folder + "/a/b")
            try makeFolder(folder + "/.git")
            try makeFolder(folder + "/folder.txt")
            try put("x", at: folder + "/a/b/x.txt")
            try put("x", at: folder + "/a/x.csv")
            try put("x", at: folder + "/a/.x.txt")
            try link(folder + "/a/b/up", to: "..")
            try link(folder + "/a/self", to: "self")
            try link(folder + "/a/gone.txt", to: "nowhere")
            #expect(mkfifo(folder + "/pipe.txt", 0o600) == 0)
            let tree = try tree(folder)
            #expect(tree.files == ["a/b/x.txt"])
            let found = Dictionary(uniqueKeysWithValues: tree.skipped.map { ($0.path, $0.reason) })
            #expect(
                found == [
                    ".git": .hidden, "a/.x.txt": .hidden, "a/x.csv": .otherName, "a/b/up": .loop,
                    "a/self": .brokenLink, "a/gone.txt": .brokenLink, "pipe.txt": .notFile,
                ])
            #expect(tree.skipped.map(\.path) == tree.skipped.map(\.path).sorted())
        }
    }

    @Test func `two folders that link to each other end too`() throws {
        try withTemporaryFolder { folder throws in
            for name in ["a", "b"] {
                try makeFolder(folder + "/" + name)
                try put("x", at: folder + "/\(name)/x.txt")
            }
            try link(folder + "/a/b", to: "../b")
            try link(folder + "/b/a", to: "../a")
            let tree = try tree(folder)
            #expect(tree.files == ["a/b/x.txt", "a/x.txt", "b/a/x.txt", "b/x.txt"])
            #expect(tree.skipped.map(\.path) == ["a/b/a", "b/a/b"])
        }
    }

    @Test func `what is no folder is refused`() throws {
        try withTemporaryFolder { folder throws in
            try put("x", at: folder + "/file")
            expectThrows(StorageError.notFolder(path: folder + "/file")) { try tree(folder + "/file") }
            expectThrows(StorageError.notFound(path: folder + "/none")) { try tree(folder + "/none") }
        }
    }
}
