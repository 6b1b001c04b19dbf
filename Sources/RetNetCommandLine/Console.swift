import Foundation
import RetNetSettings
import RetNetSystem
import SystemPackage

/// The two outputs of the program: results on standard output, messages on standard error.
package enum Console {
    /// Writes a line of result.
    package static func result(_ text: String) { stream(text.hasSuffix("\n") ? text : text + "\n") }

    /// Writes a piece of a result at once, without a line break.
    package static func stream(_ text: String) {
        do {
            try FileDescriptor.standardOutput.writeAll(text.utf8)
        } catch {
            note("error: cannot write to standard output: \(error)")
            exit(1)
        }
    }

    /// Writes the JSON object of a command.
    package static func json(_ tree: SettingsTree) throws { result(try tree.replacingNonFinite().jsonText()) }

    /// Writes a line to standard error.
    package static func note(_ text: String) {
        let line = text.hasSuffix("\n") ? text : text + "\n"
        // There is nowhere to report a failure of standard error.
        _ = try? FileDescriptor.standardError.writeAll(line.utf8)
    }

    /// Writes a warning to standard error.
    package static func warn(_ text: String) { note("warning: \(text)") }

    /// Returns the value of an option under its former name, with a warning if it is given.
    package static func former<Value>(_ name: String, _ value: Value?, now newName: String) -> Value? {
        if value != nil { warn("\(name) is now called \(newName)") }
        return value
    }

    /// Returns the message with the same prefix as all other errors.
    package static func lowercased(_ message: String) -> String {
        message.hasPrefix("Error: ") ? "error: " + message.dropFirst("Error: ".count) : message
    }

    /// Returns the text of an error.
    package static func describe(_ error: any Error) -> String {
        if let error = error as? any CustomStringConvertible & LocalizedError { return error.description }
        // Errors of Foundation have a readable description only in this property.
        if type(of: error) is NSError.Type || error is CocoaError { return error.localizedDescription }
        return "\(error)"
    }

    /// True if standard error is a terminal.
    package static var isInteractive: Bool { FileDescriptor.standardError.isTerminal }
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
