import Foundation
import RetNetDeviceStub
import RetNetTestSupport
import Testing

/// The cache of compiled kernels.
@Suite struct CubinCacheTests {
    private let key = "0123"

    private func digest(_ bytes: [UInt8]) -> String {
        bytes.withUnsafeBytes {
            String(cString: ds_digest($0.bindMemory(to: CChar.self).baseAddress, Int64($0.count)))
        }
    }

    private func read(_ folder: String) -> [UInt8]? {
        var count: Int64 = 0
        guard let bytes = ds_cache_read(folder, key, &count) else { return nil }
        return UnsafeBufferPointer(start: bytes, count: Int(count)).map { UInt8(bitPattern: $0) }
    }

    private func write(_ folder: String, _ code: [UInt8]) -> Bool {
        code.withUnsafeBytes {
            ds_cache_write(folder, key, $0.bindMemory(to: CChar.self).baseAddress, Int64($0.count))
        }
    }

    @Test(
        "Digests are SHA-256",
        arguments: [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (3, "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"),
            (55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"),
            (56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"),
            (64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"),
            (1000, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"),
        ])
    func digests(count: Int, expected: String) {
        #expect(digest([UInt8](repeating: UInt8(ascii: "a"), count: count)) == expected)
    }

    @Test("Code comes back as it was written, and nothing else lies in the folder")
    func roundTrip() throws {
        try withTemporaryFolder { folder in
            let place = folder + "/a/b"
            #expect(read(place) == nil)
            let code: [UInt8] = (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            #expect(write(place, code) && read(place) == code)
            #expect(write(place, [1, 0, 10]) && read(place) == [1, 0, 10])
            let names = try FileManager.default.contentsOfDirectory(atPath: place)
            #expect(names == ["0123.kernel"])
        }
    }

    @Test("A file that is changed, cut or lengthened anywhere is as good as absent")
    func damage() throws {
        try withTemporaryFolder { folder in
            #expect(write(folder, Array("the code".utf8)))
            let url = URL(fileURLWithPath: String(cString: ds_cache_path(folder, key)))
            let sound = [UInt8](try Data(contentsOf: url))
            for place in sound.indices {
                var changed = sound
                changed[place] ^= 0x10
                try Data(changed).write(to: url)
                #expect(read(folder) == nil, "byte \(place)")
                try Data(sound[..<place]).write(to: url)
                #expect(read(folder) == nil, "length \(place)")
            }
            try Data(sound + [0]).write(to: url)
            #expect(read(folder) == nil)
            try Data(sound).write(to: url)
            #expect(read(folder) == Array("the code".utf8))
        }
    }

    @Test("A folder that cannot be one is no error: nothing is kept")
    func unusable() throws {
        try withTemporaryFolder { folder in
            let file = folder + "/file"
            try Data().write(to: URL(fileURLWithPath: file))
            #expect(!write(file, [1]) && read(file) == nil)
            #expect(!write("", [1]) && read("") == nil)
            // A folder where the file would be.
            try FileManager.default.createDirectory(
                atPath: String(cString: ds_cache_path(folder, key)), withIntermediateDirectories: true)
            #expect(!write(folder, [1]) && read(folder) == nil)
            let names = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(names.sorted() == ["0123.kernel", "file"])
        }
    }

    @Test("Writers at the same time leave one whole file")
    func concurrency() throws {
        try withTemporaryFolder { folder in
            DispatchQueue.concurrentPerform(iterations: 16) { index in
                _ = write(folder, [UInt8](repeating: UInt8(index), count: 10_000))
            }
            let code = try #require(read(folder))
            #expect(code.count == 10_000 && Set(code).count == 1)
            let names = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(names.count == 1)
        }
    }

    @Test("The folder follows the variables of the environment")
    func folders() {
        func folder(_ variables: [String: String]) -> String {
            let names = Array(variables.keys)
            let strings = (names + names.map { variables[$0] ?? "" }).map { strdup($0) }
            defer { for string in strings { free(string) } }
            let pointers = strings.map { UnsafePointer($0) }
            return String(
                cString: ds_cache_folder(
                    Array(pointers[..<names.count]), Array(pointers[names.count...]), Int32(names.count)))
        }
        #expect(folder([:]) == "")
        #expect(folder(["HOME": "/h"]) == "/h/.cache/retnet/kernels")
        #expect(folder(["HOME": "/h", "XDG_CACHE_HOME": "/x"]) == "/x/retnet/kernels")
        #expect(folder(["HOME": "/h", "XDG_CACHE_HOME": "x"]) == "/h/.cache/retnet/kernels")
        #expect(folder(["HOME": "/h", "XDG_CACHE_HOME": "/x", "RETNET_KERNEL_CACHE": "k"]) == "k")
    }
}
