import Foundation
import RetNetSystem

/// A writer of an event file for TensorBoard.
///
/// Each record is framed by its length and two masked CRC-32C checksums and written at once.
/// All methods may be called from any thread.
public final class TensorBoardLog: Sendable {
    /// Path of the event file.
    public var path: String { file.path }

    private let file: LogFile

    /// Creates a new event file in `directory`, which is created if it is missing.
    ///
    /// TensorBoard reads the files of a folder in the order of their names, which begin with the time. The name of the
    /// new file comes after those of all earlier ones, even if the clock has been set back.
    ///
    /// For a resumed run, `resumedStep` is the last step that is kept: TensorBoard drops the records of later
    /// steps in earlier files of the folder. Throws `ReportingError` if the file cannot be created.
    public convenience init(directory: String, resumedStep: Int? = nil) throws {
        try self.init(
            directory: directory, resumedStep: resumedStep, time: Date().timeIntervalSince1970)
    }

    /// Creates a new event file at a time in seconds since 1970.
    init(directory: String, resumedStep: Int?, time: Double) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw ReportingError.fileOperation(
                "create the folder", path: directory, reason: error.localizedDescription)
        }
        file = try LogFile(path: Self.freePath(in: directory, time: time))
        try write(Self.versionEvent(wallTime: time))
        if let resumedStep {
            // TensorBoard purges from the step of the start event, so that is the first new step.
            let firstNew = Int64(resumedStep) &+ 1
            try write(Self.startEvent(wallTime: time, step: firstNew))
        }
    }

    /// Records a number under `tag` at `step`; `wallTime` is in seconds since 1970.
    ///
    /// Throws `ReportingError` if the log is closed or cannot be written.
    public func scalar(
        _ tag: String, _ value: Double, step: Int, wallTime: Double = Date().timeIntervalSince1970
    ) throws {
        try scalars([(tag, value)], step: step, wallTime: wallTime)
    }

    /// Records several numbers at the same `step` in one event.
    ///
    /// Throws `ReportingError` if the log is closed or cannot be written.
    public func scalars(
        _ values: [(tag: String, value: Double)], step: Int,
        wallTime: Double = Date().timeIntervalSince1970
    ) throws {
        try write(Self.scalarEvent(values, step: Int64(step), wallTime: wallTime))
    }

    /// Records a Markdown text under `tag` at `step`.
    ///
    /// Throws `ReportingError` if the log is closed or cannot be written.
    public func text(
        _ tag: String, _ text: String, step: Int, wallTime: Double = Date().timeIntervalSince1970
    ) throws {
        try write(Self.textEvent(tag, text, step: Int64(step), wallTime: wallTime))
    }

    /// Closes the file; later records throw.
    public func close() { file.close() }

    private func write(_ event: Data) throws { try file.append(Self.framed(event)) }

    private static func freePath(in directory: String, time: Double) throws -> String {
        let host = CurrentProcess.hostName.flatMap { $0.isEmpty ? nil : $0 } ?? "localhost"
        let safeHost = String(host.map { $0 == "/" ? "_" : $0 })
        let names = try existingNames(in: directory)
        var seconds = max(0, Int(time))
        if let latest = names.compactMap(Self.seconds).max() { seconds = max(seconds, latest + 1) }
        // Ten digits, as TensorFlow writes them, so that the order of names is that of times before 2001 too.
        let digits = String(seconds)
        let padded = String(repeating: "0", count: max(0, 10 - digits.count)) + digits
        return "\(directory)/\(prefix)\(padded).\(safeHost).\(CurrentProcess.identifier).0"
    }

    private static let prefix = "events.out.tfevents."

    private static func existingNames(in directory: String) throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            throw ReportingError.fileOperation(
                "list the folder", path: directory, reason: error.localizedDescription)
        }
    }

    /// Returns the time in the name of an event file, in seconds; `nil` for files of other kinds.
    private static func seconds(of name: String) -> Int? {
        guard name.utf8.starts(with: prefix.utf8) else { return nil }
        let digits = name.utf8.dropFirst(prefix.utf8.count).prefix { (0x30...0x39).contains($0) }
        // Other programs may write what they like; a time of more digits would be none.
        guard digits.count <= 10 else { return nil }
        return Int(Substring(digits))
    }
}

/// Encoding of events; the field numbers are those of TensorFlow's `event.proto`, `summary.proto` and `tensor.proto`.
extension TensorBoardLog {
    /// Returns the first event of every file.
    static func versionEvent(wallTime: Double) -> Data {
        var event = ProtobufWriter()
        event.double(field: 1, wallTime)
        event.string(field: 3, "brain.Event:2")
        return event.data
    }

    /// Returns the event that makes TensorBoard drop earlier records of this and later steps.
    static func startEvent(wallTime: Double, step: Int64) -> Data {
        var event = ProtobufWriter()
        event.double(field: 1, wallTime)
        event.varint(field: 2, step)
        event.message(field: 7) { session in session.varint(field: 1, 1) }
        return event.data
    }

    static func scalarEvent(
        _ values: [(tag: String, value: Double)], step: Int64, wallTime: Double
    ) -> Data {
        summaryEvent(step: step, wallTime: wallTime) { summary in
            for (tag, value) in values {
                summary.message(field: 1) { entry in
                    entry.string(field: 1, tag)
                    entry.float(field: 2, Float(value))
                }
            }
        }
    }

    static func textEvent(_ tag: String, _ text: String, step: Int64, wallTime: Double) -> Data {
        summaryEvent(step: step, wallTime: wallTime) { summary in
            summary.message(field: 1) { entry in
                entry.string(field: 1, tag)
                entry.message(field: 8) { tensor in
                    tensor.varint(field: 1, 7)  // DT_STRING
                    tensor.message(field: 2) { shape in
                        shape.message(field: 2) { dimension in dimension.varint(field: 1, 1) }
                    }
                    tensor.string(field: 8, text)
                }
                entry.message(field: 9) { metadata in
                    metadata.message(field: 1) { plugin in plugin.string(field: 1, "text") }
                }
            }
        }
    }

    /// Returns a record: length, checksum of the length, payload, checksum of the payload.
    static func framed(_ payload: Data) -> Data {
        var length = Data()
        length.appendLittleEndian(UInt64(payload.count))
        var record = length
        record.appendLittleEndian(CRC32C.masked(length))
        record.append(payload)
        record.appendLittleEndian(CRC32C.masked(payload))
        return record
    }

    private static func summaryEvent(
        step: Int64, wallTime: Double, _ build: (inout ProtobufWriter) -> Void
    ) -> Data {
        var event = ProtobufWriter()
        event.double(field: 1, wallTime)
        event.varint(field: 2, step)
        event.message(field: 5, build)
        return event.data
    }
}

/// A writer of the parts of the Protocol Buffers wire format that event files use.
struct ProtobufWriter {
    private(set) var data = Data()

    /// Writes a field of wire type 0; negative numbers take ten bytes, as for `int64`.
    mutating func varint(field: Int, _ value: Int64) {
        key(field: field, wireType: 0)
        rawVarint(UInt64(bitPattern: value))
    }

    /// Writes a field of wire type 1.
    mutating func double(field: Int, _ value: Double) {
        key(field: field, wireType: 1)
        data.appendLittleEndian(value.bitPattern)
    }

    /// Writes a field of wire type 5.
    mutating func float(field: Int, _ value: Float) {
        key(field: field, wireType: 5)
        data.appendLittleEndian(value.bitPattern)
    }

    /// Writes a field of wire type 2.
    mutating func string(field: Int, _ value: String) {
        bytes(field: field, Data(value.utf8))
    }

    /// Writes a nested message of wire type 2.
    mutating func message(field: Int, _ build: (inout ProtobufWriter) -> Void) {
        var inner = ProtobufWriter()
        build(&inner)
        bytes(field: field, inner.data)
    }

    private mutating func bytes(field: Int, _ value: Data) {
        key(field: field, wireType: 2)
        rawVarint(UInt64(value.count))
        data.append(value)
    }

    private mutating func key(field: Int, wireType: UInt64) {
        rawVarint(UInt64(field) << 3 | wireType)
    }

    private mutating func rawVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            data.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        data.append(UInt8(rest))
    }
}

extension Data {
    /// Appends the bytes of an integer, the least significant byte first.
    mutating func appendLittleEndian(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}

/// The CRC-32C (Castagnoli) checksum, reflected polynomial 0x82F63B78, as in TensorBoard's records.
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        var value = UInt32(index)
        for _ in 0..<8 {
            value = value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1
        }
        return value
    }

    /// Returns the checksum of bytes.
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc = (crc >> 8) ^ table[Int((crc ^ UInt32(byte)) & 0xFF)]
        }
        return ~crc
    }

    /// Returns the checksum as stored: rotated and offset, which protects data with embedded checksums.
    static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let crc = checksum(bytes)
        return ((crc >> 15) | (crc << 17)) &+ 0xA282_EAD8
    }
}
