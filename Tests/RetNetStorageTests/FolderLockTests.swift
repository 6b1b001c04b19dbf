import Dispatch
import Foundation
import Testing

@testable import RetNetStorage

@Suite struct FolderLockTests {
    @Test func `a lock keeps others out until it ends`() throws {
        try withTemporaryFolder { folder throws in
            let path = folder + "/a/b"
            var lock: FolderLock? = try FolderLock(path, fileName: "lock")
            #expect(lock?.folder == path)
            expectThrows(StorageError.inUse(path: path)) { try FolderLock(path, fileName: "lock") }
            // Another name is another lock.
            _ = try FolderLock(path, fileName: "other")
            lock = nil
            _ = try FolderLock(path, fileName: "lock")
            #expect(try names(path) == ["lock", "other"])
        }
    }

    @Test func `giving a lock up removes what it made and nothing else`() throws {
        try withTemporaryFolder { folder throws in
            try FolderLock(folder + "/a/b/c", fileName: "lock").abandon()
            #expect(try names(folder) == [])
            let lock = try FolderLock(folder + "/a", fileName: "lock")
            try put("x", at: folder + "/a/file")
            lock.abandon()
            #expect(try names(folder + "/a") == ["file"])
            // Twice does no harm to the next one.
            try withExtendedLifetime(FolderLock(folder + "/a", fileName: "lock")) { next in
                lock.abandon()
                expectThrows(StorageError.inUse(path: folder + "/a")) {
                    try FolderLock(folder + "/a", fileName: "lock")
                }
                next.abandon()
            }
            #expect(try names(folder + "/a") == ["file"])
            try put("", at: folder + "/a/lock")
            try FolderLock(folder + "/a", fileName: "lock").abandon()
            #expect(try names(folder + "/a") == ["file", "lock"])
        }
    }

    @Test func `a file in the place of the folder is refused, and nothing is made`() throws {
        try withTemporaryFolder { folder throws in
            try put("x", at: folder + "/file")
            expectThrows(StorageError.notFolder(path: folder + "/file")) {
                try FolderLock(folder + "/file", fileName: "lock")
            }
            expectThrows(StorageError.notFolder(path: folder + "/file")) {
                try FolderLock(folder + "/file/below", fileName: "lock")
            }
            #expect(try names(folder) == ["file"])
        }
    }

    @Test func `of many that take a lock and give it up again, never two have it at once`() throws {
        try withTemporaryFolder { folder throws in
            let state = Holders()
            DispatchQueue.concurrentPerform(iterations: 4) { _ in
                for _ in 0..<50 {
                    guard let lock = try? FolderLock(folder + "/a/b", fileName: "lock") else { continue }
                    state.enter()
                    state.leave()
                    lock.abandon()
                }
            }
            #expect(state.largest == 1)
            // Whoever found the folder did not make it.
            try FolderLock(folder + "/a/b", fileName: "lock").abandon()
        }
    }

    /// Counts holders of a lock.
    private final class Holders: @unchecked Sendable {
        // Sendable: the lock protects both numbers.
        private let lock = NSLock()
        private var count = 0
        private(set) var largest = 0

        func enter() {
            lock.withLock {
                count += 1
                largest = max(largest, count)
            }
        }

        func leave() { lock.withLock { count -= 1 } }
    }
}
