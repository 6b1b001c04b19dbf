import ArgumentParser
import Foundation
import RetNetArchitecture
import RetNetStorage
import SystemPackage

/// Parsers of option values that several commands share.
package enum Arguments {
    /// Options of any text, which may be `--` too.
    private static let textOptions = ["--prompt", "--stop"]

    /// Returns the arguments with values that the parser would refuse joined to their options, as in `--stop=---`.
    ///
    /// Before it knows what is an option and what a value, the parser refuses `---` and `-=` at the beginning and takes
    /// `--` for the end of the options.
    package static func joiningDashes(_ arguments: [String]) -> [String] {
        var result: [String] = []
        for argument in arguments {
            let isNoOption = ["---", "-=", "--="].contains(where: argument.hasPrefix)
            if let option = result.last, option.hasPrefix("--"), option.utf8.count > 2, !option.contains("="),
                isNoOption || (textOptions.contains(option) && argument.hasPrefix("-"))
            {
                result[result.count - 1] = option + "=" + argument
            } else {
                result.append(argument)
            }
        }
        return result
    }

    /// Parses a form of computation.
    package static func form(_ text: String) throws -> MixerForm {
        guard let form = MixerForm(parsing: text) else {
            throw ValidationError("unknown form '\(text)': use parallel, chunkwise:N or recurrent")
        }
        return form
    }

    /// Parses a number from 1 to a billion, so that products of two cannot overflow.
    package static func positive(_ text: String) throws -> Int {
        guard let value = Int(text), (1...1_000_000_000).contains(value) else {
            throw ValidationError("'\(text)' is not a whole number from 1 to 1,000,000,000")
        }
        return value
    }

    /// Parses a number from 0 to a billion.
    package static func nonNegative(_ text: String) throws -> Int {
        guard let value = Int(text), (0...1_000_000_000).contains(value) else {
            throw ValidationError("'\(text)' is not a whole number from 0 to 1,000,000,000")
        }
        return value
    }

    /// Parses a number of threads.
    package static func threads(_ text: String) throws -> Int {
        guard let value = Int(text), (1...1024).contains(value) else {
            throw ValidationError("'\(text)' is not a number of threads from 1 to 1024")
        }
        return value
    }

    /// Parses a seed in the range of configuration files.
    package static func seed(_ text: String) throws -> Int {
        guard let value = Int(text), value >= 0 else {
            throw ValidationError("'\(text)' is not a whole number from 0 to \(Int.max)")
        }
        return value
    }

    /// Throws for a pipe or device, which cannot be read more than once; others are left to what reads them.
    package static func checkRereadable(_ path: String, because reason: String) throws {
        guard let type = (try? Stat(path))?.type, type != .regular, type != .directory else { return }
        throw CommandError(
            "'\(path)' can be read only once, but \(reason): write it to a file and give that")
    }

    /// Throws before any work if the output exists or is being written, or if its folder does not exist.
    ///
    /// Writing it checks again: only what is `replaceable` replaces what has appeared meanwhile.
    package static func checkOutput(_ path: String, replaceable: Bool = false) throws {
        let files = FileManager.default
        var isFolder: ObjCBool = false
        if !replaceable, let type = (try? Stat(path))?.type, type != .regular, type != .directory {
            throw CommandError(
                "the output '\(path)' must be a file, because it is read again after it is written")
        }
        let exists = files.fileExists(atPath: path, isDirectory: &isFolder)
        // A link to nothing is there too, and would be replaced.
        let isLink = !exists && (try? files.destinationOfSymbolicLink(atPath: path)) != nil
        if exists && isFolder.boolValue || !replaceable && (exists || isLink) {
            throw CommandError("the output '\(path)' exists already: choose another name or remove it first")
        }
        if !replaceable, try AtomicFile.isBeingWritten(path) {
            throw CommandError(
                "another process is writing '\(path)': wait for it to end, or choose another name")
        }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        guard files.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw CommandError("the folder '\(folder)' for the output '\(path)' does not exist")
        }
    }
}

/// An error found by a command itself.
package struct CommandError: Error, CustomStringConvertible, LocalizedError {
    package let description: String
    package var errorDescription: String? { description }

    package init(_ description: String) { self.description = description }
}

/// Exit codes other than success and usage errors.
package enum ExitCodes {
    /// A clean end after a signal.
    package static let interrupted = ExitCode(1)
}
