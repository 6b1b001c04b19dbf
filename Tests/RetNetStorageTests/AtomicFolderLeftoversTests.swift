import Foundation
import Testing

@testable import RetNetStorage

@Suite struct AtomicFolderLeftoversTests {
    private func make(_ path: String, _ text: String) throws {
        try AtomicFolder.create(at: path) { try put(text, at: $0 + "/a.txt") }
    }

    private func move(_ source: String, _ target: String) throws {
        try FileManager.default.moveItem(atPath: source, toPath: target)
    }

    @Test func `leftovers of crashes are removed and similar names kept`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            try make(path, "one")
            let temporary = folder + "/.ckpt.tmp-0123456789abcdef"
            try FileManager.default.createDirectory(
                atPath: temporary + "/sub", withIntermediateDirectories: true)
            try put("half", at: temporary + "/sub/b")
            #expect(symlink(path, temporary + "/link") == 0)
            try put("half a file", at: folder + "/.ckpt.tmp-00000000000000ff")
            try make(folder + "/.ckpt.old-0123456789abcdef", "older")
            let kept = [
                ".ckpt.tmp-0123", ".ckpt.tmp-0123456789ABCDEF", ".other.tmp-0123456789abcdef", "ckpt2",
            ]
            for name in kept { try put("x", at: folder + "/" + name) }
            let removed = try AtomicFolder.removeLeftovers(beside: path)
            #expect(removed.count == 3)
            #expect(try names(folder) == (kept + ["ckpt"]).sorted())
            try AtomicFolder.verify(path)
            #expect(try AtomicFolder.removeLeftovers(beside: path) == [])
        }
    }

    @Test func `leftovers of a name that is only canonically equivalent belong to another folder`() throws {
        try withTemporaryFolder { folder throws in
            let (composed, decomposed) = ("\u{E9}", "e\u{301}")
            try make(folder + "/" + composed, "one")
            try put("x", at: folder + "/.\(decomposed).tmp-0123456789abcdef")
            try put("x", at: folder + "/.\(composed).tmp-0123456789abcdef")
            let removed = try AtomicFolder.removeLeftovers(beside: folder + "/" + composed)
            #expect(
                removed.map { ExactString($0) } == [
                    ExactString(folder + "/.\(composed).tmp-0123456789abcdef")
                ])
            #expect(try names(folder).count == 2)
        }
    }

    @Test func `a crash between the two renames of a replacement is undone`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            try make(path, "one")
            try make(folder + "/.ckpt.tmp-1111111111111111", "two")
            try move(path, folder + "/.ckpt.old-2222222222222222")
            #expect(try AtomicFolder.recover(path))
            #expect(try contents(path + "/a.txt") == Data("one".utf8))
            try AtomicFolder.verify(path)
            #expect(try !AtomicFolder.recover(path))
            try AtomicFolder.removeLeftovers(beside: path)
            #expect(try names(folder) == ["ckpt"])
        }
    }

    @Test func `a crash after the renames leaves the new version`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            try make(path, "two")
            try make(folder + "/.ckpt.old-2222222222222222", "one")
            try AtomicFolder.removeLeftovers(beside: path)
            #expect(try contents(path + "/a.txt") == Data("two".utf8))
            #expect(try names(folder) == ["ckpt"])
        }
    }

    @Test func `the only complete version survives the removal of leftovers and a new creation`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            let damaged = folder + "/.ckpt.old-ffffffffffffffff"
            try make(folder + "/.ckpt.old-2222222222222222", "one")
            try make(damaged, "damaged")
            try FileManager.default.removeItem(atPath: damaged + "/a.txt")
            #expect(try AtomicFolder.removeLeftovers(beside: path) == [damaged])
            #expect(try contents(path + "/a.txt") == Data("one".utf8))
            try move(path, folder + "/.ckpt.old-3333333333333333")
            expectThrows(StorageError.alreadyExists(path: path)) { try make(path, "two") }
            #expect(try contents(path + "/a.txt") == Data("one".utf8))
        }
    }

    @Test func `temporaries of a living writer are neither removed nor recovered`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            try AtomicFolder.create(at: path) { temporary in
                try put("one", at: temporary + "/a.txt")
                #expect(try AtomicFolder.removeLeftovers(beside: path) == [])
                try make(folder + "/.ckpt.old-2222222222222222", "older")
                #expect(try !AtomicFolder.recover(path))
                try AtomicFile.write(to: folder + "/file") { sink in
                    try sink.write("x")
                    #expect(try AtomicFolder.removeLeftovers(beside: folder + "/file") == [])
                }
            }
            try AtomicFolder.verify(path)
            #expect(try contents(path + "/a.txt") == Data("one".utf8))
        }
    }

    @Test func `recovery without anything to recover does nothing`() throws {
        try withTemporaryFolder { folder throws in
            #expect(try !AtomicFolder.recover(folder + "/ckpt"))
            #expect(try !AtomicFolder.recover(folder + "/none/ckpt"))
            expectThrows(StorageError.notFound(path: folder + "/none")) {
                try AtomicFolder.removeLeftovers(beside: folder + "/none/ckpt")
            }
        }
    }
}
