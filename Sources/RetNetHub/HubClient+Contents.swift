import Foundation

/// Where the bytes of a file go, in order.
protocol ContentsSink: AnyObject {
    /// The place in the file of the next byte.
    var byteCount: Int { get }
    /// Appends bytes; throws ``HubError`` if there are more than belong there.
    func append(_ data: Data, notBeyond limit: Int?) throws
    /// Throws away what is there.
    func restart() throws
}

/// The server sends a whole file where a part was asked for.
struct RangesIgnored: Error {}

/// The contents of files, by one connection or by several.
extension HubClient {
    /// Largest part asked for at once: what has arrived but is not yet written is held in memory.
    private var requestByteCount: Int { 64 << 20 }

    /// Appends to a partial file what it lacks, however often the connection is cut; throws ``HubError``.
    func fetch(_ file: String, _ metadata: FileMetadata, commit: String, into partial: PartialFile) throws {
        let url = try address(of: file, commit: commit)
        while true {
            let isComplete = try repeatingTransfer(url, partial) {
                try self.fetchPiece(url, file, metadata, partial, end: nil)
            }
            if isComplete { return }
        }
    }

    /// Makes one request; returns true at the end of the file, or of the part up to `end`.
    private func fetchPiece(
        _ url: URL, _ file: String, _ metadata: FileMetadata, _ partial: any ContentsSink, end: Int?
    ) throws -> Bool {
        let start = partial.byteCount
        if let end, start >= end { return true }
        if let total = metadata.byteCount {
            if start == total { return true }
            if start > total { try partial.restart() }
        }
        var headers = ["Accept-Encoding": "identity"]
        let begin = partial.byteCount
        if let end {
            headers["Range"] = "bytes=\(begin)-\(end - 1)"
        } else if let total = metadata.byteCount, total - begin > requestByteCount {
            headers["Range"] = "bytes=\(begin)-\(begin + requestByteCount - 1)"
        } else if begin > 0 {
            headers["Range"] = "bytes=\(begin)-"
        }
        if headers["Range"] != nil { headers["If-Range"] = "\"\(metadata.etag)\"" }
        var expectedEnd: Int?
        let chain = try follow(
            "GET", url, headers: headers,
            HTTPClient.Receiver(accept: { answer in
                if end != nil, answer.status == 200 { throw RangesIgnored() }
                expectedEnd = try Self.accepted(answer, begin, metadata, partial)
                return expectedEnd != nil
            }) { data in try partial.append(data, notBeyond: end ?? metadata.byteCount) })
        if let linked = Self.etag(chain.first("x-linked-etag")), linked != metadata.etag {
            try partial.restart()
            throw HubError.wrongContents(
                file: file, reason: "its checksum has changed from \(metadata.etag) to \(linked)")
        }
        let answer = chain.answer
        switch answer.status {
        case 200, 206:
            guard let expectedEnd else {
                throw HubError.notAHub(
                    url: url.absoluteString, reason: "it sends another part of the file than asked for")
            }
            if expectedEnd >= 0, partial.byteCount < expectedEnd {
                throw HTTPFailure.connection(reason: "the connection was cut", isFinal: false)
            }
            return (end ?? metadata.byteCount).map { partial.byteCount == $0 } ?? true
        case 416:
            // What is there is longer than the file.
            try partial.restart()
            throw HTTPFailure.connection(reason: "the server has no such part of the file", isFinal: false)
        case 429: throw Busy(answer: answer)
        default: throw failure(answer, file: file)
        }
    }

    /// Returns where the body of an answer ends in the file, -1 if unknown, nil if the body is not wanted.
    private static func accepted(
        _ answer: HTTPResponse, _ begin: Int, _ metadata: FileMetadata, _ partial: any ContentsSink
    ) throws -> Int? {
        switch answer.status {
        case 200:
            // The server sends the whole file in spite of the range.
            if begin > 0 { try partial.restart() }
            return metadata.byteCount ?? answer["content-length"].flatMap { Int($0) } ?? -1
        case 206:
            guard let range = answer["content-range"]?.dropping(exactPrefix: "bytes "),
                let slash = range.firstIndex(of: "/"), let dash = range[..<slash].firstIndex(of: "-"),
                Int(range[..<dash]) == begin, let last = Int(range[range.index(after: dash)..<slash]),
                last >= begin
            else { return nil }
            let total = Int(range[range.index(after: slash)...])
            if let expected = metadata.byteCount, let total, total != expected { return nil }
            return last + 1
        default: return nil
        }
    }

    // MARK: Several connections

    /// Fetches pieces of a file until none is left; other clients may do the same with the same pieces.
    ///
    /// Throws ``RangesIgnored`` and ``HubError``; the others then end too.
    func fetch(_ file: String, _ metadata: FileMetadata, commit: String, pieces: ContentsPieces) throws {
        let url = try address(of: file, commit: commit)
        do {
            while !stop.isRaised, let range = pieces.next() {
                let piece = ContentsPiece(file: file, begin: range.lowerBound)
                _ = try repeatingTransfer(url, piece) {
                    try self.fetchPiece(url, file, metadata, piece, end: range.upperBound)
                }
                try pieces.deliver(piece.data, at: range.lowerBound)
            }
            if stop.isRaised { throw HubError.interrupted }
        } catch {
            pieces.end()
            throw error
        }
    }
}

/// A part of a file in memory.
private final class ContentsPiece: ContentsSink {
    private(set) var data = Data()
    private let file: String
    private let begin: Int

    init(file: String, begin: Int) {
        self.file = file
        self.begin = begin
    }

    var byteCount: Int { begin + data.count }

    func append(_ piece: Data, notBeyond limit: Int?) throws {
        if let limit, piece.count > limit - byteCount {
            throw HubError.wrongContents(file: file, reason: "the server sends more than was asked for")
        }
        data.append(piece)
    }

    func restart() throws { data = Data() }
}

/// A file in pieces that several connections fetch and that are written in their order.
///
/// What is on the disk is always a beginning of the file, which any client can continue. Pieces that have arrived early
/// wait in memory; no connection goes further ahead than a few pieces.
final class ContentsPieces: @unchecked Sendable {
    // Sendable: guarded by the condition.
    private let condition = NSCondition()
    private let partial: PartialFile
    private let total: Int
    private let size: Int
    private let lead: Int
    private var nextBegin: Int
    private var early: [Int: Data] = [:]
    private var isEnded = false

    /// Divides what a partial file lacks; `connectionCount` connections will take pieces.
    init(_ partial: PartialFile, total: Int, size: Int, connectionCount: Int) {
        self.partial = partial
        self.total = total
        self.size = max(1, size)
        lead = (connectionCount + 1) * max(1, size)
        nextBegin = partial.byteCount
    }

    /// Returns the next piece to fetch, as soon as it is not too far ahead; nil if there is none.
    func next() -> Range<Int>? {
        condition.lock()
        defer { condition.unlock() }
        while !isEnded, nextBegin < total, nextBegin >= partial.byteCount + lead { condition.wait() }
        guard !isEnded, nextBegin < total else { return nil }
        let end = nextBegin + min(size, total - nextBegin)
        defer { nextBegin = end }
        return nextBegin..<end
    }

    /// Writes a piece, and those that have waited for it.
    func deliver(_ data: Data, at begin: Int) throws {
        condition.lock()
        defer {
            condition.broadcast()
            condition.unlock()
        }
        early[begin] = data
        while let piece = early.removeValue(forKey: partial.byteCount) {
            try partial.append(piece, notBeyond: total)
        }
    }

    /// Lets all connections end, after a failure of one.
    func end() {
        condition.lock()
        isEnded = true
        condition.broadcast()
        condition.unlock()
    }
}
