import RetNetTestSupport
import RetNetTorch
import Testing

/// An output matrix with the loss of its logits as one operator, against logits and loss one after the other in float64.
@Suite struct OutputLossTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var rows = 23
        var vocabulary = 37
        var hasBias = false
        var zLoss = 0.0
        /// The type in which matrix and bias are stored; nil for that of the hidden states.
        var stored: ElementType?
        /// Rows whose logits are formed at once.
        var blockRows: Int?

        var testDescription: String {
            "\(rows) × \(vocabulary), bias \(hasBias), z-loss \(zLoss), \(blockRows.map { "\($0) rows" } ?? "whole")"
        }
    }

    static let cases = [
        Case(), Case(hasBias: true, zLoss: 0.1, blockRows: 7), Case(stored: .float32, blockRows: 5),
        Case(rows: 1, vocabulary: 1, hasBias: true),
        Case(rows: 64, vocabulary: 130, zLoss: 1e-3, blockRows: 1),
        Case(vocabulary: 33, hasBias: true, stored: .float32, blockRows: 1000),
    ]

    /// The loss, its parts, and the gradients by hidden states, matrix and bias, of numbers that a type has.
    private func results(
        _ c: Case, _ type: ElementType, source: ElementType, scale: Double = 0.37,
        _ run: (_ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ targets: Tensor) throws -> [Tensor]
    ) throws -> [Tensor] {
        let generator = try Generator(seed: 7)
        let stored = type == .float64 ? .float64 : c.stored ?? type
        func input(_ shape: [Int], _ type: ElementType) throws -> Tensor {
            try generator.normal(shape, .float64).to(source).to(type).detached().clone().requiringGradient()
        }
        let x = try input([c.rows, 12], type)
        let weight = try input([c.vocabulary, 12], stored)
        let bias = c.hasBias ? try input([c.vocabulary], stored) : nil
        let targets = try Tensor.from(
            (0..<c.rows).map { $0 % 5 == 3 ? -100 : Int64(($0 * 7) % c.vocabulary) })
        let outputs = try run(x, weight, bias, targets)
        let seed = try Tensor.full(outputs[0].shape, scale, outputs[0].elementType)
        let gradients = try Tensor.gradients(
            of: [outputs[0]], seeds: [seed], withRespectTo: [x, weight] + (bias.map { [$0] } ?? []))
        #expect(gradients[1]?.elementType == stored)
        return try outputs + gradients.map { try #require($0) }
    }

    private func clear(_ c: Case) -> (Tensor, Tensor, Tensor?, Tensor) throws -> [Tensor] {
        { x, weight, bias, targets in
            let logits = try x.linear(weight, bias: bias)
            let (losses, logSums) = try FusedOperators.tokenLosses(logits, targets: targets)
            let counted = try targets.isEqual(to: -100).not().to(.float64)
            let entropy = try losses.sum()
            let hits = try logits.argmax(axis: -1).isEqual(to: targets).to(.float64).sum()
            return [try entropy + (logSums * logSums * counted).sum() * c.zLoss, entropy, hits]
        }
    }

    private func fused(_ c: Case, _ type: ElementType) -> (Tensor, Tensor, Tensor?, Tensor) throws -> [Tensor]
    {
        { x, weight, bias, targets in
            let result = try FusedOperators.outputLoss(
                x, weight: weight, bias: bias, targets: targets, zLoss: c.zLoss, countsCorrect: true,
                blockByteCount: c.blockRows.map { $0 * c.vocabulary * type.byteCount })
            return [result.loss, result.entropy, try #require(result.correct)]
        }
    }

    @Test(arguments: cases, [ElementType.float64, .float32, .bfloat16])
    func `Loss, parts and gradients equal those of logits as a whole`(_ c: Case, type: ElementType) throws {
        let found = try results(c, type, source: type, fused(c, type))
        let expected = try results(c, .float64, source: type, clear(c))
        try #require(found.count == expected.count)
        for (index, (a, b)) in zip(found, expected).enumerated() {
            // Logits that are equal in 16 bits may be different ones.
            if index == 2, type == .bfloat16 { continue }
            #expect(try relativeError(a, b) < tolerance(type), "result \(index)")
        }
    }

    @Test(arguments: cases)
    func `The same where bfloat16 is multiplied in float32`(_ c: Case) throws {
        let found = try FusedOperators.withFloat32Products {
            try results(c, .bfloat16, source: .bfloat16, fused(c, .bfloat16))
        }
        let expected = try results(c, .float64, source: .bfloat16, clear(c))
        for (a, b) in zip(found, expected) { #expect(try relativeError(a, b) < tolerance(.bfloat16)) }
    }

    @Test func `Without gradients there are none, and what cannot be scored is refused`() throws {
        let generator = try Generator(seed: 7)
        let (x, weight) = (try generator.normal([9, 4]), try generator.normal([5, 4]).requiringGradient())
        let targets = try Tensor.from([Int64](repeating: 4, count: 9))
        let result = try withoutGradients {
            try FusedOperators.outputLoss(x, weight: weight, targets: targets)
        }
        #expect(!result.loss.requiresGradient && result.correct == nil)
        #expect(try FusedOperators.outputLoss(x, weight: weight, targets: targets).loss.requiresGradient)
        #expect(
            !(try FusedOperators.outputLoss(x, weight: weight, targets: targets).entropy.requiresGradient))
        for bad in [-1, 5] as [Int64] {
            let targets = try Tensor.from([Int64](repeating: bad, count: 9))
            #expect(throws: TorchError.self) {
                try FusedOperators.outputLoss(x, weight: weight, targets: targets)
            }
        }
        #expect(throws: TorchError.self) {
            try FusedOperators.outputLoss(x.sliced(0, 0..<8), weight: weight, targets: targets)
        }
        #expect(throws: TorchError.self) {
            try FusedOperators.outputLoss(x, weight: weight.sliced(1, 0..<3), targets: targets)
        }
        #expect(throws: TorchError.self) {
            try FusedOperators.withoutKernels {
                try FusedOperators.outputLoss(x, weight: weight, targets: targets)
            }
        }
    }

    @Test func `It is the way from four million logits on, where there is a kernel`() throws {
        let x = try Tensor.zeros([1024, 2])
        #expect(!FusedOperators.runsOutputLoss(x, vocabularySize: 4096))
        #expect(FusedOperators.runsOutputLoss(x, vocabularySize: 4097))
        #expect(FusedOperators.runsOutputLoss(x, vocabularySize: .max))
        #expect(!FusedOperators.withoutKernels { FusedOperators.runsOutputLoss(x, vocabularySize: 4097) })
    }
}
