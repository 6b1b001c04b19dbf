import RetNetArchitecture
import RetNetKernels

/// The reduction of a layer to every k-th token, the anchors; the others take over the update of the last anchor.
///
///     ŷᵢ = a₁ xᵢ + a₂ x_c        outᵢ = ŷᵢ + b (L(anchors)_c - ŷ_c)        c the anchor at or before token i
///
/// With the mode `skip`, tokens that are no anchors pass unchanged. Source: AltUp, arXiv 2301.13310, section 4.
struct SequenceReduction {
    private let stride: Int
    private let width: Int
    /// a₁, a₂ and b, and the places of the last anchor and of its update in the state; nil with `skip`.
    private let carry: (coefficients: UnsafePointer<Float>, anchor: StatePlace, innovation: StatePlace)?

    /// Nil for layers that see all tokens.
    init?(_ builder: inout ModelBuilder, _ c: LanguageModelConfiguration, layer: Int) throws {
        guard let sequence = c.altUp?.sequence, sequence.layers(of: c.layerCount)?.contains(layer) == true
        else { return nil }
        stride = sequence.stride
        width = c.hiddenSize
        carry =
            sequence.mode == .altup
            ? (
                try builder.vector("sequence_altup.coefficients", 3),
                try builder.state.place(SequenceReductionConfiguration.anchorName),
                try builder.state.place(SequenceReductionConfiguration.innovationName)
            ) : nil
    }

    /// Applies a block to the anchors among the rows of x, and returns all rows.
    func callAsFunction(_ x: Rows, _ pass: Pass, _ block: (Rows, Pass) throws -> Rows) throws -> Rows {
        let inner = pass.cleared()
        var anchors: [Int] = []
        for (index, place) in pass.places.enumerated() {
            let (first, length) = (pass.segments[index].lowerBound, pass.segments[index].count)
            let wait = (stride - place.count % stride) % stride
            let seen = Array(Swift.stride(from: wait, to: length, by: stride))
            guard !seen.isEmpty else { continue }
            inner.add(
                pass.storages[index],
                at: SequencePosition(
                    position: (place.position + wait) / stride, count: (place.count + stride - 1) / stride),
                length: seen.count)
            anchors += seen.map { first + $0 }
        }
        let input = pass.rows(width, count: anchors.count)
        for (index, row) in anchors.enumerated() {
            (input.data + index * width).update(from: x.data + row * x.stride, count: width)
        }
        let output = anchors.isEmpty ? input : try block(input, inner)
        let y = pass.copy(x)
        guard carry != nil else {
            for (index, row) in anchors.enumerated() {
                (y.data + row * width).update(from: output.data + index * width, count: width)
            }
            return y
        }
        mix(x, output, pass, into: y)
        return y
    }

    /// Computes all rows from the outputs of anchors, which come in their order, and keeps the last anchor of every segment.
    private func mix(_ x: Rows, _ outputs: Rows, _ pass: Pass, into y: Rows) {
        guard let carry else { return }
        let (a1, a2, b) = (
            Double(carry.coefficients[0]), Double(carry.coefficients[1]), Double(carry.coefficients[2])
        )
        var next = 0
        for (index, place) in pass.places.enumerated() {
            let (first, length) = (pass.segments[index].lowerBound, pass.segments[index].count)
            let state = pass.storages[index]
            let anchor = Rows(state.floats(at: carry.anchor), count: 1, width: width)
            let innovation = Rows(state.floats(at: carry.innovation), count: 1, width: width)
            for token in 0..<length {
                let row = Rows(x.data + (first + token) * x.stride, count: 1, width: width)
                if (place.count + token) % stride == 0 {
                    anchor.data.update(from: row.data, count: width)
                    innovation.data.update(from: outputs.data + next * width, count: width)
                    pass.add(anchor, times: -(a1 + a2), to: innovation)
                    next += 1
                }
                let out = Rows(y.data + (first + token) * width, count: 1, width: width)
                pass.add(anchor, times: a2, to: out, times: a1)
                pass.add(innovation, times: b, to: out)
            }
        }
    }
}
