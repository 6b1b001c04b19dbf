import Foundation
import RetNetStories
import RetNetText
import RetNetTorch

@testable import RetNetExperiments

/// Small texts, contexts and reports that the tests of this target share.
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

/// Plausible figures instead of measurements, with a record of the requests.
final class FakeBench {
    private(set) var calls: [SpeedMeasurement] = []

    func measure(_ measurement: SpeedMeasurement) throws -> [String: Any] {
        calls.append(measurement)
        switch measurement {
        case .training(let preset, _, _, let length, _):
            let speed = preset.hasPrefix("retnet") ? 9000 : 2e6 / Double(length)
            return ["tokens_per_second": speed, "peak_bytes": 1e9 + Double(length)]
        case .generation(let preset, _, let positions, _, _):
            let isRetNet = preset.hasPrefix("retnet")
            return [
                "parameters": 3_000_000, "peak_bytes": 1e9,
                "results": positions.map(Double.init).map { position in
                    [
                        "position": position, "seconds_median": isRetNet ? 0.001 : position * 1e-6,
                        "tokens_per_second": isRetNet ? 1000 : 1e6 / position,
                        "state_bytes": isRetNet ? 5e5 : position * 4096,
                    ]
                },
            ]
        }
    }
}
