import RetNetTorch

/// The inputs one token back, and mixtures of them with the current ones.
enum TokenShift {
    /// x_{t-1} for every t of x [B, T, D]; before the first token stands `previous` [B, D], or zeros.
    static func previous(_ x: Tensor, _ previous: Tensor?) throws -> Tensor {
        let first =
            try previous?.to(x.elementType).unsqueezed(1)
            ?? Tensor.zeros([x.size(0), 1, x.size(2)], x.elementType, on: x.device)
        guard x.size(1) > 1 else { return first }
        return try Tensor.concatenated([first, x.sliced(1, 0..<x.size(1) - 1)], axis: 1)
    }

    /// μ ⊙ x_t + (1 - μ) ⊙ x_{t-1}, given x_{t-1} and x_t - x_{t-1}.
    static func mix(_ past: Tensor, _ difference: Tensor, _ weight: Tensor) throws -> Tensor {
        try past + difference * weight.to(past.elementType)
    }

    /// The last input of x [B, T, D], as states keep it: [B, D].
    static func last(_ x: Tensor) throws -> Tensor {
        try x.selected(1, x.size(1) - 1).to(x.elementType.accumulator)
    }
}
