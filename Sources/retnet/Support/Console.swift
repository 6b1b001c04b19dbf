import Foundation
import RetNetSettings

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The two outputs of the program: results on standard output, messages on standard error.
enum Console {
    /// Writes a line of result.
    static func result(_ text: String) { stream(text.hasSuffix("\n") ? text : text + "\n") }

    /// Writes a piece of a result at once, without a line break.
    static func stream(_ text: String) {
        guard write(text, to: STDOUT_FILENO) else {
            let reason = String(cString: strerror(errno))
            note("error: cannot write to standard output: \(reason)")
            exit(1)
        }
    }

    /// Writes the JSON object of a command.
    static func json(_ tree: SettingsTree) throws { result(try tree.replacingNonFinite().jsonText()) }

    /// Writes a line to standard error.
    static func note(_ text: String) {
        _ = write(text.hasSuffix("\n") ? text : text + "\n", to: STDERR_FILENO)
    }

    /// Writes a warning to standard error.
    static func warn(_ text: String) { note("warning: \(text)") }

    /// Returns the value of an option under its former name, with a warning if it is given.
    static func former<Value>(_ name: String, _ value: Value?, now newName: String) -> Value? {
        if value != nil { warn("\(name) is now called \(newName)") }
        return value
    }

    /// True if standard error is a terminal.
    static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

    private static func write(_ text: String, to descriptor: Int32) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                #if canImport(Glibc)
                    let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                #elseif canImport(Musl)
                    let count = Musl.write(descriptor, rest.baseAddress, rest.count)
                #else
                    let count = Darwin.write(descriptor, rest.baseAddress, rest.count)
                #endif
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            }
            return true
        }
    }
}

extension SettingsTree {
    /// Returns the tree with null for infinities and NaN, which JSON cannot express.
    fileprivate func replacingNonFinite() -> SettingsTree {
        switch self {
        case .double(let value): return value.isFinite ? self : .null
        case .array(let elements): return .array(elements.map { $0.replacingNonFinite() })
        case .object(let object):
            var result = SettingsObject()
            for entry in object.entries { result[entry.key] = entry.value.replacingNonFinite() }
            return .object(result)
        default: return self
        }
    }
}
