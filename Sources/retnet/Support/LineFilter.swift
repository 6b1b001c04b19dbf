import Foundation
import RetNetCommandLine
import RetNetStorage
import RetNetText
import SystemPackage

/// A filter of JSON lines: each object read gives a line of the result.
///
/// Lines of a file come at once; those of standard input are answered as they arrive.
struct LineFilter {
    private let path: String
    private var source: String { path == "-" ? "standard input" : "'\(path)'" }
    private static let flushedByteCount = 1 << 16

    /// A filter of a file, plain or gzip; `-` is standard input.
    init(_ path: String) { self.path = path }

    /// One line with its place.
    struct Line {
        fileprivate let bytes: Data
        fileprivate let place: String

        /// Returns an error with the place of the line.
        func error(_ reason: String) -> CommandError { CommandError("\(place): \(reason)") }

        /// Returns a text of the object; throws `CommandError`.
        func text(_ name: String) throws -> String {
            try member(name, "a text") { scanner in
                guard scanner.peek() == UInt8(ascii: "\"") else { return nil }
                guard case .string(let text) = try scanner.readScalar() else { return nil }
                return text
            }
        }

        /// Returns the whole numbers of an array of the object; throws `CommandError`.
        func integers(_ name: String) throws -> [Int] {
            try member(name, "an array of whole numbers") { scanner in
                guard scanner.peek() == UInt8(ascii: "[") else { return nil }
                var values: [Int] = []
                try scanner.readArray { values.append(try $0.readInteger()) }
                return values
            }
        }

        private func member<Value>(
            _ name: String, _ kind: String, _ read: (inout JSONScanner) throws -> Value?
        ) throws -> Value {
            do {
                return try bytes.withUnsafeBytes { bytes in
                    var scanner = try JSONScanner(bytes)
                    scanner.skipByteOrderMark()
                    guard scanner.peek() == UInt8(ascii: "{") else {
                        throw error("it is not a JSON object: write one with \(kind) '\(name)' on each line")
                    }
                    var (value, isThere): (Value?, Bool) = (nil, false)
                    try scanner.readObject { scanner, found in
                        guard found == name else { return try scanner.skipValue() }
                        isThere = true
                        value = try read(&scanner)
                        if value == nil { try scanner.skipValue() }
                    }
                    try scanner.finish()
                    guard let value else {
                        throw error(
                            isThere
                                ? "'\(name)' is not \(kind)"
                                : "the object has no '\(name)', which should be \(kind)")
                    }
                    return value
                }
            } catch let fault as JSONFault {
                switch fault {
                case .notUTF8(let offset): throw error("it is not UTF-8 text at byte \(offset)")
                case .syntax(let offset, let reason), .wrongKind(let offset, let reason):
                    throw error("at byte \(offset): \(reason)")
                case .duplicateName(let name, let offset):
                    throw error("at byte \(offset): '\(name)' occurs twice")
                }
            }
        }
    }

    /// Writes the result of `body` for each line that is not blank.
    func run(_ body: (Line) throws -> String) throws {
        var output = ""
        func answer(_ bytes: Data, _ number: Int) throws {
            output += try body(Line(bytes: bytes, place: "\(source), line \(number)")) + "\n"
            if output.utf8.count >= Self.flushedByteCount { flush() }
        }
        func flush() {
            if !output.isEmpty { Console.stream(output) }
            output = ""
        }
        // What was answered before a bad line is written.
        defer { flush() }
        guard path == "-" else {
            do {
                return try TextLines.read(path) { try answer($0, $1) }
            } catch let fault as TextLines.TooLong {
                throw CommandError("\(source), line \(fault.line): \(fault.reason)")
            }
        }
        var (line, number) = (Data(), 1)
        func end() throws {
            let isBlank = line.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
            if !isBlank { try answer(line, number) }
            line.removeAll(keepingCapacity: true)
            number += 1
        }
        var buffer = [UInt8](repeating: 0, count: Self.flushedByteCount)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try FileDescriptor.standardInput.read(into: $0) }
            guard count > 0 else { break }
            var start = 0
            while let feed = buffer[start..<count].firstIndex(of: 0x0A) {
                line.append(contentsOf: buffer[start..<feed])
                try end()
                start = feed + 1
            }
            line.append(contentsOf: buffer[start..<count])
            guard line.count <= TextLines.maximumByteCount else {
                throw CommandError(
                    "\(source), line \(number): it is longer than \(TextLines.maximumByteCount) bytes; write one record"
                        + " on each line")
            }
            flush()
        }
        try end()
    }
}
