import RetNetLayers
import RetNetTorch

extension SequencePart {
    /// Exchanges the running sums that all ranks' parts leave, each computed with nothing before it, and returns those before
    /// this rank's part, and those after the whole sequence, outside the graph.
    ///
    /// A token's weight falls by `decay` [C] with each token behind it; nil for none.
    func merged(_ own: ExponentialSums, decay: Tensor?, from carried: ExponentialSums?) throws
        -> (entering: ExponentialSums, end: ExponentialSums)
    {
        let all = try gathered(Tensor.stacked([own.numerator, own.denominator, own.exponent], axis: 0))
        let parts = try lengths.indices.map { index in
            let part = try all.selected(0, index)
            return ExponentialSums(
                numerator: try part.selected(0, 0), denominator: try part.selected(0, 1),
                exponent: try part.selected(0, 2))
        }
        func after(_ indices: Range<Int>, _ start: ExponentialSums) throws -> ExponentialSums {
            try indices.reduce(start) { sums, index in
                try WKV.joined(sums, to: parts[index], decay: decay.map { try $0 * Double(lengths[index]) })
            }
        }
        let start =
            try carried
            ?? .empty(
                batch: own.numerator.size(0), channels: own.numerator.size(1), own.numerator.elementType,
                own.numerator.device)
        let entering = try after(0..<rank, start).map { try $0 + all.root }
        let end = try withoutGradients { try after(rank..<count, entering) }
        return (entering, try end.map { try $0.detached() })
    }

    /// The same for complex modes, which go through a part by the powers that `power` returns for its length; all broadcast.
    func merged(
        _ own: ComplexTensor, from carried: ComplexTensor?, power: (Int) throws -> ComplexTensor
    ) throws -> (entering: ComplexTensor, end: ComplexTensor) {
        let all = try gathered(own.planes(axis: 0))
        func after(_ indices: Range<Int>, _ start: ComplexTensor?) throws -> ComplexTensor? {
            try indices.reduce(start) { modes, index in
                let part = try ComplexTensor(planes: all.selected(0, index), axis: 0)
                return try modes.map { try $0 * power(lengths[index]) + part } ?? part
            }
        }
        let zeros = try Tensor.zeros(own.real.shape, own.real.elementType, on: own.real.device)
        let start = try after(0..<rank, carried) ?? ComplexTensor(real: zeros, imaginary: zeros)
        let entering = try start.map { try $0 + all.root }
        let end = try withoutGradients { try after(rank..<count, entering) } ?? entering
        return (entering, try end.map { try $0.detached() })
    }
}
