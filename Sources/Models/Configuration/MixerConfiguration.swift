import Mixers
import Settings

/// Which token mixer a layer has, with its sizes and choices.
public enum MixerConfiguration: Sendable, Equatable {
    /// Gated multi-scale retention.
    case retention(RetentionConfiguration)

    /// The names of all mixers in configuration files.
    public enum Kind: String, Sendable, CaseIterable {
        /// Gated multi-scale retention.
        case retention
    }

    /// The name of the mixer in configuration files.
    public var kind: Kind {
        switch self {
        case .retention: .retention
        }
    }

    /// The parameters of the layer with their names within it, in a fixed order; matrices are [out, in].
    public func parameterShapes(hiddenSize: Int) -> [(name: String, shape: [Int])] {
        switch self {
        case .retention(let retention): retention.parameterShapes(hiddenSize: hiddenSize)
        }
    }

    /// Numbers of the memory that one sequence needs in this layer.
    public var memoryElementCount: Int {
        switch self {
        case .retention(let retention): retention.memoryElementCount
        }
    }

    /// Numbers that the state keeps beside the memory.
    public var normalizerElementCount: Int {
        switch self {
        case .retention(let retention): retention.normalizerElementCount
        }
    }

    /// FLOPs of a position beside the projections, in the cheapest form.
    public var recurrentFLOPsPerToken: Int {
        switch self {
        case .retention(let retention): retention.recurrentFLOPsPerToken
        }
    }

    /// FLOPs of a position beside the projections, forward in the chunkwise form.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        switch self {
        case .retention(let retention): retention.forwardFLOPsPerToken(chunkLength: chunkLength)
        }
    }

    /// FLOPs of a position beside the projections, backward in the chunkwise form.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        switch self {
        case .retention(let retention):
            retention.backwardFLOPsPerToken(chunkLength: chunkLength, recomputesStates: recomputesStates)
        }
    }
}

extension MixerConfiguration: SettingsRepresentable {
    /// Reads `kind`, retention by default, and what that mixer has beside it.
    public init(reading reader: SettingsReader) {
        switch reader.enumeration("kind", default: Kind.retention) {
        case .retention: self = .retention(RetentionConfiguration(reading: reader))
        }
    }

    /// The kind and all choices of the mixer in one object.
    public var settings: SettingsTree {
        let head: SettingsTree = ["kind": .string(kind.rawValue)]
        switch self {
        case .retention(let retention): return head.merging(retention.settings)
        }
    }
}
