import RetNetSettings

/// The position-wise feed-forward of a block.
public struct FeedForwardConfiguration: Sendable, Equatable {
    /// How many matrices the feed-forward has.
    public enum Kind: String, Sendable, CaseIterable {
        /// Two: down(act(up x)).
        case plain
        /// Three: down(act(up x) · gate x).
        case gated
        /// Nothing: the block is its mixer alone.
        case none
    }

    /// No feed-forward at all.
    public static let none = FeedForwardConfiguration(kind: .none, innerSize: 0)

    /// The function after `up`.
    public enum Activation: String, Sendable, CaseIterable {
        /// x · Φ(x), exact.
        case gelu
        /// x · sigmoid(x).
        case swish
        /// max(x, 0).
        case relu
    }

    /// How many matrices there are.
    public var kind: Kind
    /// The function after `up`.
    public var activation: Activation
    /// The width between `up` and `down`.
    public var innerSize: Int
    /// Whether the inner values are normalised before `down`, by a norm with weights of the model's kind.
    public var subNorm: Bool
    /// Whether the matrices have biases.
    public var biases: Bool
    /// Several of it, of which a token passes a few; nil for one that every token passes.
    public var experts: ExpertsConfiguration?

    /// The feed-forward of the paper, down(gelu(up x)), unless told otherwise.
    public init(
        kind: Kind = .plain, activation: Activation = .gelu, innerSize: Int, subNorm: Bool = false,
        biases: Bool = false, experts: ExpertsConfiguration? = nil
    ) {
        self.kind = kind
        self.activation = activation
        self.innerSize = innerSize
        self.subNorm = subNorm
        self.biases = biases
        self.experts = experts
    }
}

extension FeedForwardConfiguration: SettingsRepresentable {
    /// Reads `inner_size`, and everything else with the defaults of the initialiser.
    public init(reading reader: SettingsReader) {
        let standard = FeedForwardConfiguration(innerSize: 1)
        let kind = reader.enumeration("kind", default: standard.kind)
        guard kind != .none else {
            self = .none
            return
        }
        self.init(
            kind: kind,
            activation: reader.enumeration("activation", default: standard.activation),
            innerSize: reader.int("inner_size", in: 1...1 << 22),
            subNorm: reader.bool("sub_norm", default: standard.subNorm),
            biases: reader.bool("biases", default: standard.biases),
            experts: reader.optionalObject("experts").map { ExpertsConfiguration(reading: $0) })
        if let experts, subNorm, experts.routing != .partial {
            reader.reportContradiction("sub_norm", "experts have no norms: leave out one of the two")
        }
    }

    /// All choices under their names in configuration files.
    public var settings: SettingsTree {
        guard kind != .none else { return ["kind": .string(kind.rawValue)] }
        var object: SettingsObject = [
            "kind": .string(kind.rawValue), "activation": .string(activation.rawValue),
            "inner_size": .int(innerSize), "sub_norm": .bool(subNorm), "biases": .bool(biases),
        ]
        if let experts { object["experts"] = experts.settings }
        return .object(object)
    }
}
