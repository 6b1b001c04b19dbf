/// What carries the work of a recipe: models, their training and its cost.
protocol RecipeComparison {
    /// What the results depend on besides scale and texts.
    var settings: [String: String] { get }
    /// The parts of the experiment.
    func units() throws -> [ExperimentUnit]
    /// The work of all units; nil at the smallest scale.
    func estimate() throws -> ExperimentCost?
}

/// A recipe that is a comparison and a report on it.
protocol ComparisonRecipe: Recipe {
    associatedtype Comparison: RecipeComparison
    var comparison: Comparison { get }
}

extension ComparisonRecipe {
    /// Models and training at the scale.
    public var settings: [String: String] { comparison.settings }

    /// One unit a model and seed, and what the comparison measures besides.
    public func units() throws -> [ExperimentUnit] { try comparison.units() }

    /// The work of all units, for all scales but the smallest.
    public func estimate() throws -> ExperimentCost? { try comparison.estimate() }
}
