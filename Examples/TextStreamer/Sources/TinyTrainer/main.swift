// Trains the smallest preset on a text file: TinyTrainer TEXT RUN-FOLDER
import Foundation
import RetNetModels
import RetNetTraining

guard CommandLine.arguments.count == 3 else {
    print("usage: TinyTrainer TEXT RUN-FOLDER")
    exit(64)
}
do {
    var configuration = RunConfiguration(preset: try Preset.named("retnet-1m"))
    configuration.task.data.paths = [CommandLine.arguments[1]]
    configuration.task.data.length = 128
    configuration.training.duration = .steps(100)
    let run = try TrainingRun(configuration, folder: CommandLine.arguments[2])
    let outcome = try run.run(observers: [ProgressObserver()])
    print("the model is in \(outcome.checkpointPath)")
} catch {
    print("error: \(error)")
    exit(1)
}
