// Loads a model folder and streams text without LibTorch: LiteStreamer MODEL PROMPT
import Foundation
import RetNetRuntime
import RetNetSampling

let arguments = CommandLine.arguments
guard arguments.count == 3 else {
    print("usage: LiteStreamer MODEL PROMPT")
    exit(64)
}
do {
    let folder = try RuntimeFolder(path: arguments[1])
    let generator = TextGenerator(try ModelRunner(folder.model), tokenizer: try folder.tokenizer)
    var parameters = SamplingParameters(defaults: folder.defaults)
    parameters.maxTokens = 200
    _ = try generator.generate([arguments[2]], parameters) { FileHandle.standardOutput.write(Data($1.utf8)) }
    print()
} catch {
    print("error: \(error)")
    exit(1)
}
