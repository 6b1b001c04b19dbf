import ArgumentParser
import Foundation
import RetNetMixers

/// Parsers of option values that several commands share.
enum Arguments {
    /// Parses a form of computation.
    static func form(_ text: String) throws -> MixerForm {
        guard let form = MixerForm(parsing: text) else {
            throw ValidationError("unknown form '\(text)': use parallel, chunkwise:N or recurrent")
        }
        return form
    }

    /// Parses a number from 1 to a billion, so that products of two cannot overflow.
    static func positive(_ text: String) throws -> Int {
        guard let value = Int(text), (1...1_000_000_000).contains(value) else {
            throw ValidationError("'\(text)' is not a whole number from 1 to 1,000,000,000")
        }
        return value
    }

    /// Parses a number from 0 to a billion.
    static func nonNegative(_ text: String) throws -> Int {
        guard let value = Int(text), (0...1_000_000_000).contains(value) else {
            throw ValidationError("'\(text)' is not a whole number from 0 to 1,000,000,000")
        }
        return value
    }

    /// Parses a seed in the range of configuration files.
    static func seed(_ text: String) throws -> Int {
        guard let value = Int(text), value >= 0 else {
            throw ValidationError("'\(text)' is not a whole number from 0 to \(Int.max)")
        }
        return value
    }

    /// Throws before any work if the output exists, or if its folder does not.
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

/// An error found by a command itself.
struct CommandError: Error, CustomStringConvertible, LocalizedError {
    let description: String
    var errorDescription: String? { description }

    init(_ description: String) { self.description = description }
}

/// Exit codes other than success and usage errors.
enum ExitCodes {
    /// A clean end after a signal.
    static let interrupted = ExitCode(1)
}
