import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Writes an event file which TensorBoard shows.
///
/// Each record is framed by its length and two masked CRC-32C checksums and reaches the system at once.
/// All methods may be called from any thread.
public final class TensorBoardLog: Sendable {
    /// The place of the event file.
    public let path: String

    private let file: Locked<FileState>

    // Wrapped because an optional of a noncopyable type cannot be stored in a generic box.
    private final class FileState {
        var file: AppendingFile?

        init(_ file: consuming AppendingFile) {
            self.file = consume file
        }
    }

    /// Makes a new event file in `directory`, which is created when missing.
    ///
    /// For a resumed run, `resumedStep` is the last step which counts: TensorBoard then drops what earlier
    /// files of the folder hold for later steps. Throws `ReportingError` when the file cannot be made.
    public init(directory: String, resumedStep: Int? = nil) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true)
        } catch {
            throw ReportingError.fileOperation(
                "create the folder", path: directory, reason: error.localizedDescription)
        }
        let time = Date().timeIntervalSince1970
        path = Self.freePath(in: directory, time: time)
        file = Locked(FileState(try AppendingFile(path: path)))
        try write(Self.versionEvent(wallTime: time))
        if let resumedStep {
            // TensorBoard purges from the step of the start event on, so it names the first new step.
            let firstNew = Int64(resumedStep) &+ 1
            try write(Self.startEvent(wallTime: time, step: firstNew))
        }
    }

    /// Records a number under `tag` at `step`; `wallTime` is in seconds since 1970.
    ///
    /// Throws `ReportingError` when the log was closed or cannot be written.
    public func scalar(
        _ tag: String, _ value: Double, step: Int, wallTime: Double = Date().timeIntervalSince1970
    ) throws {
        try scalars([(tag, value)], step: step, wallTime: wallTime)
    }

    /// Records several numbers at the same `step` in one event.
    ///
    /// Throws `ReportingError` when the log was closed or cannot be written.
    public func scalars(
        _ values: [(tag: String, value: Double)], step: Int,
        wallTime: Double = Date().timeIntervalSince1970
    ) throws {
        try write(Self.scalarEvent(values, step: Int64(step), wallTime: wallTime))
    }

    /// Records text, shown as Markdown, under `tag` at `step`.
    ///
    /// Throws `ReportingError` when the log was closed or cannot be written.
    public func text(
        _ tag: String, _ text: String, step: Int, wallTime: Double = Date().timeIntervalSince1970
    ) throws {
        try write(Self.textEvent(tag, text, step: Int64(step), wallTime: wallTime))
    }

    /// Closes the file; later records throw.
    public func close() {
        file.withLock { $0.file = nil }
    }

    private func write(_ event: Data) throws {
        let record = Self.framed(event)
        try file.withLock { state in
            guard state.file != nil else { throw ReportingError.closed(path: path) }
            try state.file?.append(record)
        }
    }

    private static func freePath(in directory: String, time: Double) -> String {
        var name = [CChar](repeating: 0, count: 256)
        let isKnown = gethostname(&name, name.count - 1) == 0
        let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let host = isKnown && !bytes.isEmpty ? String(decoding: bytes, as: UTF8.self) : "localhost"
        let safeHost = String(host.map { $0 == "/" ? "_" : $0 })
        let base = "\(directory)/events.out.tfevents.\(Int(time)).\(safeHost).\(getpid())"
        var serial = 0
        while FileManager.default.fileExists(atPath: "\(base).\(serial)") { serial += 1 }
        return "\(base).\(serial)"
    }
}
