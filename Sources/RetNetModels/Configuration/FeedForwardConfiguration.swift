import RetNetSettings
import RetNetTorch

/// The position-wise feed-forward of a block.
public struct FeedForwardConfiguration: Sendable, Equatable {
    /// The matrices of the feed-forward.
    public enum Kind: String, Sendable, CaseIterable {
        /// Two: down(act(up x)).
        case plain
        /// Three: down(act(up x) · gate x).
        case gated
        /// No feed-forward: the block is its mixer alone.
        case none
    }

    /// No feed-forward.
    public static let none = FeedForwardConfiguration(kind: .none, innerSize: 0)

    /// The activation after `up`.
    public enum Activation: String, Sendable, CaseIterable {
        /// x · Φ(x), exact.
        case gelu
        /// x · sigmoid(x).
        case swish
        /// max(x, 0).
        case relu
    }

    /// Matrices of the feed-forward.
    public var kind: Kind
    /// Activation after `up`.
    public var activation: Activation
    /// Width between `up` and `down`.
    public var innerSize: Int
    /// True for a norm before `down`, with weights and of the model's kind.
    public var subNorm: Bool
    /// True for matrices with biases.
    public var biases: Bool
    /// Several feed-forwards, of which a token passes a few; nil for one for all tokens.
    public var experts: ExpertsConfiguration?

    /// By default the feed-forward of the paper, down(gelu(up x)).
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
    /// Reads `inner_size`, and all other settings with the defaults of the initializer.
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

    /// All settings under their names in configuration files.
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

extension FeedForwardConfiguration.Activation {
    /// The same activation under the name of the fused operators.
    var fused: FusedOperators.Activation {
        switch self {
        case .gelu: .gelu
        case .swish: .swish
        case .relu: .relu
        }
    }
}
