import RetNetDistributed
import RetNetLayers
import RetNetMixers
import RetNetTestSupport
import RetNetTorch
import Testing

/// Sequences that lie on several ranks give what one rank gives: outputs, states after them and all gradients.
@Suite struct SequencePartTests {
    /// What a pass gives; of a part, outputs and the gradient of the input are those of the part.
    struct Found: Sendable {
        var outputs: [Double]
        var inputGradient: [Double]
        var end: [[Double]]
        /// Of all parameters, then of the carried state.
        var gradients: [[Double]]
    }

    /// Runs a pass over x [2, length, D], or this rank's part of it, that begins with a state or without one.
    private static func run(
        _ subject: Subject, length: Int, form: MixerForm, carries: Bool, on ranks: (any RankGroup)?,
        type: ElementType = .float64
    ) throws -> Found {
        let (mixer, store) = try subject.make(type)
        let part = ranks.flatMap { SequencePart(of: length, on: $0) }
        let whole = try Generator(seed: 8).normal([2, length, subject.hiddenSize], .float64).to(type)
        let seed = try Generator(seed: 1).normal(whole.shape, .float64).to(type)
        let range = part?.range ?? 0..<length
        var positions = [SequencePosition](repeating: SequencePosition(), count: 2)
        var state: (any MixerState)?
        if carries {
            let past = try Generator(seed: 5).normal([2, 7, subject.hiddenSize], .float64).to(type)
            let before = try withoutGradients { try runPieces(mixer, past, [(7, .parallel)]) }
            state = try before.state.mapTensors { try $0.detached().clone().requiringGradient() }
            positions = before.positions
        }
        try store.setRequiresGradient(true)
        let x = try whole.sliced(1, range).clone().requiringGradient()
        var context = ForwardContext.inference
        context.sequence = part
        let pass = ForwardPass(
            form: form, positions: positions.map { $0.advanced(by: range.lowerBound) }, context: context)
        let (output, next) = try mixer.mix(x, state: state, pass)
        try (output * seed.sliced(1, range)).to(.float64).sum().backward()
        let leaves = store.tensors + (state?.tensors.map(\.tensor) ?? [])
        let gradients = try leaves.map {
            try $0.gradient()?.doubles() ?? [Double](repeating: 0, count: $0.elementCount)
        }
        let count = positions[0].count + length
        return Found(
            outputs: try output.doubles(), inputGradient: try x.gradient()?.doubles() ?? [],
            end: try seen(next, count: count).map { try $0.tensor.doubles() }, gradients: gradients)
    }

    /// Rows [2, t, D] of all parts as those of the whole.
    private static func joined(_ parts: [[Double]]) -> [Double] {
        var result: [Double] = []
        for row in 0..<2 {
            for part in parts {
                let size = part.count / 2
                result += part[row * size..<(row + 1) * size]
            }
        }
        return result
    }

    private static func check(
        _ parts: [Found], equal whole: Found, _ subject: Subject, tolerance: Double, _ comment: String
    ) {
        let limit = tolerance * subject.slack
        func compare(_ found: [Double], _ expected: [Double], _ name: String) {
            #expect(relativeDifference(found, expected) < limit, "\(subject.name), \(name), \(comment)")
        }
        compare(joined(parts.map(\.outputs)), whole.outputs, "outputs")
        compare(joined(parts.map(\.inputGradient)), whole.inputGradient, "gradient of the input")
        for part in parts {
            for (found, expected) in zip(part.end, whole.end) where !expected.isEmpty {
                compare(found, expected, "state")
            }
            #expect(part.end.count == whole.end.count)
        }
        // Small gradients are sums of large ones, so all are compared with the largest.
        var found = [Double](repeating: 0, count: whole.gradients.joined().count)
        for part in parts {
            for (index, value) in part.gradients.joined().enumerated() { found[index] += value }
        }
        compare(found, Array(whole.gradients.joined()), "gradients")
    }

    /// Scores normalized by sums of absolute values need all keys at once.
    private static var subjects: [Subject] {
        get throws {
            try Subject.all.filter { try $0.make().0.unsupportedReason(for: .chunkwise(1)) == nil }
        }
    }

    @Test(arguments: [2, 4])
    func `Every architecture on several ranks gives what it gives on one`(count: Int) throws {
        let length = 23
        let ways: [(form: MixerForm, carries: Bool)] =
            count == 2 ? [(.parallel, false), (.recurrent, true)] : [(.chunkwise(4), true)]
        let results = try onRanks(count) { group in
            try Self.subjects.map { subject in
                try ways.map {
                    try Self.run(subject, length: length, form: $0.form, carries: $0.carries, on: group)
                }
            }
        }.map { try $0.get() }
        #expect(results[0].count > 25)
        for (index, subject) in try Self.subjects.enumerated() {
            for (way, (form, carries)) in ways.enumerated() {
                let whole = try Self.run(subject, length: length, form: form, carries: carries, on: nil)
                Self.check(
                    results.map { $0[index][way] }, equal: whole, subject, tolerance: 1e-9,
                    "\(count) ranks, \(form), carried \(carries)")
            }
        }
    }

    @Test func `Parts shorter than the taps of a convolution reach back over several ranks`() throws {
        let subjects = try Self.subjects
        let results = try onRanks(3) { group in
            try Self.subjects.map {
                try Self.run($0, length: 3, form: .chunkwise(2), carries: true, on: group)
            }
        }.map { try $0.get() }
        for (index, subject) in subjects.enumerated() {
            let whole = try Self.run(subject, length: 3, form: .chunkwise(2), carries: true, on: nil)
            Self.check(
                results.map { $0[index] }, equal: whole, subject, tolerance: 1e-9, "3 ranks, 3 tokens")
        }
    }

    @Test func `Long parts in float32 agree to rounding`() throws {
        let names = ["retention", "gated retention", "linear", "mamba2"]
        let subjects = Subject.all.filter { names.contains($0.name) }
        let results = try onRanks(2) { group in
            try subjects.map {
                try Self.run(
                    $0, length: 1501, form: .chunkwise(64), carries: true, on: group, type: .float32)
            }
        }.map { try $0.get() }
        for (index, subject) in subjects.enumerated() {
            let whole = try Self.run(
                subject, length: 1501, form: .chunkwise(64), carries: true, on: nil, type: .float32)
            Self.check(
                results.map { $0[index] }, equal: whole, subject, tolerance: 1e-4, "1501 tokens")
        }
        #expect(subjects.count == names.count)
    }

    @Test func `Parts cover a sequence, and none is empty`() throws {
        final class Ranks: RankGroup {
            let rank, count: Int
            init(rank: Int, count: Int) { (self.rank, self.count) = (rank, count) }
            func allReduce(_ tensor: Tensor, _ reduction: RankReduction) {}
            func allGather(_ input: Tensor, into output: Tensor) {}
            func reduceScatter(_ input: Tensor, into output: Tensor, _ reduction: RankReduction) {}
            func send(_ tensor: Tensor, to rank: Int, tag: Int) {}
            func receive(_ tensor: Tensor, from rank: Int, tag: Int) {}
        }
        for count in 1...5 {
            for length in 0...12 {
                let parts = (0..<count).map { SequencePart(of: length, on: Ranks(rank: $0, count: count)) }
                guard length >= count else {
                    #expect(parts.allSatisfy { $0 == nil })
                    continue
                }
                #expect(parts.flatMap { Array($0?.range ?? 0..<0) } == Array(0..<length))
                #expect(parts.allSatisfy { $0.map { $0.wholeLength == length && $0.length > 0 } ?? false })
            }
        }
    }
}
