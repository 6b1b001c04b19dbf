import RetNetKernels
import Testing

/// Recurrences of whole chunks of tokens, against their definition in Double.
@Suite struct ChunkTests {
    struct Case: CustomTestStringConvertible {
        let set: String
        let decay: rn_decay_kind
        let state: rn_weight_type
        var testDescription: String { "\(set), decay \(decay.rawValue), state \(state.rawValue)" }
    }

    static let cases = instructionSets.flatMap { set in
        [(RN_NO_DECAY, RN_F32), (RN_HEAD_DECAY, RN_F32), (RN_HEAD_DECAY, RN_BF16), (RN_HEAD_DECAY, RN_F16)]
            .map {
                Case(set: set, decay: $0, state: $1)
            }
    }

    /// Two sequences whose rows follow each other: 199 tokens behind 41 others, and 130 from the first one on.
    private struct Problem {
        static let sequences = [(first: 0, count: 199, position: 41), (first: 199, count: 130, position: 0)]
        static let rows = 329
        let heads = 4
        let keys: Int
        let values: Int
        let decay: rn_decay_kind
        let type: rn_weight_type
        var q: [Float]
        var k: [Float]
        var v: [Float]
        var decays: [Float]
        var states: [[UInt8]]

        init(keys: Int, values: Int, decay: rn_decay_kind, type: rn_weight_type) {
            (self.keys, self.values, self.decay, self.type) = (keys, values, decay, type)
            var numbers = Numbers(11)
            // Two heads share queries and keys.
            q = numbers.numbers(Self.rows * heads / 2 * keys)
            k = numbers.numbers(Self.rows * heads / 2 * keys, scale: 1 / Float(keys).squareRoot())
            v = numbers.numbers(Self.rows * heads * values)
            decays = numbers.numbers(Self.rows * heads).map { 1 - abs($0) / 16 }
            // A factor of 0 forgets all.
            decays[100 * heads + 1] = 0
            states = []
            for _ in 0..<2 { states.append(narrowed(numbers.numbers(heads * keys * values), type)) }
        }

        /// Runs the tokens begin ..< end of the sequences that are named, from the states given; returns all outputs.
        func run(
            _ pool: Pool, _ states: inout [[UInt8]], _ which: [Int], _ range: Range<Int>,
            into output: inout [Float]
        ) {
            var addresses: [UnsafeMutableRawPointer] = []
            for bytes in states {
                let address = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 64)
                address.copyMemory(from: bytes, byteCount: bytes.count)
                addresses.append(address)
            }
            output.withUnsafeMutableBufferPointer { output in
                withPointers(q, k, v, decays, []) { p in
                    var r = rn_recurrence()
                    (r.heads, r.key_size, r.value_size) = (Int64(heads), Int64(keys), Int64(values))
                    r.state_type = type
                    (r.query, r.key, r.value) = (p[0], p[1], p[2])
                    (r.query_stride, r.key_stride) = (Int64(heads / 2 * keys), Int64(heads / 2 * keys))
                    r.value_stride = Int64(heads * values)
                    (r.query_share, r.key_share, r.value_share) = (2, 2, 1)
                    (r.decay_kind, r.decays, r.decay_stride) = (decay, p[3], Int64(heads))
                    (r.output, r.output_stride) = (output.baseAddress, Int64(heads * values))
                    let sequences = which.compactMap { index -> rn_sequence? in
                        let all = Problem.sequences[index]
                        let part = range.clamped(to: 0..<all.count)
                        guard !part.isEmpty else { return nil }
                        return rn_sequence(
                            state: addresses[index], first: Int64(all.first + part.lowerBound),
                            count: Int64(part.count), position: Int64(all.position + part.lowerBound))
                    }
                    rn_recur(pool.pointer, &r, sequences, Int64(sequences.count))
                }
            }
            for (index, address) in addresses.enumerated() {
                states[index] = Array(UnsafeRawBufferPointer(start: address, count: states[index].count))
                address.deallocate()
            }
        }

        /// The outputs and the states behind the last tokens.
        func definition() -> (output: [Double], states: [Double]) {
            var output = [Double](repeating: 0, count: Self.rows * heads * values)
            var all: [Double] = []
            for (index, sequence) in Self.sequences.enumerated() {
                var state = widened(states[index], type, heads * keys * values).map(Double.init)
                state.withUnsafeMutableBufferPointer { state in
                    for row in sequence.first..<sequence.first + sequence.count {
                        for head in 0..<heads {
                            let a = decay == RN_NO_DECAY ? 1 : Double(decays[row * heads + head])
                            let x = (row * heads / 2 + head / 2) * keys
                            let y = (row * heads + head) * values
                            for i in 0..<keys {
                                let (key, query) = (Double(k[x + i]), Double(q[x + i]))
                                let place = (head * keys + i) * values
                                for j in 0..<values {
                                    let s = a * state[place + j] + key * Double(v[y + j])
                                    state[place + j] = s
                                    output[y + j] += query * s
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

    @Test(arguments: cases) func `Chunks equal the recurrence, however they are cut and batched`(
        _ given: Case
    ) throws {
        let pool = try #require(Pool(threads: 2, instructionSet: given.set))
        let single = try #require(Pool(threads: 1, instructionSet: given.set))
        for (keys, values) in given.state == RN_F32 ? [(7, 83), (33, 64)] : [(7, 40)] {
            let problem = Problem(keys: keys, values: values, decay: given.decay, type: given.state)
            var (states, output) = (
                problem.states, [Float](repeating: .nan, count: Problem.rows * 4 * values)
            )
            problem.run(pool, &states, [0, 1], 0..<200, into: &output)
            let expected = problem.definition()
            let bound = given.state == RN_F32 ? 2e-6 : given.state == RN_F16 ? 2e-3 : 1e-2
            #expect(relativeError(output, expected.output) < bound)
            let found = states.flatMap { widened($0, given.state, 4 * keys * values) }
            #expect(relativeError(found, expected.states) < bound)

            // Each alone, on one thread, in calls that end at multiples of 64 tokens of the sequence.
            var (parts, pieces) = (problem.states, [Float](repeating: .nan, count: output.count))
            for (index, sequence) in Problem.sequences.enumerated() {
                var begin = 0
                while begin < sequence.count {
                    let end = begin + 64 - (sequence.position + begin) % 64
                    problem.run(single, &parts, [index], begin..<end, into: &pieces)
                    begin = end
                }
            }
            #expect(parts == states)
            #expect(pieces == output)
        }
    }

    @Test(arguments: instructionSets) func `What a token holds does not reach the tokens before it`(
        _ set: String
    )
        throws
    {
        let pool = try #require(Pool(threads: 2, instructionSet: set))
        var problem = Problem(keys: 7, values: 20, decay: RN_HEAD_DECAY, type: RN_F32)
        var (states, clean) = (problem.states, [Float](repeating: 0, count: Problem.rows * 80))
        problem.run(pool, &states, [1], 0..<130, into: &clean)
        let row = 199 + 100
        for i in 0..<80 { problem.v[row * 80 + i] = .nan }
        for i in 0..<14 { problem.k[row * 14 + i] = .infinity }
        var (others, output) = (problem.states, [Float](repeating: 0, count: Problem.rows * 80))
        problem.run(pool, &others, [1], 0..<130, into: &output)
        #expect(output[199 * 80..<row * 80] == clean[199 * 80..<row * 80])
        #expect(output[row * 80..<329 * 80].allSatisfy { $0.isNaN })
    }
}
