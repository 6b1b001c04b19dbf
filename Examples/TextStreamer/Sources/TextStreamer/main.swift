// Loads a model folder and streams text: TextStreamer MODEL PROMPT
import Checkpoints
import Foundation
import Generation

guard CommandLine.arguments.count == 3 else {
    print("usage: TextStreamer MODEL PROMPT")
    exit(64)
}
let loaded = try ModelFolder.load(CommandLine.arguments[1], computeType: .float32)
let session = try GenerationSession(model: loaded.model, tokenizer: loaded.tokenizer)
var parameters = SamplingParameters(defaults: loaded.generationDefaults)
parameters.maxTokens = 200
_ = try session.generate([CommandLine.arguments[2]], parameters) { _, text in
    FileHandle.standardOutput.write(Data(text.utf8))
}
print()
