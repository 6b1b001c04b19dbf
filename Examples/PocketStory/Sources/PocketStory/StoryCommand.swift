#if !os(iOS)
    import Foundation

    /// `PocketStory [--new] [--state FILE] [TEXT]`: tells on, or begins with a text.
    @main
    enum StoryCommand {
        static func main() async {
            do {
                try await run(Array(CommandLine.arguments.dropFirst()))
            } catch {
                FileHandle.standardError.write(Data("error: \(error)\n".utf8))
                exit(1)
            }
        }

        private static func run(_ arguments: [String]) async throws {
            var (words, stateFile, isNew) = ([String](), String?.none, false)
            var rest = arguments[...]
            while let argument = rest.popFirst() {
                switch argument {
                case "--new": isNew = true
                case "--state":
                    guard let path = rest.popFirst() else { return usage() }
                    stateFile = path
                case _ where argument.hasPrefix("--"): return usage()
                default: words.append(argument)
                }
            }
            let teller = try Storyteller.bundled(stateFile: stateFile)
            if isNew { await teller.forget() }
            let before = await teller.story
            let text = words.joined(separator: " ")
            let begin = text.isEmpty && before.isEmpty ? "Once upon a time" : text
            write(before + begin)
            try await teller.tell(begin) { write($0) }
            write("\n")
            try await teller.save()
        }

        private static func usage() {
            write("usage: PocketStory [--new] [--state FILE] [TEXT]\n")
        }

        private static func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
    }
#endif
