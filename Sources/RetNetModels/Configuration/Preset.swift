import RetNetSettings

/// A named configuration with its origin and a recipe to train it.
public struct Preset: Sendable, Equatable {
    /// The name, as in `--preset retnet-3m`.
    public let name: String
    /// What it is, in one line.
    public let summary: String
    /// The model.
    public let configuration: LanguageModelConfiguration
    /// Where the numbers come from, and which of them are choices of this package.
    public let source: String
    /// How to train it.
    public let recipe: PresetRecipe

    /// All presets, from the smallest of this package to those of other projects.
    public static let all: [Preset] =
        small + transformer + paper + ablations + compared + altUp + torchscale + fla

    /// The preset of a name; throws ``PresetError`` with the name that was probably meant.
    public static func named(_ name: String) throws -> Preset {
        guard let preset = all.first(where: { $0.name == name }) else {
            let names = all.map(\.name)
            throw PresetError.unknown(
                name, suggestion: NameMatcher.nearest(to: name, in: names), known: names)
        }
        return preset
    }
}
