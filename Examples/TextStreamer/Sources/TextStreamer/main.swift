import Foundation
// Loads a model folder and streams text: TextStreamer MODEL PROMPT
import RetNetCheckpoints
import RetNetGeneration

let arguments = CommandLine.arguments
guard arguments.count == 3 else {
    print("usage: TextStreamer MODEL PROMPT")
    exit(64)
}
do {
    let loaded = try ModelFolder.load(arguments[1], computeType: .float32)
    let session = try GenerationSession(model: loaded.model, tokenizer: loaded.tokenizer)
    var parameters = SamplingParameters(defaults: loaded.generationDefaults)
    parameters.maxTokens = 200
    _ = try session.generate([arguments[2]], parameters) { FileHandle.standardOutput.write(Data($1.utf8)) }
    print()
} catch {
    print("error: \(error)")
    exit(1)
}
