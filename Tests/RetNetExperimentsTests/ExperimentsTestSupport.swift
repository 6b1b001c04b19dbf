import Foundation
import RetNetText
import RetNetTorch

@testable import RetNetExperiments

/// Small things that the tests of this target share.
enum Small {
    /// Stories of a few kilobytes, with two domains.
    static func texts() throws -> ExperimentTexts {
        func stream(_ seed: UInt64, _ byteCount: Int) throws -> TokenStream {
            var generator = StoryGenerator(seed: seed)
            return try generator.corpus(byteCount: byteCount).tokenStream(tokenizer: ByteTokenizer())
        }
        return ExperimentTexts(
            training: try stream(1, 20_000), validation: try stream(2, 1500),
            domains: [("novels", try stream(3, 600)), ("other", try stream(4, 600))],
            origin: "Stories for a test.")
    }

    /// A context whose training takes a few steps.
    static func context(_ scale: ExperimentScale = .tiny, contenders: [String]? = nil) throws
        -> ExperimentContext
    {
        var context = ExperimentContext(
            scale: scale, texts: try texts(), seeds: [1, 2], contenders: contenders, computeType: .float32)
        context.stepFactor = 0.001
        return context
    }

    /// Runs a recipe in a folder and returns the text of its report.
    static func report(_ type: any Recipe.Type, _ context: ExperimentContext, in folder: URL) throws -> String
    {
        let path = try Experiment(type, context: context, folder: folder.path).run(showsProgress: false)
        return try String(contentsOfFile: path, encoding: .utf8)
    }
}

/// Runs a body with the place of a folder that is not there yet, and removes it afterwards.
func withFolder<R>(_ body: (URL) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
        "experiments-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
}

/// Answers for `retnet bench`, and counts how often it was asked.
final class FakeBench {
    private(set) var calls: [[String]] = []

    func measure(_ arguments: [String]) throws -> [String: Any] {
        calls.append(arguments)
        func value(after name: String) -> String {
            arguments.firstIndex(of: name).map { arguments[$0 + 1] } ?? ""
        }
        let isRetNet = value(after: "--preset").hasPrefix("retnet")
        guard arguments[1] == "decode" else {
            let length = Double(value(after: "--length")) ?? 1
            return ["tokens_per_second": isRetNet ? 9000.0 : 2e6 / length, "peak_bytes": 1e9 + length]
        }
        let positions = value(after: "--positions").split(separator: ",").compactMap { Double($0) }
        return [
            "parameters": 3_000_000, "peak_bytes": 1e9,
            "results": positions.map { position in
                [
                    "position": position, "seconds_median": isRetNet ? 0.001 : position * 1e-6,
                    "tokens_per_second": isRetNet ? 1000 : 1e6 / position,
                    "state_bytes": isRetNet ? 5e5 : position * 4096,
                ]
            },
        ]
    }
}
