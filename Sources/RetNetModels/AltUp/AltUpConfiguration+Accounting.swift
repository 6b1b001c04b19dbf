extension AltUpConfiguration {
    /// What AltUp adds to a layer, with names within the layer: K² + K numbers for a plain mix.
    public func parameterShapes(layer: Int, layerCount: Int, hiddenSize: Int) -> [(
        name: String, shape: [Int]
    )] {
        var shapes: [(name: String, shape: [Int])] = []
        let k = blockCount
        switch kind {
        case .standard, .recycled:
            shapes = [("altup.prediction", [k, k]), ("altup.correction", [k])]
        case .gemma:
            shapes = [
                ("altup.router_norm.weight", [hiddenSize]), ("altup.router.weight", [k, hiddenSize]),
                ("altup.prediction_coefficients.weight", [k * k, k]),
                ("altup.correction_coefficients.weight", [k, k]),
            ]
        case .sum, .none:
            break
        }
        if let sequence, sequence.mode == .altup, sequence.layers(of: layerCount)?.contains(layer) == true {
            shapes.append(("sequence_altup.coefficients", [3]))
        }
        return shapes
    }

    /// What AltUp adds to the stack as a whole: Gemma's projections, 2 (K - 1) matrices [d, d].
    public func parameterShapes(hiddenSize: Int) -> [(name: String, shape: [Int])] {
        guard kind == .gemma else { return [] }
        return ["expand", "collapse"].flatMap { side in
            (1..<max(1, blockCount)).map { ("altup.\(side).\($0).weight", [hiddenSize, hiddenSize]) }
        }
    }

    /// FLOPs of the mix of one layer for one token: K² d + d + K d multiply-adds, and those of a router.
    public func mixFLOPs(hiddenSize: Int) -> Int {
        guard mixesBlocks else { return 0 }
        let k = blockCount
        let mix = (k * k + k + 1) * hiddenSize
        return 2 * (kind == .gemma ? mix + 2 * k * hiddenSize + k * k * k + k * k : mix)
    }

    /// Numbers that a layer keeps beside the dense layer's state: its last anchor and what was done to it.
    func extraStateElementCount(layer: Int, layerCount: Int, hiddenSize: Int) -> Int {
        guard let sequence, sequence.mode == .altup,
            sequence.layers(of: layerCount)?.contains(layer) == true
        else { return 0 }
        return 2 * hiddenSize
    }
}
