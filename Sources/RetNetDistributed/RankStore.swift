import CRetNetDistributed
import Foundation
import RetNetTorch

/// Small values under keys that all processes of a run read and write: LibTorch's `TCPStore`.
///
/// One process keeps them; the others connect to it. Not `Sendable`: one thread uses it.
public final class RankStore {
    let handle: cd_store
    /// The name or address of the machine that keeps the store.
    public let host: String

    /// Keeps a store at a port of this machine, or at a free one for port 0.
    public convenience init(keepingAt port: Int, host: String = "127.0.0.1") throws {
        try self.init(host, port, serves: true, timeout: 30)
    }

    /// Connects to a store; tries until the time-out is over, in seconds.
    public convenience init(connectingTo host: String, port: Int, timeout: Double) throws {
        try self.init(host, port, serves: false, timeout: timeout)
    }

    private init(_ host: String, _ port: Int, serves: Bool, timeout: Double) throws {
        self.host = host
        var out: cd_store?
        do {
            try check(cd_store_open(&out, host, Int32(clamping: port), serves, milliseconds(timeout)))
        } catch let error as TorchError {
            throw DistributedError.noStore(
                host: host, port: port, seconds: timeout, reason: firstLine(of: error.message))
        }
        guard let out else {
            throw DistributedError.noStore(
                host: host, port: port, seconds: timeout, reason: "nothing was opened")
        }
        handle = out
    }

    deinit { cd_store_free(handle) }

    /// The port of the store.
    public var port: Int { Int(cd_store_port(handle)) }

    /// Sets a value.
    public func set(_ key: String, _ value: Data) throws {
        try answering { value.withUnsafeBytes { cd_store_set(handle, key, $0.baseAddress, Int64($0.count)) } }
    }

    /// Returns a value; nil if there is none yet.
    public func value(_ key: String) throws -> Data? {
        var isThere = false
        var result = Data()
        try answering {
            withUnsafeMutablePointer(to: &result) { pointer in
                cd_store_get(
                    handle, key, &isThere,
                    { context, bytes, count in
                        guard let bytes else { return }
                        context?.assumingMemoryBound(to: Data.self).pointee = Data(
                            bytes: bytes, count: Int(count))
                    }, pointer)
            }
        }
        return isThere ? result : nil
    }

    /// Adds to a number that begins at 0, and returns the sum.
    public func add(_ amount: Int, to key: String) throws -> Int {
        var sum: Int64 = 0
        try answering { cd_store_add(&sum, handle, key, Int64(amount)) }
        return Int(sum)
    }

    /// Sets a value unless another process has claimed the key before; returns true if this one is the first.
    public func claim(_ key: String, _ value: Data) throws -> Bool {
        var isFirst = false
        try answering {
            value.withUnsafeBytes { cd_store_claim(handle, key, $0.baseAddress, Int64($0.count), &isFirst) }
        }
        return isFirst
    }

    /// Returns the address of this machine from which the store's machine is reached.
    func localAddress() throws -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        try check(cd_local_address(host, Int32(clamping: port), &buffer, Int64(buffer.count)))
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func answering(_ body: () -> ct_status) throws {
        do {
            try check(body())
        } catch is TorchError {
            throw DistributedError.storeLost(host: host, port: port)
        }
    }
}

/// The keys of one meeting of ranks that several parts of the package use.
struct MeetingKeys {
    /// What all keys of the meeting begin with.
    let prefix: String

    /// The keys of a meeting by its number; the first one of a store is 1.
    init(_ number: Int) { prefix = "retnet/\(number)/" }

    /// The error that ends all ranks.
    var abort: String { prefix + "abort" }
    /// Present when a rank has printed its error.
    func told(_ rank: Int) -> String { prefix + "told/\(rank)" }
}

/// Returns seconds as the whole milliseconds of the native interface, at least one.
func milliseconds(_ seconds: Double) -> Int64 { Int64(max(1, min(seconds, 1e9) * 1000)) }

/// The first line of a message of LibTorch, whose others are places in its source.
func firstLine(of message: String) -> String {
    let line = message.split(separator: "\n").first.map(String.init) ?? message
    return line.hasPrefix("[")
        ? line.split(separator: "] ", maxSplits: 1).last.map(String.init) ?? line : line
}
