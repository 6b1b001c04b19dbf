import RetNetLayers
import RetNetModels
import RetNetTorch
import Testing

/// Layers that see every k-th token.
@Suite struct SequenceAltUpTests {
    @Test func `The example computed by hand`() throws {
        let x = try Tensor.from([1.0, 2, 3, 4, 5], [1, 5, 1])
        let coefficients = try Tensor.from([1.0, 0.5, 0.5])
        let expected = [5.75, 6.75, 17.25, 18.25, 28.75]
        let written = try AltUp.sequenceDefinition(x, stride: 2, coefficients: coefficients) { try $0 * 10 }
        #expect(try written.doubles() == expected)
        let anchors = try x.sliced(1, 0..<5, by: 2).contiguous()
        let fused = try FusedOperators.sequenceAltUp(
            x, layerOutput: anchors * 10, anchor: nil, innovation: nil, coefficients: coefficients, first: 0,
            stride: 2)
        #expect(try fused.output.doubles() == expected)
        #expect(try fused.anchor.doubles() == [5] && fused.innovation.doubles() == [42.5])
    }

    @Test(arguments: [1, 2, 3, 5, 11], [ElementType.float64, .float32, .bfloat16])
    func `One pass equals the definition, in values and gradients`(stride: Int, type: ElementType) throws {
        let generator = try Generator(seed: 3)
        let x = try generator.normal([2, 11, 37], .float64).to(type).to(.float64).requiringGradient()
        let c = try Tensor.from([0.9, -0.4, 0.7] as [Float]).to(.float64).requiringGradient()
        let narrow = try x.detached().to(type).requiringGradient()
        let c2 = try c.detached().to(type.accumulator).requiringGradient()
        func layer(_ x: Tensor) throws -> Tensor { try x * x + x }
        let expected = try AltUp.sequenceDefinition(x, stride: stride, coefficients: c, layer)
        let anchors = try narrow.sliced(1, 0..<11, by: stride).contiguous()
        let found = try FusedOperators.sequenceAltUp(
            narrow, layerOutput: layer(anchors), anchor: nil, innovation: nil, coefficients: c2, first: 0,
            stride: stride
        ).output
        let limit = type == .float64 ? 1e-12 : type == .float32 ? 5e-6 : 4e-2
        #expect(try AltUpTests.error(found, expected) < limit)
        let seed = try generator.normal(expected.shape, .float64).to(type).to(.float64)
        let a = try Tensor.gradients(of: [expected], seeds: [seed], withRespectTo: [x, c])
        let b = try Tensor.gradients(of: [found], seeds: [seed.to(type)], withRespectTo: [narrow, c2])
        for (x, y) in zip(a, b) {
            #expect(try AltUpTests.error(#require(y), #require(x)) < limit)
        }
    }

    /// All ways of cutting into pieces, with groups that continue from piece to piece.
    @Test(arguments: [[11], [1, 10], [4, 1, 6], [2, 2, 2, 5], [Int](repeating: 1, count: 11)])
    func `Pieces give what the whole gives, in values and gradients`(lengths: [Int]) throws {
        let generator = try Generator(seed: 9)
        let x = try generator.normal([2, 11, 6], .float64).requiringGradient()
        let c = try Tensor.from([0.9, -0.4, 0.7]).requiringGradient()
        func layer(_ x: Tensor) throws -> Tensor { try x * x + x }
        let stride = 3
        var outputs: [Tensor] = []
        var carried: (anchor: Tensor, innovation: Tensor)?
        var start = 0
        for length in lengths {
            let part = try x.sliced(1, start..<start + length)
            let first = (stride - start % stride) % stride
            let anchors = first < length ? try part.sliced(1, first..<length, by: stride).contiguous() : nil
            let mixed = try FusedOperators.sequenceAltUp(
                part, layerOutput: try anchors.map(layer), anchor: carried?.anchor,
                innovation: carried?.innovation, coefficients: c, first: first, stride: stride)
            outputs.append(mixed.output)
            carried = (mixed.anchor, mixed.innovation)
            start += length
        }
        let found = try Tensor.concatenated(outputs, axis: 1)
        let expected = try AltUp.sequenceDefinition(x, stride: stride, coefficients: c, layer)
        #expect(try AltUpTests.error(found, expected) < 1e-12)
        // The carried values after the last piece have the same gradients too.
        let tail = try #require(carried)
        func loss(_ y: Tensor, _ anchor: Tensor, _ innovation: Tensor) throws -> Tensor {
            try (y.sin() * y).sum() + (anchor * innovation).sum()
        }
        let last = try x.selected(1, 9)
        let innovation = try layer(last) - (last * c.selected(0, 0) + last * c.selected(0, 1))
        let a = try Tensor.gradients(
            of: [loss(expected, last, innovation)], seeds: [nil], withRespectTo: [x, c])
        let b = try Tensor.gradients(
            of: [loss(found, tail.anchor, tail.innovation)], seeds: [nil], withRespectTo: [x, c])
        for (x, y) in zip(a, b) { #expect(try AltUpTests.error(#require(y), #require(x)) < 1e-11) }
    }

    @Test func `Averages leave out padding and a short last group counts as it is`() throws {
        let x = try Tensor.from([1.0, 3, 5, 7, 9], [1, 5, 1])
        #expect(try SequenceAltUp.pooled(x, stride: 2).doubles() == [2, 6, 9])
        let mask = try Tensor.from([1.0, 1, 1, 0, 0], [1, 5])
        #expect(try SequenceAltUp.pooled(x, stride: 2, mask: mask).doubles() == [2, 5, 0])
    }

    @Test func `Stride 1 is the layer itself`() throws {
        let store = ParameterStore(source: .random(seed: 1), elementType: .float64)
        let reduction = try SequenceAltUp(store.root, SequenceReductionConfiguration(stride: 1))
        let x = try Generator(seed: 2).normal([2, 5, 4], .float64)
        let found = try reduction(x) { try $0 * 3 - 1 }
        #expect(try AltUpTests.error(found, x * 3 - 1) < 1e-14)
    }
}
