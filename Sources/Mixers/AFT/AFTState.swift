import Torch

/// The state of an AFT layer: sums, a ring of recent tokens, or all tokens.
public enum AFTState: MixerState {
    /// AFT-simple: numerator, denominator and exponent [B, C].
    case simple(ExponentialSums)
    /// AFT-local: the sums over tokens older than the ring, the last window - 1 keys and values [B, W-1, C] (the
    /// newest at the end), and how many of them there are [B, 1].
    case local(ExponentialSums, key: Tensor, value: Tensor, filled: Tensor)
    /// AFT-full: all keys and values [B, tokens, C] in the type of passes.
    case full(key: Tensor, value: Tensor)

    /// The tensors under the names of their parts.
    public var tensors: [(name: String, tensor: Tensor)] {
        switch self {
        case .simple(let sums): sums.named
        case .local(let sums, let key, let value, let filled):
            sums.named + [("key_ring", key), ("value_ring", value), ("filled", filled)]
        case .full(let key, let value): [("key", key), ("value", value)]
        }
    }

    /// All keys and values grow with the tokens.
    public var growingAxes: [String: Int] {
        if case .full = self { ["key": 1, "value": 1] } else { [:] }
    }

    /// The state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> AFTState {
        switch self {
        case .simple(let sums): .simple(try sums.map(transform))
        case .local(let sums, let key, let value, let filled):
            .local(
                try sums.map(transform), key: try transform(key), value: try transform(value),
                filled: try transform(filled))
        case .full(let key, let value): .full(key: try transform(key), value: try transform(value))
        }
    }
}
