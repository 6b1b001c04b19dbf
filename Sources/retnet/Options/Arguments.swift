import ArgumentParser
import Foundation
import RetNetMixers

/// Readers of option values that more than one command has.
enum Arguments {
    /// A form of computation.
    static func form(_ text: String) throws -> MixerForm {
        guard let form = MixerForm(parsing: text) else {
            throw ValidationError("unknown form '\(text)': use parallel, chunkwise:N or recurrent")
        }
        return form
    }

    /// A number from 1 up to a billion, which no product of a few can make overflow.
    static func positive(_ text: String) throws -> Int {
        guard let value = Int(text), (1...1_000_000_000).contains(value) else {
            throw ValidationError("'\(text)' is not a whole number from 1 to 1,000,000,000")
        }
        return value
    }

    /// A number from 0 up to a billion.
    static func nonNegative(_ text: String) throws -> Int {
        guard let value = Int(text), (0...1_000_000_000).contains(value) else {
            throw ValidationError("'\(text)' is not a whole number from 0 to 1,000,000,000")
        }
        return value
    }

    /// A seed that configuration files can hold.
    static func seed(_ text: String) throws -> Int {
        guard let value = Int(text), value >= 0 else {
            throw ValidationError("'\(text)' is not a whole number from 0 to \(Int.max)")
        }
        return value
    }

    /// Refuses an output that exists, or whose folder does not, before any work is done for it.
    static func checkOutput(_ path: String, replaceable: Bool = false) throws {
        let files = FileManager.default
        var isFolder: ObjCBool = false
        if files.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue || !replaceable {
            throw CommandError("the output '\(path)' exists already: choose another name or remove it first")
        }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        guard files.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw CommandError("the folder '\(folder)' for the output '\(path)' does not exist")
        }
    }
}

/// A failure that a command found itself.
struct CommandError: Error, CustomStringConvertible, LocalizedError {
    let description: String
    var errorDescription: String? { description }

    init(_ description: String) { self.description = description }
}

/// Exit codes beside success and those of usage errors.
enum ExitCodes {
    /// A signal asked for an early end, which was a clean one.
    static let interrupted = ExitCode(1)
}
