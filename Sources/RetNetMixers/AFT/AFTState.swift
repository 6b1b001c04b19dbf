import RetNetTorch

/// The state of an AFT layer: sums, a ring of recent tokens, or all tokens.
///
/// With biases by position, `offset` [B, 1] says how far the row's positions have been moved back by rebasing.
public enum AFTState: MixerState {
    /// AFT-simple: numerator, denominator and exponent [B, C].
    case simple(ExponentialSums)
    /// AFT-local: the sums over tokens older than the ring, the last window - 1 keys and values [B, W-1, C] (the
    /// newest at the end), and how many of them there are [B, 1].
    case local(ExponentialSums, key: Tensor, value: Tensor, filled: Tensor, offset: Tensor?)
    /// AFT-full: all keys and values [B, tokens, C] in the type of passes.
    case full(key: Tensor, value: Tensor, offset: Tensor)

    /// The tensors under the names of their parts.
    public var tensors: [(name: String, tensor: Tensor)] {
        switch self {
        case .simple(let sums): sums.named
        case .local(let sums, let key, let value, let filled, let offset):
            sums.named + [("key_ring", key), ("value_ring", value), ("filled", filled)]
                + (offset.map { [("offset", $0)] } ?? [])
        case .full(let key, let value, let offset): [("key", key), ("value", value), ("offset", offset)]
        }
    }

    /// All keys and values grow with the tokens.
    public var growingAxes: [String: Int] {
        if case .full = self { ["key": 1, "value": 1] } else { [:] }
    }

    /// How far positions have been moved back, where biases depend on them.
    var offset: Tensor? {
        switch self {
        case .simple: nil
        case .local(_, _, _, _, let offset): offset
        case .full(_, _, let offset): offset
        }
    }

    /// The state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> AFTState {
        switch self {
        case .simple(let sums): .simple(try sums.map(transform))
        case .local(let sums, let key, let value, let filled, let offset):
            .local(
                try sums.map(transform), key: try transform(key), value: try transform(value),
                filled: try transform(filled), offset: try offset.map(transform))
        case .full(let key, let value, let offset):
            .full(key: try transform(key), value: try transform(value), offset: try transform(offset))
        }
    }

    /// The state with other offsets.
    func with(offset: Tensor) -> AFTState {
        switch self {
        case .simple: self
        case .local(let sums, let key, let value, let filled, _):
            .local(sums, key: key, value: value, filled: filled, offset: offset)
        case .full(let key, let value, _): .full(key: key, value: value, offset: offset)
        }
    }
}
