import Foundation
import RetNetStorage

/// The finished answers of an evaluation in a file, from which an interrupted one continues.
///
/// JSON lines: the first says what the answers depend on, each other one holds the answers to a document with a checksum
/// of its requests. Lines are added after every batch, so that at most one batch is lost, and a last line that was cut is
/// left out when the file is read.
public final class AnswerLog {
    /// Path of the file.
    public let path: String
    /// Documents whose answers were in the file when it was opened.
    public private(set) var knownCount = 0
    private var known: [Int: (checksum: String, answers: [RequestScore])] = [:]
    private let handle: FileHandle
    private var pending = ""

    /// Opens or begins the answers that depend on `identity`, an object.
    ///
    /// Throws ``EvaluationError/otherAnswers(path:difference:)`` if the file holds those of something else, and
    /// ``EvaluationError/cannotUseAnswers(path:reason:)``.
    public init(path: String, identity: JSONValue) throws {
        self.path = path
        let header = JSONValue.object([("answers_of", identity)])
        var keptByteCount = 0
        if FileManager.default.fileExists(atPath: path) {
            let data: Data
            do {
                data = try Data(contentsOf: URL(fileURLWithPath: path))
            } catch {
                throw EvaluationError.cannotUseAnswers(path: path, reason: error.localizedDescription)
            }
            keptByteCount = try Self.read(data, path: path, identity: identity, into: &known)
        }
        knownCount = known.count
        do {
            if keptByteCount == 0 {
                try Data((header.text() + "\n").utf8).write(to: URL(fileURLWithPath: path))
            }
            handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
            if keptByteCount > 0 { try handle.truncate(atOffset: UInt64(keptByteCount)) }
            try handle.seekToEnd()
        } catch {
            throw EvaluationError.cannotUseAnswers(path: path, reason: error.localizedDescription)
        }
    }

    deinit { try? handle.close() }

    /// Reads whole lines; returns the number of their bytes, 0 if not even the first is whole.
    private static func read(
        _ data: Data, path: String, identity: JSONValue,
        into known: inout [Int: (checksum: String, answers: [RequestScore])]
    ) throws -> Int {
        var byteCount = 0
        var rest = data[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let value = try? JSONValue(parsing: Data(rest[..<end]))
            if byteCount == 0 {
                guard let found = value?["answers_of"] else {
                    throw EvaluationError.cannotUseAnswers(
                        path: path, reason: "its first line does not say what the answers are of")
                }
                guard found == identity else {
                    throw EvaluationError.otherAnswers(
                        path: path, difference: difference(found, identity))
                }
            } else if let value, case .int(let document)? = value["doc_id"],
                case .string(let checksum)? = value["requests"], let answers = answers(value["answers"])
            {
                known[document] = (checksum, answers)
            } else {
                // What follows a damaged line is of no use either.
                return byteCount
            }
            byteCount = end + 1 - data.startIndex
            rest = data[(end + 1)...]
        }
        return byteCount
    }

    private static func answers(_ value: JSONValue?) -> [RequestScore]? {
        guard case .array(let elements)? = value else { return nil }
        var result: [RequestScore] = []
        for case .array(let pair) in elements {
            guard pair.count == 2, let number = pair[0].number, case .bool(let isGreedy) = pair[1] else {
                return nil
            }
            result.append(RequestScore(logLikelihood: number, isGreedy: isGreedy))
        }
        return result.count == elements.count ? result : nil
    }

    /// Returns the first member that differs, such as `shots is 2, not 0`.
    private static func difference(_ found: JSONValue, _ expected: JSONValue) -> String {
        guard case .object(let members) = expected else { return "" }
        for (name, value) in members where found[name] != value {
            return "'\(name)' was \(found[name]?.text() ?? "missing") and is \(value.text())"
        }
        return "it has more settings"
    }

    /// Returns the answers to a document if the file has them for the same requests.
    func answers(_ document: Int, _ requests: [(context: String, continuation: String)]) -> [RequestScore]? {
        guard let entry = known[document], entry.checksum == Self.checksum(requests) else { return nil }
        return entry.answers
    }

    /// Adds the answers to a document, which ``flush()`` writes.
    func add(
        _ document: Int, _ requests: [(context: String, continuation: String)], _ answers: [RequestScore]
    ) {
        // JSON has no infinities: such answers are computed again.
        guard answers.allSatisfy(\.logLikelihood.isFinite) else { return }
        let line: JSONValue = [
            "doc_id": .int(document), "requests": .string(Self.checksum(requests)),
            "answers": .array(answers.map { [.double($0.logLikelihood), .bool($0.isGreedy)] }),
        ]
        pending += line.text() + "\n"
    }

    /// Writes what was added; throws ``EvaluationError/cannotUseAnswers(path:reason:)``.
    func flush() throws {
        guard !pending.isEmpty else { return }
        do {
            try handle.write(contentsOf: Data(pending.utf8))
        } catch {
            throw EvaluationError.cannotUseAnswers(path: path, reason: error.localizedDescription)
        }
        pending = ""
    }

    /// Removes the file, once its answers are in a result.
    public func remove() { try? FileManager.default.removeItem(atPath: path) }

    private static func checksum(_ requests: [(context: String, continuation: String)]) -> String {
        ContentDigest.sha256(requests.map { "\($0.context)\0\($0.continuation)" }.joined(separator: "\0"))
    }
}
