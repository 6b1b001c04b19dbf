import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What is known about the place which standard error leads to.
struct Terminal: Sendable {
    /// Whether a person watches: lines may be redrawn.
    let isInteractive: Bool
    /// Whether colours, escape sequences and characters beyond ASCII are welcome.
    let isRich: Bool
    /// The present width in columns; it may change while the program runs.
    let width: @Sendable () -> Int
    /// Writes text as it is.
    let show: @Sendable (String) -> Void

    /// Standard error of this process.
    static func standardError(environment: [String: String] = ProcessInfo.processInfo.environment)
        -> Terminal
    {
        Terminal(
            isInteractive: isatty(STDERR_FILENO) == 1,
            isRich: allowsRichText(environment: environment),
            width: { columns(of: STDERR_FILENO) },
            show: { writeAll($0, to: STDERR_FILENO) })
    }

    /// Applies the conventions of `NO_COLOR` (present and not empty) and `TERM=dumb`.
    static func allowsRichText(environment: [String: String]) -> Bool {
        let noColour = environment["NO_COLOR"].map { !$0.isEmpty } ?? false
        return !noColour && environment["TERM"] != "dumb"
    }

    private static func columns(of descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Progress is a courtesy, so a failing standard error must not stop the work.
    private static func writeAll(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var offset = 0
            while offset < bytes.count {
                let written = write(
                    descriptor, bytes.baseAddress?.advanced(by: offset),
                    bytes.count - offset)
                if written < 0 && errno == EINTR { continue }
                if written <= 0 { return }
                offset += written
            }
        }
    }
}
