import Foundation

/// A failure of the file layer, with the facts needed to act on it.
public enum StorageError: Error, Equatable, Sendable {
    /// A system call failed: what was being done, to which path, and the `errno` code.
    case system(action: String, path: String, code: Int32)
    /// The path holds nothing.
    case notFound(path: String)
    /// The path cannot be used as a name: it is empty, holds a NUL byte, or names no entry of a folder.
    case invalidPath(path: String, reason: String)
    /// A file was wanted and the path is a folder.
    case isFolder(path: String)
    /// A folder was wanted and the path is something else.
    case notFolder(path: String)
    /// The path is neither a regular file nor a folder (a device, a socket, a link …).
    case notRegularFile(path: String)
    /// The target exists and replacing it was not asked for.
    case alreadyExists(path: String)
    /// The disk or the quota was exhausted after `byteOffset` bytes; the old file, if any, is untouched.
    case noSpace(path: String, byteOffset: Int, code: Int32)
    /// The system accepted fewer bytes than given and would take no more.
    case shortWrite(path: String, byteOffset: Int)
    /// A `FileSink` was written to after its file had been finished.
    case sinkClosed(path: String)
    /// The compressed data is damaged at `byteOffset` (counted in compressed bytes).
    case compressedDataCorrupt(path: String, byteOffset: Int, reason: String)
    /// The compressed data ends too early, after `byteOffset` compressed bytes.
    case compressedDataTruncated(path: String, byteOffset: Int)
    /// The data would expand to more than the permitted number of bytes.
    case decompressedTooLarge(path: String, maximumByteCount: Int)
    /// A file's CRC-32 differs from the recorded one.
    case checksumMismatch(path: String, expected: UInt32, found: UInt32)
    /// A file's size differs from the recorded one.
    case wrongByteCount(path: String, expected: Int, found: Int)
    /// A file listed in `checksums.json` is not there.
    case listedFileMissing(path: String)
    /// The folder holds no `checksums.json`, so it was never finished.
    case incompleteFolder(path: String)
    /// `checksums.json` cannot be understood.
    case invalidChecksums(path: String, byteOffset: Int?, reason: String)
    /// A safetensors file is malformed or an invalid one was about to be written.
    case invalidSafetensors(path: String, fault: SafetensorsFault)
    /// A safetensors index is malformed or disagrees with its shards.
    case invalidSafetensorsIndex(path: String, fault: SafetensorsIndexFault)
    /// A folder holds neither a safetensors index nor `model.safetensors`.
    case noSafetensors(folder: String)
    /// No tensor has this name.
    case unknownTensor(name: String, path: String)
    /// A value given by the caller is out of range.
    case invalidArgument(name: String, reason: String)
}

extension StorageError: CustomStringConvertible, LocalizedError {
    /// A sentence that says what failed, where, and what to do.
    public var description: String {
        switch self {
        case .system(let action, let path, let code):
            return "Cannot \(action) \(path): \(Self.errnoText(code)).\(Self.advice(code))"
        case .notFound(let path):
            return "\(path) does not exist. Check the path."
        case .invalidPath(let path, let reason):
            return "\"\(path)\" is not a usable path: \(reason). Give the path of a file or folder."
        case .isFolder(let path):
            return "\(path) is a folder, not a file. Give the path of a file."
        case .notFolder(let path):
            return "\(path) is not a folder. Give the path of a folder."
        case .notRegularFile(let path):
            return "\(path) is neither a regular file nor a folder. Replace it with a regular file."
        case .alreadyExists(let path):
            return "\(path) already exists. Choose another path, remove it, or ask for it to be replaced."
        case .noSpace, .shortWrite, .sinkClosed:
            return writeDescription
        case .compressedDataCorrupt, .compressedDataTruncated, .decompressedTooLarge:
            return compressionDescription
        case .checksumMismatch, .wrongByteCount, .listedFileMissing, .incompleteFolder, .invalidChecksums:
            return verificationDescription
        case .invalidSafetensors(let path, let fault):
            return "\(path) is not a valid safetensors file: \(fault)"
        case .invalidSafetensorsIndex(let path, let fault):
            return "\(path) is not a valid safetensors index: \(fault)"
        case .noSafetensors(let folder):
            return "\(folder) holds neither model.safetensors.index.json nor model.safetensors. "
                + "Give the folder that holds the weights."
        case .unknownTensor(let name, let path):
            return "\(path) holds no tensor named \"\(name)\". Check the name against the file's list."
        case .invalidArgument(let name, let reason):
            return "The value of \(name) is invalid: \(reason)."
        }
    }

    /// The same text as `description`.
    public var errorDescription: String? { description }

    private var writeDescription: String {
        switch self {
        case .noSpace(let path, let byteOffset, let code):
            return "Cannot write \(path): \(Self.errnoText(code)) after \(byteOffset) bytes. "
                + "The partial file was removed and any earlier version kept. "
                + "Free some space or choose another disk, then try again."
        case .shortWrite(let path, let byteOffset):
            return "Cannot write \(path): the system took only \(byteOffset) bytes and no more. "
                + "The partial file was removed and any earlier version kept. Check the disk and try again."
        case .sinkClosed(let path):
            return "Cannot write \(path): its file is already finished. Write only inside the closure."
        default:
            return "Unexpected storage error."
        }
    }

    private var compressionDescription: String {
        switch self {
        case .compressedDataCorrupt(let path, let byteOffset, let reason):
            return "\(path) is corrupt at compressed byte \(byteOffset): \(reason). Fetch the file again."
        case .compressedDataTruncated(let path, let byteOffset):
            return
                "\(path) is truncated: the compressed data stops after \(byteOffset) bytes, before its end. "
                + "Fetch the file again."
        case .decompressedTooLarge(let path, let maximumByteCount):
            return "\(path) expands to more than the \(maximumByteCount) bytes allowed. "
                + "Check that it is the right file, or raise the limit."
        default:
            return "Unexpected storage error."
        }
    }

    private var verificationDescription: String {
        switch self {
        case .checksumMismatch(let path, let expected, let found):
            return "\(path) is corrupt: its CRC-32 is \(Checksum.hexadecimal(found)), "
                + "\(Checksum.hexadecimal(expected)) was recorded. Restore the file from a good copy."
        case .wrongByteCount(let path, let expected, let found):
            return "\(path) holds \(found) bytes, \(expected) were recorded. "
                + "Restore the file from a good copy."
        case .listedFileMissing(let path):
            return "\(path) is listed in checksums.json but is missing. Restore the file from a good copy."
        case .incompleteFolder(let path):
            return "\(path) holds no checksums.json, so it was never finished. Use another version of it."
        case .invalidChecksums(let path, let byteOffset, let reason):
            let place = byteOffset.map { " at byte \($0)" } ?? ""
            return "\(path) is not a valid list of checksums\(place): \(reason). "
                + "Restore the file from a good copy."
        default:
            return "Unexpected storage error."
        }
    }
}
