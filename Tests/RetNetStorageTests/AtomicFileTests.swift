import Foundation
import SystemPackage
import Testing

@testable import RetNetStorage

@Suite struct AtomicFileTests {
    @Test func `a file is created and replaced as a whole, with size and checksum`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/a.bin"
            try AtomicFile.write(Data("old".utf8), to: path)
            #expect(try contents(path) == Data("old".utf8))
            let data = randomData(1_000_000, seed: 7)
            try AtomicFile.write(to: path) { sink in
                var rest = data[...]
                var generator = SplitMix64(seed: 8)
                while !rest.isEmpty {
                    let piece = rest.prefix(Int.random(in: 1...400_000, using: &generator))
                    try sink.write(piece)
                    rest = rest.dropFirst(piece.count)
                }
                try sink.write("end")
                #expect(sink.byteCount == 1_000_003)
                #expect(sink.crc32 == Checksum.crc32(data + Data("end".utf8)))
                #expect(try contents(path) == Data("old".utf8))
            }
            #expect(try contents(path) == data + Data("end".utf8))
            #expect(try names(folder) == ["a.bin"])
        }
    }

    @Test func `a full disk is reported and leaves the old file and no temporary`() throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
        try withTemporaryFolder { folder throws in
            let path = folder + "/a.bin"
            try put("old", at: path)
            for byteCount in [1, 3_000_000] {
                expectStorageError("No space left", "after 0 bytes", "earlier version kept", "free some") {
                    try AtomicFile.write(to: path, opening: openFull) { sink in
                        try sink.write(randomData(byteCount, seed: 9))
                    }
                }
                #expect(try contents(path) == Data("old".utf8))
                #expect(try names(folder) == ["a.bin"])
            }
        }
    }

    @Test func `a failed write remains an error even if the closure swallows it`() throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
        try withTemporaryFolder { folder throws in
            expectStorageError("No space left") {
                try AtomicFile.write(to: folder + "/a", opening: openFull) { sink in
                    try? sink.write(randomData(500_000, seed: 10))
                }
            }
            #expect(try names(folder) == [])
        }
    }

    @Test func `a device is written directly and its lack of space reported`() throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
        try AtomicFile.write(Data("x".utf8), to: "/dev/null")
        expectStorageError("cannot write '/dev/full'", "No space left") {
            try AtomicFile.write(Data("x".utf8), to: "/dev/full")
        }
    }

    @Test func `an error of the closure passes through and changes nothing`() throws {
        struct Stop: Error {}
        try withTemporaryFolder { folder throws in
            try put("old", at: folder + "/a")
            #expect(throws: Stop.self) {
                try AtomicFile.write(to: folder + "/a") { sink in
                    try sink.write("new")
                    throw Stop()
                }
            }
            #expect(try contents(folder + "/a") == Data("old".utf8))
            #expect(try names(folder) == ["a"])
        }
    }

    @Test func `a sink that escapes its closure refuses to write`() throws {
        try withTemporaryFolder { folder throws in
            var escaped: FileSink?
            try AtomicFile.write(to: folder + "/a") { escaped = $0 }
            let sink = try #require(escaped)
            expectThrows(StorageError.sinkClosed(path: folder + "/a")) { try sink.write("late") }
            #expect(try contents(folder + "/a").isEmpty)
        }
    }

    @Test func `permissions and symbolic links are kept`() throws {
        try withTemporaryFolder { folder throws in
            try put("old", at: folder + "/real")
            #expect(chmod(folder + "/real", 0o640) == 0)
            #expect(symlink("real", folder + "/link") == 0)
            try AtomicFile.write(Data("new".utf8), to: folder + "/link")
            #expect(try contents(folder + "/real") == Data("new".utf8))
            #expect(FileAccess.permissions(of: folder + "/real")?.rawValue == 0o640)
            #expect(try FileAccess.kind(of: folder + "/link", followingLinks: false) == .link)
        }
    }

    @Test func `impossible targets are refused`() throws {
        try withTemporaryFolder { folder throws in
            expectThrows(StorageError.isFolder(path: folder)) {
                try AtomicFile.write(Data(), to: folder)
            }
            expectStorageError("cannot create the temporary file", "folder above") {
                try AtomicFile.write(Data(), to: folder + "/none/a")
            }
            expectStorageError("does not end in a name") { _ = try TargetPath(folder + "/..") }
            expectStorageError("does not end in a name") { _ = try TargetPath("//") }
            expectStorageError("it is empty") { try AtomicFile.write(Data(), to: "") }
            let long = folder + "/" + String(repeating: "a", count: 250)
            expectStorageError("shorter name") { try AtomicFile.write(Data(), to: long) }
        }
    }

    @Test func `paths are split as by the system`() throws {
        #expect(try TargetPath("a").folder == ".")
        #expect(try TargetPath("/a").folder == "/")
        #expect(try TargetPath("/a").sibling("b") == "/b")
        #expect(try TargetPath("x/y/a//").name == "a")
        #expect(try TargetPath("x/y/a//").folder == "x/y")
        #expect(try TargetPath("x/\u{301}a").folder == "x")
    }

    private func openFull(_ temporaryPath: String) throws -> FileDescriptor {
        try put(Data(), at: temporaryPath)
        return try FileDescriptor.open("/dev/full", .writeOnly)
    }

    @Test func `without replacing, a file that is there or appears meanwhile is kept`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/a"
            expectThrows(StorageError.alreadyExists(path: path)) {
                try AtomicFile.write(to: path, replacing: false) { sink in
                    try sink.write("second")
                    try put("first", at: path)
                }
            }
            expectThrows(StorageError.alreadyExists(path: path)) {
                try AtomicFile.write(to: path, replacing: false) { _ in Issue.record("work was begun") }
            }
            #expect(try contents(path) == Data("first".utf8))
            try AtomicFile.write(to: folder + "/b", replacing: false) { try $0.write("new") }
            #expect(try contents(folder + "/b") == Data("new".utf8))
            #expect(try names(folder) == ["a", "b"])
        }
    }

    @Test func `a file is being written as long as its writer lives`() throws {
        try withTemporaryFolder { folder throws in
            #expect(try !AtomicFile.isBeingWritten(folder + "/a"))
            try AtomicFile.write(to: folder + "/a") { _ throws in
                #expect(try AtomicFile.isBeingWritten(folder + "/a"))
                #expect(try !AtomicFile.isBeingWritten(folder + "/b"))
            }
            #expect(try !AtomicFile.isBeingWritten(folder + "/a"))
            try AtomicFolder.create(at: folder + "/f") { _ throws in
                #expect(try AtomicFile.isBeingWritten(folder + "/f"))
            }
            try put("dead", at: folder + "/.a.tmp-0123456789abcdef")
            #expect(try !AtomicFile.isBeingWritten(folder + "/a"))
            #expect(try !AtomicFile.isBeingWritten(folder + "/none/a"))
        }
    }
}
