import RetNetCheckpoints

extension SamplingParameters {
    /// The settings of a model folder; what it does not say stays at this package's defaults.
    ///
    /// `do_sample: false` becomes the temperature 0.
    public init(defaults: GenerationDefaults) {
        self.init()
        maxTokens = defaults.maxTokens ?? maxTokens
        temperature = defaults.temperature ?? temperature
        topK = defaults.topK ?? topK
        topP = defaults.topP ?? topP
        minP = defaults.minP ?? minP
        repetitionPenalty = defaults.repetitionPenalty ?? repetitionPenalty
        endTokens = defaults.endTokens
        if defaults.samples == false { temperature = 0 }
    }

    /// The settings as a model folder holds them; special tokens that are not set here are left open.
    public var defaults: GenerationDefaults {
        var defaults = GenerationDefaults()
        defaults.maxTokens = maxTokens
        defaults.samples = temperature > 0
        defaults.temperature = temperature > 0 ? temperature : nil
        defaults.topK = topK
        defaults.topP = topP
        defaults.minP = minP
        defaults.repetitionPenalty = repetitionPenalty
        defaults.endTokens = endTokens
        return defaults
    }
}
