import RetNetKernels
import Testing

/// Recurrences of many tokens in blocks, against their definition in Double.
@Suite struct BlockTests {
    static let cases = instructionSets.flatMap { set in
        [
            (RN_NO_DECAY, false, RN_F32), (RN_HEAD_DECAY, false, RN_F32), (RN_CHANNEL_DECAY, false, RN_F32),
            (RN_HEAD_DECAY, true, RN_F32), (RN_HEAD_DECAY, false, RN_BF16), (RN_HEAD_DECAY, false, RN_F16),
            (RN_CHANNEL_DECAY, true, RN_F16),
        ].map { RecurrenceCase(set: set, decay: $0, delta: $1, state: $2) }
    }

    /// Two sequences whose rows follow each other: 199 tokens behind 41 others, and 130 from the first one on.
    private struct Problem {
        static let sequences = [(first: 0, count: 199, position: 41), (first: 199, count: 130, position: 0)]
        static let rows = 329
        let heads = 4
        let keys: Int
        let values: Int
        let given: RecurrenceCase
        var q: [Float]
        var k: [Float]
        var v: [Float]
        var decays: [Float]
        var strengths: [Float]

        /// Decays of a token.
        var decayWidth: Int { given.decay == RN_CHANNEL_DECAY ? heads * keys : heads }

        init(keys: Int, values: Int, _ given: RecurrenceCase) {
            (self.keys, self.values, self.given) = (keys, values, given)
            var numbers = Numbers(11)
            // Two heads share queries and keys.
            q = numbers.numbers(Self.rows * heads / 2 * keys)
            k = numbers.numbers(Self.rows * heads / 2 * keys, scale: 1 / Float(keys).squareRoot())
            v = numbers.numbers(Self.rows * heads * values)
            strengths = numbers.numbers(Self.rows * heads).map { abs($0) / 4 }
            decays = []
            decays = numbers.numbers(Self.rows * decayWidth).map { 1 - abs($0) / 16 }
            // A factor of 0 forgets all.
            decays[100 * decayWidth + 1] = 0
        }

        /// A recurrence without rows.
        var shape: rn_recurrence {
            var r = rn_recurrence()
            (r.heads, r.key_size, r.value_size) = (Int64(heads), Int64(keys), Int64(values))
            r.state_type = given.state
            (r.query_share, r.key_share, r.value_share) = (2, 2, 1)
            r.decay_kind = given.decay
            return r
        }

        /// Runs the tokens begin ..< end of the sequences that are named, from the states given; writes their outputs.
        func run(
            _ pool: Pool, _ states: [SequenceMemory], _ which: [Int], _ range: Range<Int>,
            into output: inout [Float]
        ) {
            output.withUnsafeMutableBufferPointer { output in
                withPointers(q, k, v, decays, strengths) { p in
                    var r = shape
                    (r.query, r.key, r.value) = (p[0], p[1], p[2])
                    (r.query_stride, r.key_stride) = (Int64(heads / 2 * keys), Int64(heads / 2 * keys))
                    r.value_stride = Int64(heads * values)
                    (r.decays, r.decay_stride) = (p[3], Int64(decayWidth))
                    if given.delta { (r.strengths, r.strength_stride) = (p[4], Int64(heads)) }
                    (r.output, r.output_stride) = (output.baseAddress, Int64(heads * values))
                    let sequences = which.compactMap { index -> rn_sequence? in
                        let all = Problem.sequences[index]
                        let part = range.clamped(to: 0..<all.count)
                        guard !part.isEmpty else { return nil }
                        return states[index].sequence(
                            first: all.first + part.lowerBound, count: part.count,
                            position: all.position + part.lowerBound)
                    }
                    recur(&r, sequences, pool)
                }
            }
        }

        func start() -> [SequenceMemory] {
            var numbers = Numbers(12)
            return (0..<2).map { _ in
                SequenceMemory(narrowed(numbers.numbers(heads * keys * values), given.state), shape)
            }
        }

        /// The outputs and the states behind the last tokens.
        func definition() -> (output: [Double], states: [Double]) {
            var output = [Double](repeating: 0, count: Self.rows * heads * values)
            var all: [Double] = []
            for (sequence, memory) in zip(Self.sequences, start()) {
                var state = widened(memory.state, given.state, heads * keys * values).map(Double.init)
                state.withUnsafeMutableBufferPointer { state in
                    for row in sequence.first..<sequence.first + sequence.count {
                        for head in 0..<heads {
                            let x = (row * heads / 2 + head / 2) * keys
                            let y = (row * heads + head) * values
                            var write = (0..<values).map { Double(v[y + $0]) }
                            for i in 0..<keys {
                                let a =
                                    given.decay == RN_NO_DECAY
                                    ? 1
                                    : Double(
                                        decays[
                                            row * decayWidth
                                                + (given.decay == RN_HEAD_DECAY ? head : head * keys + i)])
                                let (key, place) = (Double(k[x + i]), (head * keys + i) * values)
                                for j in 0..<values {
                                    state[place + j] *= a
                                    if given.delta { write[j] -= key * state[place + j] }
                                }
                            }
                            if given.delta {
                                for j in 0..<values { write[j] *= Double(strengths[row * heads + head]) }
                            }
                            for i in 0..<keys {
                                let (key, query) = (Double(k[x + i]), Double(q[x + i]))
                                let place = (head * keys + i) * values
                                for j in 0..<values {
                                    state[place + j] += key * write[j]
                                    output[y + j] += query * state[place + j]
                                }
                            }
                        }
                    }
                }
                all += state
            }
            return (output, all)
        }
    }

    @Test(arguments: cases) func `Blocks equal the recurrence, however they are cut and batched`(
        _ given: RecurrenceCase
    ) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: given.set))
        let single = try #require(Pool(threads: 1, instructionSet: given.set))
        for (keys, values) in given.state == RN_F32 ? [(7, 83), (33, 64)] : [(7, 40)] {
            let problem = Problem(keys: keys, values: values, given)
            let states = problem.start()
            var output = [Float](repeating: .nan, count: Problem.rows * 4 * values)
            problem.run(pool, states, [0, 1], 0..<200, into: &output)

            // Each alone, on one thread, in calls that end anywhere.
            let parts = problem.start()
            var pieces = [Float](repeating: .nan, count: output.count)
            for (index, sequence) in Problem.sequences.enumerated() {
                var begin = 0
                while begin < sequence.count {
                    let end = min(sequence.count, begin + [1, 1, 2, 7, 16, 1, 3, 37][begin % 8])
                    problem.run(single, parts, [index], begin..<end, into: &pieces)
                    begin = end
                }
            }
            #expect(pieces == output)
            for index in 0..<2 {
                #expect(parts[index].state == states[index].state)
                // Behind 240 tokens, which are whole blocks, and 130.
                #expect(states[index].isSettled == (index == 0))
                states[index].settle(problem.shape, pool)
                parts[index].settle(problem.shape, single)
                #expect(parts[index].state == states[index].state)
            }

            let expected = problem.definition()
            let bound = given.state == RN_F32 ? 2e-6 : given.state == RN_F16 ? 2e-3 : 1e-2
            #expect(relativeError(output, expected.output) < bound)
            let found = states.flatMap { widened($0.state, given.state, 4 * keys * values) }
            #expect(relativeError(found, expected.states) < bound)
        }
    }

    @Test(arguments: instructionSets) func `What a token holds does not reach the tokens before it`(
        _ set: String
    )
        throws
    {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        for delta in [false, true] {
            var problem = Problem(
                keys: 7, values: 20,
                RecurrenceCase(set: set, decay: RN_HEAD_DECAY, delta: delta, state: RN_F32))
            var clean = [Float](repeating: 0, count: Problem.rows * 80)
            problem.run(pool, problem.start(), [1], 0..<130, into: &clean)
            let row = 199 + 100
            for i in 0..<80 { problem.v[row * 80 + i] = .nan }
            for i in 0..<14 { problem.k[row * 14 + i] = .infinity }
            var output = [Float](repeating: 0, count: Problem.rows * 80)
            problem.run(pool, problem.start(), [1], 0..<130, into: &output)
            #expect(output[199 * 80..<row * 80] == clean[199 * 80..<row * 80])
            #expect(output[row * 80..<329 * 80].allSatisfy { $0.isNaN })
        }
    }

    @Test(arguments: instructionSets) func `Sums that never decay keep their digits`(_ set: String) throws {
        let pool = try #require(Pool(threads: 1, instructionSet: set))
        var r = rn_recurrence()
        (r.heads, r.key_size, r.value_size) = (1, 1, 1)
        (r.query_share, r.key_share, r.value_share) = (1, 1, 1)
        let memory = SequenceMemory([UInt8](repeating: 0, count: 4), r)
        // Added one by one, the same numbers are rounded in the same way over and over.
        let keys: [Float] = [0.7, 1.1, 0.9, 1.3, 0.6]
        var (output, oneByOne, exact): (Float, Float, Double) = (0, 0, 0)
        for token in 0..<40_000 {
            let key = keys[token % 5]
            withPointers([1], [key]) { p in
                (r.query, r.key, r.value) = (p[0], p[1], p[0])
                withUnsafeMutablePointer(to: &output) {
                    r.output = $0
                    recur(&r, [memory.sequence(first: 0, count: 1, position: token)], pool)
                }
            }
            oneByOne += key
            exact += Double(key)
        }
        #expect(abs(Double(output) - exact) < abs(Double(oneByOne) - exact) / 3)
    }
}

/// The state of a sequence and its recent tokens, in memory of their own.
final class SequenceMemory {
    private let memory: (state: UnsafeMutableRawPointer, recent: UnsafeMutableRawPointer)
    private let sizes: (state: Int, recent: Int)

    init(_ state: [UInt8], _ shape: rn_recurrence) {
        var shape = shape
        sizes = (state.count, Int(rn_recent_bytes(&shape)))
        memory = (
            .allocate(byteCount: sizes.state, alignment: 64),
            .allocate(byteCount: sizes.recent, alignment: 64)
        )
        memory.state.copyMemory(from: state, byteCount: state.count)
        memory.recent.initializeMemory(as: UInt8.self, repeating: 0, count: sizes.recent)
    }

    deinit {
        memory.state.deallocate()
        memory.recent.deallocate()
    }

    var state: [UInt8] { Array(UnsafeRawBufferPointer(start: memory.state, count: sizes.state)) }
    var isSettled: Bool { rn_is_settled(memory.recent) }

    func sequence(first: Int, count: Int, position: Int) -> rn_sequence {
        rn_sequence(
            state: memory.state, recent: memory.recent, first: Int64(first), count: Int64(count),
            position: Int64(position))
    }

    func settle(_ shape: rn_recurrence, _ pool: Pool) {
        var (shape, sequence) = (shape, sequence(first: 0, count: 0, position: 0))
        let scratch = UnsafeMutableRawPointer.allocate(
            byteCount: Int(rn_recur_scratch(pool.pointer, &shape)), alignment: 64)
        defer { scratch.deallocate() }
        rn_settle(pool.pointer, &shape, &sequence, 1, scratch)
    }
}

/// Runs a recurrence with scratch of its own.
func recur(_ recurrence: inout rn_recurrence, _ sequences: [rn_sequence], _ pool: Pool) {
    let scratch = UnsafeMutableRawPointer.allocate(
        byteCount: Int(rn_recur_scratch(pool.pointer, &recurrence)), alignment: 64)
    defer { scratch.deallocate() }
    rn_recur(pool.pointer, &recurrence, sequences, Int64(sequences.count), scratch)
}
