import CRetNetTorch

extension FusedOperators {
    /// Sums over past tokens of an average with exponential weights, each [B, C]: numerator · e^exponent and
    /// denominator · e^exponent.
    ///
    /// Nothing has been seen where numerator and denominator are 0, whatever the exponent.
    public struct RunningSums {
        /// Σ e^(xᵢ - exponent) vᵢ.
        public var numerator: Tensor
        /// Σ e^(xᵢ - exponent).
        public var denominator: Tensor
        /// The largest xᵢ.
        public var exponent: Tensor

        /// Given sums.
        public init(numerator: Tensor, denominator: Tensor, exponent: Tensor) {
            self.numerator = numerator
            self.denominator = denominator
            self.exponent = exponent
        }
    }

    /// The tokens before a window's first, as the rows `range` of keys and values [B, H, C], one range per batch row.
    public struct WindowHistory {
        /// [B, H, C].
        public var key: Tensor
        /// [B, H, C].
        public var value: Tensor
        /// Entries of each row.
        public var ranges: [Range<Int>]

        /// Given tokens.
        public init(key: Tensor, value: Tensor, ranges: [Range<Int>]) {
            self.key = key
            self.value = value
            self.ranges = ranges
        }
    }

    /// Layout of the biases of token t and the token j steps before it.
    public enum WindowBias {
        /// [B or 1, T, window], at [t, j].
        case byLag(Tensor)
        /// [B or 1, T, tokens], at [t, index of the token among the row's history and the new ones].
        case byToken(Tensor)
    }

    /// The WKV operator of RWKV-4 (arXiv 2305.13048), where there is a kernel: keys, values [B, T, C], decay and bonus [C].
    ///
    /// Differentiable in everything. Returns averages [B, T, C] in the type of the values and the sums after the
    /// last token in float32 (float64 for float64 keys).
    public static func wkv(
        key: Tensor, value: Tensor, decay: Tensor, bonus: Tensor, sums: RunningSums?
    ) throws -> (output: Tensor, sums: RunningSums) {
        try average { out in
            ct_wkv(
                out, key.handle, value.handle, decay.handle, bonus.handle, sums?.numerator.handle,
                sums?.denominator.handle, sums?.exponent.handle)
        }
    }

    /// The average of AFT (arXiv 2105.14103), where there is a kernel: keys, values [B, T, C].
    ///
    /// Tokens less than `window` steps back count e^(key + bias), older ones e^key: those are in the sums, to
    /// which tokens that leave the window are added if `absorbing`. Differentiable in everything.
    public static func biasedWindow(
        key: Tensor, value: Tensor, bias: WindowBias, window: Int, history: WindowHistory?,
        sums: RunningSums?, absorbing: Bool
    ) throws -> (output: Tensor, sums: RunningSums) {
        let batch = key.rank == 3 ? key.size(0) : 0
        let ranges = history?.ranges ?? [Range<Int>](repeating: 0..<0, count: batch)
        guard ranges.count == batch else {
            throw TorchError(
                kind: .value, message: "\(ranges.count) ranges of history do not fit \(batch) rows")
        }
        let (biases, isMatrix) =
            switch bias {
            case .byLag(let tensor): (tensor, false)
            case .byToken(let tensor): (tensor, true)
            }
        return try average { out in
            withSizes(ranges.map(\.lowerBound)) { starts, _ in
                withSizes(ranges.map(\.upperBound)) { ends, _ in
                    ct_biased_window(
                        out, key.handle, value.handle, biases.handle, history?.key.handle,
                        history?.value.handle, sums?.numerator.handle, sums?.denominator.handle,
                        sums?.exponent.handle, starts, ends, Int64(window), isMatrix, absorbing)
                }
            }
        }
    }

    private static func average(_ body: (UnsafeMutablePointer<ct_tensor?>?) -> ct_status) throws
        -> (output: Tensor, sums: RunningSums)
    {
        var handles = [ct_tensor?](repeating: nil, count: 4)
        try check(handles.withUnsafeMutableBufferPointer { body($0.baseAddress) })
        let tensors = handles.compactMap { $0.map { Tensor(owning: $0) } }
        guard tensors.count == 4 else {
            throw TorchError(kind: .other, message: "the native call returned no tensor")
        }
        return (
            tensors[0],
            RunningSums(numerator: tensors[1], denominator: tensors[2], exponent: tensors[3])
        )
    }
}
