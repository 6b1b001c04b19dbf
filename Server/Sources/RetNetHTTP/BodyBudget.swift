import Foundation
import HummingbirdCore
import NIOCore

/// The memory for large bodies of requests that are being received and read, so that many at once cannot fill the machine.
final class BodyBudget: @unchecked Sendable {
    // Sendable: what changes is read and written under the lock.
    private let lock = NSLock()
    private var free: Int

    /// Bodies of up to so many bytes are not counted: whatever others send, ordinary requests are taken.
    static let smallByteCount = 64 << 10

    init(byteCount: Int) { free = byteCount }

    /// Bytes of a body that count until the value goes.
    final class Share: @unchecked Sendable {
        // Sendable: used by the task of one request only.
        private let budget: BodyBudget
        private var byteCount = 0

        init(_ budget: BodyBudget) { self.budget = budget }

        deinit { budget.change(by: byteCount) }

        /// Counts a body of so many bytes; false if there is no room.
        func grow(to count: Int) -> Bool {
            guard count > BodyBudget.smallByteCount else { return true }
            guard budget.change(by: byteCount - count) else { return false }
            byteCount = count
            return true
        }
    }

    @discardableResult
    private func change(by count: Int) -> Bool {
        lock.withLock {
            guard free + count >= 0 else { return false }
            free += count
            return true
        }
    }

    /// Reads a body; throws answers with 413 and 503.
    func read(_ body: RequestBody, limit: Int, _ share: Share) async throws -> ByteBuffer {
        var result = ByteBuffer()
        for try await var part in body {
            guard part.readableBytes <= limit - result.readableBytes else {
                throw APIError(
                    status: 413, message: "the body has more than \(limit) bytes, which is as many as may be",
                    code: "request_too_large")
            }
            result.writeBuffer(&part)
            guard share.grow(to: result.readableBytes) else {
                throw APIError.unavailable(
                    "too many large requests are being received: try again in a moment")
            }
        }
        return result
    }
}
