import RetNetModels

extension TrainingConfiguration {
    /// Passes of a recipe hold at most this many tokens; larger steps are accumulated.
    private static let tokensPerPass = 16_384

    /// Takes over what a preset's recipe says; batches larger than one pass become micro-batches.
    mutating func apply(_ recipe: PresetRecipe) {
        optimizer.learningRate = recipe.peakLearningRate
        optimizer.weightDecay = recipe.weightDecay
        optimizer.clipNorm = recipe.gradientClip
        if recipe.betas.count == 2 { (optimizer.beta1, optimizer.beta2) = (recipe.betas[0], recipe.betas[1]) }
        schedule.warmupStepCount = recipe.warmupSteps
        duration = .steps(recipe.steps)
        data.length = max(1, recipe.sequenceLength)
        let rows = max(1, recipe.tokensPerStep / data.length)
        let limit = max(1, Self.tokensPerPass / data.length)
        // A divisor, so that the step has exactly the recipe's tokens.
        data.batchSize = stride(from: min(rows, limit), through: 1, by: -1).first { rows % $0 == 0 } ?? 1
        accumulationCount = rows / data.batchSize
    }
}
