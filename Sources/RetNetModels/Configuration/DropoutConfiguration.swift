import RetNetSettings

/// Probabilities of dropping values while training.
public struct DropoutConfiguration: Sendable, Equatable {
    /// After the embedding.
    public var embedding: Double
    /// After each mixer and each feed-forward, before the residual sum.
    public var residual: Double
    /// After the activation within a feed-forward.
    public var activation: Double
    /// Of whole branches in the last layer; it grows linearly with depth from 0 in the first.
    public var dropPath: Double

    /// Nothing is dropped, unless told otherwise.
    public init(embedding: Double = 0, residual: Double = 0, activation: Double = 0, dropPath: Double = 0) {
        self.embedding = embedding
        self.residual = residual
        self.activation = activation
        self.dropPath = dropPath
    }
}

extension DropoutConfiguration: SettingsRepresentable {
    /// Reads `embedding`, `residual`, `activation` and `drop_path`, each 0 by default.
    public init(reading reader: SettingsReader) {
        func probability(_ key: String) -> Double {
            reader.double(key, in: SettingsRange.belowOne, default: 0)
        }
        self.init(
            embedding: probability("embedding"), residual: probability("residual"),
            activation: probability("activation"), dropPath: probability("drop_path"))
    }

    /// All probabilities under their names in configuration files.
    public var settings: SettingsTree {
        [
            "embedding": .double(embedding), "residual": .double(residual), "activation": .double(activation),
            "drop_path": .double(dropPath),
        ]
    }
}
