import Foundation
import Testing

@testable import RetNetStorage

@Suite struct MappedFileTests {
    @Test func `a mapped file has the bytes of the file`() throws {
        try withTemporaryFolder { folder throws in
            let data = randomData(100_003, seed: 1)
            try put(data, at: folder + "/a")
            let file = try MappedFile(path: folder + "/a")
            #expect(file.byteCount == data.count)
            #expect(file.path == folder + "/a")
            #expect(file.withUnsafeBytes { Data($0) } == data)
        }
    }

    @Test func `an empty file can be mapped`() throws {
        try withTemporaryFolder { folder throws in
            try put(Data(), at: folder + "/empty")
            let file = try MappedFile(path: folder + "/empty")
            #expect(file.byteCount == 0)
            #expect(file.withUnsafeBytes { $0.count } == 0)
        }
    }

    @Test func `a mapped file outlives its replacement`() throws {
        try withTemporaryFolder { folder throws in
            try put("old", at: folder + "/a")
            let file = try MappedFile(path: folder + "/a")
            try AtomicFile.write(Data("newer".utf8), to: folder + "/a")
            #expect(file.withUnsafeBytes { Data($0) } == Data("old".utf8))
        }
    }

    @Test func `everything but a file is refused with its own reason`() throws {
        try withTemporaryFolder { folder throws in
            expectThrows(StorageError.notFound(path: folder + "/none")) {
                try MappedFile(path: folder + "/none")
            }
            expectThrows(StorageError.isFolder(path: folder)) { try MappedFile(path: folder) }
            expectThrows(StorageError.notRegularFile(path: "/dev/null")) {
                try MappedFile(path: "/dev/null")
            }
            expectStorageError("it is empty") { _ = try MappedFile(path: "") }
            expectStorageError("NUL byte") { _ = try MappedFile(path: "a\0b") }
            try put("x", at: folder + "/file")
            expectStorageError("cannot open", "/file/below") {
                _ = try MappedFile(path: folder + "/file/below")
            }
        }
    }

    @Test func `a pipe does not make opening wait`() throws {
        try withTemporaryFolder { folder throws in
            #expect(mkfifo(folder + "/pipe", 0o600) == 0)
            expectThrows(StorageError.notRegularFile(path: folder + "/pipe")) {
                try MappedFile(path: folder + "/pipe")
            }
        }
    }

    @Test func `reading takes what a pipe or device gives, once, and files as they are`() throws {
        try withTemporaryFolder { folder throws in
            let data = randomData(1_000_003, seed: 2)
            let pipe = folder + "/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            let writer = Thread { try? data.write(to: URL(fileURLWithPath: pipe)) }
            writer.start()
            let file = try MappedFile(reading: pipe)
            #expect(file.isCopy)
            #expect(file.path == pipe)
            #expect(file.withUnsafeBytes { Data($0) } == data)
            #expect(try MappedFile(reading: "/dev/null").byteCount == 0)
            try put(data, at: folder + "/file")
            let plain = try MappedFile(reading: folder + "/file")
            #expect(!plain.isCopy)
            #expect(plain.withUnsafeBytes { Data($0) } == data)
            expectThrows(StorageError.isFolder(path: folder)) { try MappedFile(reading: folder) }
            expectThrows(StorageError.notFound(path: folder + "/none")) {
                try MappedFile(reading: folder + "/none")
            }
            expectStorageError("it is empty") { _ = try MappedFile(reading: "") }
        }
    }

    @Test func `an unreadable file is refused`() throws {
        // The superuser can read all files.
        guard geteuid() != 0 else { return }
        try withTemporaryFolder { folder throws in
            try put("x", at: folder + "/secret")
            #expect(chmod(folder + "/secret", 0) == 0)
            expectStorageError("secret", "permissions") { _ = try MappedFile(path: folder + "/secret") }
        }
    }
}
