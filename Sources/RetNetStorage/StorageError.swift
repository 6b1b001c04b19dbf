import Foundation
import SystemPackage

/// A failure of the file layer.
public enum StorageError: Error, Equatable, Sendable {
    /// A system call failed: the action, the path and the `errno` code.
    case system(action: String, path: String, code: Int32)
    /// There is no file or folder at the path.
    case notFound(path: String)
    /// The path is empty, contains a NUL byte, or does not end in a name.
    case invalidPath(path: String, reason: String)
    /// A folder is at a path where a file is expected.
    case isFolder(path: String)
    /// Something other than a folder is at a path where a folder is expected.
    case notFolder(path: String)
    /// A device, socket or link is at a path where a regular file or a folder is expected.
    case notRegularFile(path: String)
    /// The target exists and is not to be replaced.
    case alreadyExists(path: String)
    /// Another process holds the lock of the folder or is writing the file at the path.
    case inUse(path: String)
    /// The disk is full or the quota exceeded after `byteOffset` bytes; an earlier file is unchanged.
    case noSpace(path: String, byteOffset: Int, code: Int32)
    /// The system accepted only `byteOffset` bytes.
    case shortWrite(path: String, byteOffset: Int)
    /// A `FileSink` is used after the end of its closure.
    case sinkClosed(path: String)
    /// The compressed data is corrupt at compressed byte `byteOffset`.
    case compressedDataCorrupt(path: String, byteOffset: Int, reason: String)
    /// The compressed data ends before its end mark, after `byteOffset` compressed bytes.
    case compressedDataTruncated(path: String, byteOffset: Int)
    /// The data expands to more bytes than allowed.
    case decompressedTooLarge(path: String, maximumByteCount: Int)
    /// A file's CRC-32 differs from the recorded one.
    case checksumMismatch(path: String, expected: UInt32, found: UInt32)
    /// A file's size differs from the recorded one.
    case wrongByteCount(path: String, expected: Int, found: Int)
    /// A file listed in `checksums.json` is missing.
    case listedFileMissing(path: String)
    /// The folder has no `checksums.json`, so it was never finished.
    case incompleteFolder(path: String)
    /// `checksums.json` is malformed.
    case invalidChecksums(path: String, byteOffset: Int?, reason: String)
    /// A safetensors file is malformed, or an invalid one was to be written.
    case invalidSafetensors(path: String, fault: SafetensorsFault)
    /// A safetensors index is malformed or does not match its shards.
    case invalidSafetensorsIndex(path: String, fault: SafetensorsIndexFault)
    /// A file of PyTorch is malformed, or holds what is not read.
    case invalidPyTorch(path: String, fault: PyTorchFault)
    /// A folder contains neither a safetensors index nor `model.safetensors`.
    case noSafetensors(folder: String)
    /// No tensor has this name.
    case unknownTensor(name: String, path: String)
    /// An argument is out of range.
    case invalidArgument(name: String, reason: String)
}

extension StorageError: CustomStringConvertible, LocalizedError {
    /// The cause, the place and the remedy.
    public var description: String {
        switch self {
        case .system(let action, let path, let code):
            "cannot \(action) '\(path)': \(Self.text(of: code)); \(Self.remedy(for: Errno(rawValue: code)))"
        case .notFound(let path):
            "'\(path)' does not exist: check the path"
        case .invalidPath(let path, let reason):
            "'\(path)' cannot be used as a path: \(reason); give the path of a file or folder"
        case .isFolder(let path):
            "'\(path)' is a folder, not a file: give the path of a file"
        case .notFolder(let path):
            "'\(path)' is not a folder: give the path of a folder"
        case .notRegularFile(let path):
            "'\(path)' is neither a regular file nor a folder (pipes and devices can be read only once): give the "
                + "path of a regular file"
        case .inUse(let path):
            "'\(path)' is in use by another process: wait for it to end, or choose another path"
        case .alreadyExists(let path):
            "'\(path)' already exists: choose another path, or remove or replace it"
        case .noSpace(let path, let byteOffset, let code):
            "cannot write '\(path)': \(Self.text(of: code)) after \(byteOffset) bytes; the partial file was "
                + "removed and any earlier version kept: free some space or choose another disk"
        case .shortWrite(let path, let byteOffset):
            "cannot write '\(path)': the system accepted only \(byteOffset) bytes; the partial file was "
                + "removed and any earlier version kept: check the disk and try again"
        case .sinkClosed(let path):
            "cannot write '\(path)': the file is already finished; write only inside the closure"
        case .compressedDataCorrupt(let path, let byteOffset, let reason):
            "'\(path)' is corrupt at compressed byte \(byteOffset): \(reason); fetch the file again"
        case .compressedDataTruncated(let path, let byteOffset):
            "'\(path)' is truncated: the compressed data stops after \(byteOffset) bytes, before its end; "
                + "fetch the file again"
        case .decompressedTooLarge(let path, let maximumByteCount):
            "'\(path)' expands to more than the \(maximumByteCount) bytes allowed: "
                + "check that it is the right file, or raise the limit"
        case .checksumMismatch(let path, let expected, let found):
            "'\(path)' is corrupt: its CRC-32 is \(Checksum.hexadecimal(found)), the recorded one is "
                + "\(Checksum.hexadecimal(expected)); restore the file from a good copy"
        case .wrongByteCount(let path, let expected, let found):
            "'\(path)' has \(found) bytes, the recorded size is \(expected): "
                + "restore the file from a good copy"
        case .listedFileMissing(let path):
            "'\(path)' is listed in checksums.json but is missing: restore the file from a good copy"
        case .incompleteFolder(let path):
            "'\(path)' has no checksums.json, so it was never finished: use another version of it"
        case .invalidChecksums(let path, let byteOffset, let reason):
            "'\(path)' is not a valid list of checksums\(byteOffset.map { " at byte \($0)" } ?? ""): "
                + "\(reason); restore the file from a good copy"
        case .invalidSafetensors(let path, let fault):
            "'\(path)' is not a valid safetensors file: \(fault)"
        case .invalidSafetensorsIndex(let path, let fault):
            "'\(path)' is not a valid safetensors index: \(fault)"
        case .invalidPyTorch(let path, let fault):
            "cannot read '\(path)' as a file of PyTorch: \(fault)"
        case .noSafetensors(let folder):
            "'\(folder)' contains neither model.safetensors.index.json nor model.safetensors: "
                + "give the folder that contains the weights"
        case .unknownTensor(let name, let path):
            "'\(path)' contains no tensor named '\(name)': check the name"
        case .invalidArgument(let name, let reason):
            "the value of \(name) is invalid: \(reason)"
        }
    }

    /// The same text as `description`.
    public var errorDescription: String? { description }

    /// Returns the error of a failed system call on `path`.
    static func failed(_ action: String, _ path: String, _ code: Errno) -> StorageError {
        switch code {
        case .noSuchFileOrDirectory where action == "open": .notFound(path: path)
        case .isDirectory: .isFolder(path: path)
        default: .system(action: action, path: path, code: code.rawValue)
        }
    }

    /// Returns true if a code means that the disk is full or the quota exceeded.
    static func meansNoSpace(_ code: Errno) -> Bool { code == .noSpace || code == .diskQuotaExceeded }

    private static func text(of code: Int32) -> String { "\(Errno(rawValue: code)) (errno \(code))" }

    private static func remedy(for code: Errno) -> String {
        switch code {
        case .permissionDenied, .notPermitted:
            "check its permissions and those of the folders above it"
        case .noSuchFileOrDirectory: "check that the path and the folder above it exist"
        case .readOnlyFileSystem: "the disk is read-only: choose another one"
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem:
            "close some files or raise the limit (ulimit -n)"
        case .fileNameTooLong: "choose a shorter name"
        case .directoryNotEmpty, .fileExists: "remove what is there or choose another path"
        case .noSpace, .diskQuotaExceeded: "free some space or choose another disk"
        case .ioError: "the disk may be failing: check it and copy the data elsewhere"
        case .noMemory: "free some memory or raise the limit (ulimit -v)"
        default: "check the path and the disk"
        }
    }
}
