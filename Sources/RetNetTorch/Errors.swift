import CRetNetTorch
import Foundation

/// A failure inside LibTorch, or arguments that it rejected.
public struct TorchError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The kinds of failure that a program can distinguish.
    public enum Kind: Int32, Sendable {
        case outOfMemory = 1
        case index, value, type, notImplemented, libtorch, other
    }

    /// The kind of failure.
    public let kind: Kind
    /// LibTorch's message, without its native stack trace.
    public let message: String

    /// A failure found on the Swift side.
    public init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }

    /// The error in one sentence.
    public var description: String {
        switch kind {
        case .outOfMemory: "out of memory: \(message); use a smaller batch, length or model"
        default: message
        }
    }
    /// The same text as ``description``.
    public var errorDescription: String? { description }
}

/// A device that is unknown or cannot be used here.
public enum DeviceError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case unknown(String)
    case unavailable(String, reason: String)

    /// The error in one sentence.
    public var description: String {
        switch self {
        case .unknown(let text):
            "unknown device '\(text)': use auto, cpu, cuda, cuda:N or mps"
        case .unavailable(let device, let reason):
            "cannot use the device '\(device)': \(reason)"
        }
    }
    /// The same text as ``description``.
    public var errorDescription: String? { description }
}

/// A mismatch between the release of LibTorch at run time and at build time.
public struct VersionMismatch: Error, CustomStringConvertible {
    /// The version compiled against.
    public let built: String
    /// The version loaded.
    public let loaded: String
    /// The error in one sentence.
    public var description: String {
        "this program was built against LibTorch \(built) but loaded \(loaded): rebuild with `make build`, or set"
            + " LIBTORCH to the version it was built against"
    }
}

/// Throws the Swift error of a native status; the only place where one becomes the other.
@inline(__always)
package func check(_ status: ct_status) throws {
    if status != 0 { throw failure(status) }
}

private func failure(_ status: ct_status) -> any Error {
    if status == Int32(CT_ERROR_CALLBACK.rawValue), let pending = CallbackErrors.take() { return pending }
    let message = ct_error_message().map { String(cString: $0) } ?? "unknown error"
    return TorchError(kind: TorchError.Kind(rawValue: status) ?? .other, message: message)
}

/// Errors thrown by Swift closures that native code called; kept until the native call has returned.
enum CallbackErrors {
    private final class Slot {
        var error: (any Error)?
    }
    private static let key = "retnet.torch.callback-error"

    static func record(_ error: any Error) {
        let slot = Slot()
        slot.error = error
        Thread.current.threadDictionary[key] = slot
    }

    static func take() -> (any Error)? {
        defer { Thread.current.threadDictionary[key] = nil }
        return (Thread.current.threadDictionary[key] as? Slot)?.error
    }
}
