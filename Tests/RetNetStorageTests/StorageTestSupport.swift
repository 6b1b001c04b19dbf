import Foundation
import Testing

@testable import RetNetStorage

/// Calls `body` with a new folder that is removed afterwards.
func withTemporaryFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.path + "/retnet-storage-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
}

/// The bytes of a file, read by Foundation.
func contents(_ path: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path))
}

/// Writes a file by Foundation, not atomically.
///
/// An old one is removed: file systems write a file that is emptied first to the disk at once, which takes milliseconds.
func put(_ data: Data, at path: String) throws {
    try? FileManager.default.removeItem(atPath: path)
    try data.write(to: URL(fileURLWithPath: path))
}

func put(_ text: String, at path: String) throws {
    try put(Data(text.utf8), at: path)
}

/// The sorted names of a folder, hidden ones included.
func names(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
}

/// Expects that `body` throws a `StorageError` whose text holds all the given pieces.
func expectStorageError(
    _ pieces: String..., sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    do {
        try body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as StorageError {
        for piece in pieces {
            #expect(error.description.contains(piece), sourceLocation: sourceLocation)
        }
        #expect(error.localizedDescription == error.description, sourceLocation: sourceLocation)
    } catch {
        Issue.record("another kind of error: \(error)", sourceLocation: sourceLocation)
    }
}

/// Expects that `body` throws exactly this error.
func expectThrows<R>(
    _ expected: StorageError, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> R
) {
    do {
        _ = try body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch {
        #expect(error as? StorageError == expected, sourceLocation: sourceLocation)
    }
}

/// The pseudo-random generator of Steele, Lea and Flood (2014).
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Pseudo-random bytes.
func randomData(_ byteCount: Int, seed: UInt64) -> Data {
    var generator = SplitMix64(seed: seed)
    return Data((0..<byteCount).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
}

/// The bytes of a safetensors file with the given header text and data.
func safetensorsData(header: String, data: Data = Data()) -> Data {
    safetensorsData(header: Data(header.utf8), data: data)
}

func safetensorsData(header: Data, data: Data = Data()) -> Data {
    withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) } + header + data
}

/// Parses bytes as a whole safetensors file.
func parse(_ file: Data) throws -> SafetensorsHeader {
    try file.withUnsafeBytes { try SafetensorsHeader.parse($0, fileByteCount: $0.count, path: "t") }
}
