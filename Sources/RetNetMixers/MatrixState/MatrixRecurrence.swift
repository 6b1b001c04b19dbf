import RetNetTorch

/// A mixer's memory as a matrix S a head that every position decays, partly erases and writes to, in its equal forms.
///
///     S_t = (I - β_t k_tᵀ k_t) diag(a_t) S_{t-1} + β_t k_tᵀ v_t        o_t = q_t S_t
///
/// Without strengths β nothing is erased and kᵀ v is written whole. The gates a are one number a head (gated
/// retention, Mamba-2, Gated DeltaNet), one a key channel (gated linear attention), or all 1.
///
/// B batch, H heads, T time, K key size, V value size, G groups of heads that share queries and keys.
/// ``definition()`` is the specification; the other forms are tested against it.
public struct MatrixRecurrence {
    /// Outputs [B, H, T, V] and the state after the last position [B, H, K, V].
    public typealias Result = (output: Tensor, state: Tensor)

    /// q [B, G, T, K], already scaled and rotated.
    public let query: Tensor
    /// k [B, G, T, K], normalised where β is given: the erasing is stable only while β |k|² ≤ 2.
    public let key: Tensor
    /// v [B, H, T, V].
    public let value: Tensor
    /// ln a ≤ 0, [B, H, T] or [B, H, T, K]; nil where nothing decays.
    public let logGates: Tensor?
    /// β [B, H, T]; nil where nothing is erased.
    public let beta: Tensor?
    /// S before the first position [B, H, K, V]; nil for zeros.
    public let state: Tensor?

    /// The inputs of one head after the other, for any of the forms.
    public init(
        query: Tensor, key: Tensor, value: Tensor, logGates: Tensor? = nil, beta: Tensor? = nil,
        state: Tensor? = nil
    ) {
        self.query = query
        self.key = key
        self.value = value
        self.logGates = logGates
        self.beta = beta
        self.state = state
    }

    /// The number of positions.
    public var length: Int { query.size(2) }

    /// The type in which states and gates are kept.
    var wide: ElementType { value.elementType.accumulator }

    /// How many heads share queries and keys.
    var share: Int { value.size(1) / query.size(1) }

    func startingState() throws -> Tensor {
        try state?.to(wide)
            ?? Tensor.zeros(
                [value.size(0), value.size(1), query.size(3), value.size(3)], wide, on: value.device)
    }

    /// The recurrence word for word in float64, with every transition written out as a K × K matrix.
    public func definition() throws -> Result {
        guard length > 0 else { throw MixerError.emptySequence }
        let type = ElementType.float64
        let (q, k) = (try perHead(query).to(type), try perHead(key).to(type))
        let v = try value.to(type)
        let lower = try Tensor.ones([k.size(3), k.size(3)], type, on: k.device).lowerTriangle()
        let identity = try lower * lower.transposed(0, 1)
        var memory = try startingState().to(type)
        var outputs: [Tensor] = []
        for t in 0..<length {
            let row = try k.sliced(2, t..<t + 1)
            var write = try row.transposed(-1, -2).matmul(v.sliced(2, t..<t + 1))
            var transition = identity
            if let gates = try gates(at: t)?.to(type) { transition = try transition * gates.exp() }
            if let strength = try beta?.to(type).sliced(2, t..<t + 1).unsqueezed(-1) {
                let erase = try identity - row.transposed(-1, -2).matmul(row) * strength
                transition = try erase.matmul(transition)
                write = try write * strength
            }
            memory = try transition.matmul(memory) + write
            outputs.append(try q.sliced(2, t..<t + 1).matmul(memory))
        }
        return (try Tensor.concatenated(outputs, axis: 2), memory)
    }

    /// One position after another, with gradients; the state is only scaled, read and added to.
    public func recurrent() throws -> Result {
        guard length > 0 else { throw MixerError.emptySequence }
        let (q, k) = (try perHead(query).to(wide), try perHead(key).to(wide))
        let v = try value.to(wide)
        var memory = try startingState()
        var outputs: [Tensor] = []
        for t in 0..<length {
            let row = try k.sliced(2, t..<t + 1)
            if let gates = try gates(at: t) { memory = try memory * gates.exp().transposed(-1, -2) }
            var written = try v.sliced(2, t..<t + 1)
            if let beta {
                let strength = try beta.to(wide).sliced(2, t..<t + 1).unsqueezed(-1)
                written = try (written - row.matmul(memory)) * strength
            }
            memory = try memory + row.transposed(-1, -2).matmul(written)
            outputs.append(try q.sliced(2, t..<t + 1).matmul(memory).to(value.elementType))
        }
        return (try Tensor.concatenated(outputs, axis: 2), memory)
    }

    /// ln a of a position as a row that multiplies columns of a transition, [B, H, 1, 1 or K].
    private func gates(at position: Int) throws -> Tensor? {
        guard let gates = try logGates?.to(wide).sliced(2, position..<position + 1) else { return nil }
        return gates.rank == 4 ? gates : try gates.unsqueezed(-1)
    }

    /// Queries or keys of groups for each of their heads.
    func perHead(_ x: Tensor) throws -> Tensor { try x.repeatInterleaved(share, axis: 1) }
}
