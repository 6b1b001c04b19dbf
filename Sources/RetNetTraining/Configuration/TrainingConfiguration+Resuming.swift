import RetNetSettings

extension TrainingConfiguration {
    /// Settings that may change when a run is resumed, because they do not change what a step does.
    ///
    /// Changed text and another tokenizer are found by their checksums, so their places may change. The length of the run may change too, and
    /// with it the rest of the learning rate's course.
    private static let changeableKeys = [
        "steps", "tokens", "epochs", "log", "evaluation", "sample", "checkpoint", "recompute_activations",
        "data.paths", "data.validation_paths", "data.tokenizer",
    ]

    /// The names of settings that differ from those of another configuration and decide the course of a run.
    public func decisiveDifferences(from other: TrainingConfiguration) -> [String] {
        runSettings.decisiveDifferences(from: other.settings)
    }

    /// The settings for the folder of a run.
    var runSettings: RunSettings {
        RunSettings(
            tree: settings, changeableKeys: Self.changeableKeys,
            read: { try TrainingConfiguration($0).settings })
    }
}
