import CRetNetTorch

extension FusedOperators {
    /// Method of ``longConvolution(_:taps:skip:starts:length:method:)``.
    public enum ConvolutionMethod: Sendable {
        /// The faster one at the given sizes.
        case automatic
        /// Sums as they are written.
        case direct
        /// Products of spectra, padded so that nothing wraps around.
        case spectral

        var code: ct_convolution_method {
            switch self {
            case .automatic: CT_CONVOLUTION_AUTOMATIC
            case .direct: CT_CONVOLUTION_DIRECT
            case .spectral: CT_CONVOLUTION_SPECTRAL
            }
        }
    }

    /// Causal depthwise convolution of x [B, M, C] with long filters [L, C]: outputs [B, T, C] for T = `length`.
    ///
    /// The outputs of row b are those of positions `starts[b]` and the following; what x holds after them is not
    /// read. With `skip` [C], x times skip is added. Sums are float32 (float64 for float64), differentiable.
    public static func longConvolution(
        _ x: Tensor, taps: Tensor, skip: Tensor? = nil, starts: [Int]? = nil, length: Int? = nil,
        method: ConvolutionMethod = .automatic
    ) throws -> Tensor {
        guard x.rank == 3 else {
            throw TorchError(kind: .value, message: "a long convolution needs x [B, M, C], found \(x.shape)")
        }
        return try withSizes(starts ?? [Int](repeating: 0, count: x.size(0))) { starts, rows in
            try Tensor.make {
                ct_long_convolution(
                    $0, x.handle, taps.handle, skip?.handle, starts, rows, Int64(length ?? x.size(1)),
                    method.code)
            }
        }
    }

    /// The tables by which a diagonal state space acts on chunks of rows; M complex modes per head as 2M numbers.
    public struct DiagonalTables {
        /// K_l [H, N] for chunks of N rows, with D in K_0.
        public var taps: Tensor
        /// (2 Re, -2 Im) of C Ā^(r+1), [H, R, 2M].
        public var read: Tensor
        /// (Re, Im) of Ā^l B̄, [H, R, 2M].
        public var write: Tensor
        /// (Re, Im) of Ā^e, [H, R+1, 2M].
        public var power: Tensor

        /// All four.
        public init(taps: Tensor, read: Tensor, write: Tensor, power: Tensor) {
            self.taps = taps
            self.read = read
            self.write = write
            self.power = power
        }
    }

    /// ((Q Kᵀ) ⊙ Toeplitz(taps)) V inside chunks with a diagonal state between them: q, k, v [B, T, H·P].
    ///
    /// The state [B, H, 2M, P·P] (nil: zeros) holds M complex modes for each pair of channels. Returns
    /// [B, T, H·P] in the type of q and the next state, which without `keepsState` is not computed and has no elements.
    /// Differentiable; only where there is a kernel.
    public static func diagonalHeads(
        query: Tensor, key: Tensor, value: Tensor, tables: DiagonalTables, state: Tensor?,
        keepsState: Bool = true
    ) throws -> (output: Tensor, state: Tensor) {
        guard keepsState else {
            let output = try Tensor.make {
                ct_diagonal_heads(
                    $0, nil, query.handle, key.handle, value.handle, tables.taps.handle, tables.read.handle,
                    tables.write.handle, tables.power.handle, state?.handle)
            }
            let type = query.elementType.accumulator
            return (
                output, try Tensor.zeros([query.size(0), tables.taps.size(0), 0, 0], type, on: query.device)
            )
        }
        var out: ct_tensor?
        var next: ct_tensor?
        try check(
            ct_diagonal_heads(
                &out, &next, query.handle, key.handle, value.handle, tables.taps.handle, tables.read.handle,
                tables.write.handle, tables.power.handle, state?.handle))
        guard let out, let next else {
            throw TorchError(kind: .other, message: "the diagonal heads returned no tensor")
        }
        return (Tensor(owning: out), Tensor(owning: next))
    }

    /// One step of diagonal heads without gradients: q, k, v [B, H·P]; the state [B, H, 2M, P·P] is overwritten.
    ///
    /// `alpha` is Ā - 1, `input` B̄ and `readout` C as (Re, Im), [H, 2M]; `skip` [H]. Only where there is a kernel.
    public static func diagonalHeadsStep(
        query: Tensor, key: Tensor, value: Tensor, state: Tensor, alpha: Tensor, input: Tensor,
        readout: Tensor, skip: Tensor
    ) throws -> Tensor {
        try Tensor.make {
            ct_diagonal_heads_step(
                $0, query.handle, key.handle, value.handle, state.handle, alpha.handle, input.handle,
                readout.handle, skip.handle)
        }
    }

    /// One step of C independent state spaces without gradients: u [B, C] → 2 Re(C x) [B, C].
    ///
    /// The state [B, C, 2, M] is overwritten with x + `alpha` x + `input` u; tables are [C, 2, M]. Needs a kernel.
    public static func diagonalStep(
        _ u: Tensor, state: Tensor, alpha: Tensor, input: Tensor, readout: Tensor
    ) throws -> Tensor {
        try Tensor.make {
            ct_diagonal_step($0, u.handle, state.handle, alpha.handle, input.handle, readout.handle)
        }
    }
}

extension Tensor {
    /// The angle of x + iy in radians, where this tensor is y.
    public func angle(over x: Tensor) throws -> Tensor {
        try Tensor.make { ct_atan2($0, handle, x.handle) }
    }

    /// A number that changes whenever a byte of the tensors does, at the speed of memory; for tensors on the CPU.
    public static func fingerprint(of tensors: [Tensor]) throws -> UInt64 {
        var value: UInt64 = 0
        try withHandles(tensors) { try check(ct_fingerprint(&value, $0, Int32(tensors.count))) }
        return value
    }
}
