import Foundation
import Testing

@testable import RetNetStorage

@Suite struct AtomicFolderTests {
    private func fill(_ folder: String, _ text: String) throws {
        try put(text, at: folder + "/a.txt")
        try FileManager.default.createDirectory(
            atPath: folder + "/sub/inner", withIntermediateDirectories: true)
        try put(randomData(500_000, seed: 11), at: folder + "/sub/inner/b.bin")
        try put(Data(), at: folder + "/sub/empty")
    }

    @Test func `a folder appears complete with its checksums`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            try AtomicFolder.create(at: path) { temporary in
                #expect(!FileManager.default.fileExists(atPath: path))
                #expect(temporary.hasPrefix(folder + "/.ckpt.tmp-"))
                try fill(temporary, "one")
            }
            #expect(try names(folder) == ["ckpt"])
            #expect(try names(path) == ["a.txt", "checksums.json", "sub"])
            try AtomicFolder.verify(path)
            try AtomicFolder.verify(path + "/")
            #expect(AtomicFolder.isComplete(path))
        }
    }

    @Test func `files whose names differ only in their composition each have a checksum`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            try AtomicFolder.create(at: path) { temporary in
                try put("one", at: temporary + "/\u{E9}")
                try put("three", at: temporary + "/e\u{301}")
            }
            try AtomicFolder.verify(path)
            for name in ["\u{E9}", "e\u{301}"] {
                let file = path + "/" + name
                let good = try contents(file)
                try put("bad", at: file)
                #expect(throws: StorageError.self) { try AtomicFolder.verify(path) }
                try put(good, at: file)
            }
            try AtomicFolder.verify(path)
        }
    }

    @Test func `an existing target is replaced only on demand`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            try AtomicFolder.create(at: path) { try fill($0, "one") }
            expectStorageError("already exists") {
                try AtomicFolder.create(at: path) { _ in Issue.record("the closure ran") }
            }
            try AtomicFolder.create(at: path, replacing: true) { try fill($0, "two") }
            #expect(try contents(path + "/a.txt") == Data("two".utf8))
            #expect(try names(folder) == ["ckpt"])
            try put("x", at: folder + "/file")
            expectThrows(StorageError.notFolder(path: folder + "/file")) {
                try AtomicFolder.create(at: folder + "/file", replacing: true) { _ in }
            }
        }
    }

    @Test func `a target that appears meanwhile is not overwritten`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            expectThrows(StorageError.alreadyExists(path: path)) {
                try AtomicFolder.create(at: path) { temporary in
                    try fill(temporary, "one")
                    try FileManager.default.createDirectory(
                        atPath: path, withIntermediateDirectories: true)
                }
            }
            #expect(try names(folder) == ["ckpt"])
            #expect(try names(path) == [])
        }
    }

    @Test func `an error of the closure leaves the old version and nothing else`() throws {
        struct Stop: Error {}
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            try AtomicFolder.create(at: path) { try fill($0, "one") }
            #expect(throws: Stop.self) {
                try AtomicFolder.create(at: path, replacing: true) { temporary in
                    try fill(temporary, "two")
                    throw Stop()
                }
            }
            #expect(try names(folder) == ["ckpt"])
            try AtomicFolder.verify(path)
            #expect(try contents(path + "/a.txt") == Data("one".utf8))
        }
    }

    @Test func `links and a file with the reserved name are refused`() throws {
        try withTemporaryFolder { folder throws in
            expectStorageError("neither a regular file nor a folder", "link") {
                try AtomicFolder.create(at: folder + "/x") { _ = symlink("a", $0 + "/link") }
            }
            expectStorageError("checksums.json' already exists") {
                try AtomicFolder.create(at: folder + "/x") { try put("{}", at: $0 + "/checksums.json") }
            }
            expectStorageError("cannot create the folder", "folder above it exist") {
                try AtomicFolder.create(at: folder + "/none/x") { _ in }
            }
            #expect(try names(folder) == [])
        }
    }

    @Test func `verification names the file that is missing, short or corrupt`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/ckpt"
            let file = path + "/sub/inner/b.bin"
            try AtomicFolder.create(at: path) { try fill($0, "one") }
            let good = try contents(file)
            var bad = good
            bad[123_456] ^= 4
            try put(bad, at: file)
            expectStorageError(file, "is corrupt", Checksum.hexadecimal(Checksum.crc32(good))) {
                try AtomicFolder.verify(path)
            }
            #expect(AtomicFolder.isComplete(path))
            try put(good.dropLast(), at: file)
            expectStorageError(file, "has 499999 bytes, the recorded size is 500000") {
                try AtomicFolder.verify(path)
            }
            #expect(!AtomicFolder.isComplete(path))
            try FileManager.default.removeItem(atPath: file)
            expectStorageError(file, "is missing") { try AtomicFolder.verify(path) }
            try put(good, at: file)
            try put("a note", at: path + "/note.txt")
            try AtomicFolder.verify(path)
            try FileManager.default.removeItem(atPath: path + "/checksums.json")
            expectStorageError("never finished") { try AtomicFolder.verify(path) }
            #expect(!AtomicFolder.isComplete(path))
            expectThrows(StorageError.notFound(path: folder + "/none")) {
                try AtomicFolder.verify(folder + "/none")
            }
            expectThrows(StorageError.notFolder(path: file)) { try AtomicFolder.verify(file) }
        }
    }

    @Test(arguments: [
        ("", "the text ends where an object should be"),
        ("[]", "expected an object"),
        ("{\"version\":1}", "no 'files'"),
        ("{\"files\":{}}", "no 'version'"),
        ("{\"version\":2,\"files\":{}}", "version is 2"),
        ("{\"version\":1,\"files\":{\"../x\":{}}}", "is outside the folder"),
        ("{\"version\":1,\"files\":{\"/x\":{}}}", "is outside the folder"),
        ("{\"version\":1,\"files\":{\"x\":{}}}", "lacks a valid byteCount"),
        ("{\"version\":1,\"files\":{\"x\":{\"byteCount\":-1,\"crc32\":\"00000000\"}}}", "lacks a valid"),
        ("{\"version\":1,\"files\":{\"x\":{\"byteCount\":1,\"crc32\":\"+0000000\"}}}", "eight hexadecimal"),
        ("{\"version\":1,\"files\":{\"x\":{\"byteCount\":1,\"crc32\":\"\"}}}", "eight hexadecimal"),
        ("{\"version\":1,\"version\":1}", "occurs twice"),
        ("{\"version\":99999999999999999999}", "exceeds 64 bits"),
        ("{\"version\":1,\"files\":{}} x", "something follows"),
    ]) func `a bad list of checksums is refused with its reason`(text: String, reason: String) throws {
        try withTemporaryFolder { folder throws in
            try put(text, at: folder + "/checksums.json")
            expectStorageError("not a valid list of checksums", reason) { try AtomicFolder.verify(folder) }
            #expect(!AtomicFolder.isComplete(folder))
        }
    }
}
