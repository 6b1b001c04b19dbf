/// Where the first values of RWKV's matrices come from.
public enum RWKVInitialization: String, Sendable, CaseIterable {
    /// RWKV's own: keys, receptances and outputs zero, values orthogonal.
    case rwkv
    /// Those of attention: Xavier-uniform with gain 2^-½, 1 for outputs.
    case model
}
