import RetNetTorch

// Names of configurations as the fused operators' own.

extension NormConfiguration.Kind {
    var fused: FusedOperators.NormKind {
        switch self {
        case .rms: .rms
        case .layer: .layer
        }
    }
}

extension FeedForwardConfiguration.Activation {
    var fused: FusedOperators.Activation {
        switch self {
        case .gelu: .gelu
        case .swish: .swish
        case .relu: .relu
        }
    }
}
