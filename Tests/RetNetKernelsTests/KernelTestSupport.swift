import RetNetKernels
import Testing

/// Threads with an instruction set, destroyed with this object.
final class Pool {
    let pointer: OpaquePointer

    init?(threads: Int32, instructionSet: String?) {
        guard let pointer = rn_pool_create(threads, instructionSet) else { return nil }
        self.pointer = pointer
    }

    deinit { rn_pool_destroy(pointer) }
}

/// The instruction sets of this processor, the best one first.
let instructionSets: [String] = {
    var names: [String] = []
    while let name = rn_instruction_set_name(Int32(names.count)) { names.append(String(cString: name)) }
    return names
}()

/// A kind of recurrence with a matrix as its state.
struct RecurrenceCase: CustomTestStringConvertible {
    let set: String
    let decay: rn_decay_kind
    let delta: Bool
    let state: rn_weight_type
    var testDescription: String {
        "\(set), decay \(decay.rawValue), delta \(delta), state \(state.rawValue)"
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed &+ 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    /// Between -2 and 2.
    mutating func number() -> Float { Float(Int64(bitPattern: next()) >> 32) * 0x1p-30 }

    mutating func numbers(_ count: Int, scale: Float = 1) -> [Float] {
        (0..<count).map { _ in number() * scale }
    }
}

func bfloat16(_ x: Float) -> UInt16 {
    let bits = x.bitPattern
    return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) >> 16)
}

func float(bfloat16 bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

/// Returns ‖found - expected‖ / ‖expected‖ over the elements found.
func relativeError(_ found: [Float], _ expected: [Double]) -> Double {
    var difference = 0.0
    var size = 0.0
    for (a, b) in zip(found, expected) {
        difference += (Double(a) - b) * (Double(a) - b)
        size += b * b
    }
    return size > 0 ? (difference / size).squareRoot() : difference.squareRoot()
}

/// A matrix in the memory layout of a weight type, with the numbers that it stands for.
struct Matrix {
    let type: rn_weight_type
    let rows: Int
    let columns: Int
    var data: [UInt8] = []
    var scales: [UInt16] = []
    var minima: [UInt16] = []
    /// The numbers, [rows, columns].
    var values: [Double] = []

    static let types: [rn_weight_type] = [RN_F32, RN_BF16, RN_F16, RN_I8, RN_I4]

    init(_ type: rn_weight_type, rows: Int, columns: Int, seed: UInt64) {
        self.type = type
        self.rows = rows
        self.columns = columns
        var numbers = Numbers(seed)
        switch type {
        case RN_F32:
            let x = numbers.numbers(rows * columns)
            data = x.withUnsafeBytes { Array($0) }
            values = x.map(Double.init)
        case RN_BF16:
            let x = numbers.numbers(rows * columns).map(bfloat16)
            data = x.withUnsafeBytes { Array($0) }
            values = x.map { Double(float(bfloat16: $0)) }
        case RN_F16:
            // Subnormal numbers too.
            let x = (0..<rows * columns).map { _ in
                Float16(numbers.number()) * (numbers.next() & 1 == 0 ? 1 : 1e-5)
            }
            data = x.withUnsafeBytes { Array($0) }
            values = x.map(Double.init)
        case RN_I8:
            let q = (0..<rows * columns).map { _ in Int8(truncatingIfNeeded: numbers.next() >> 20) }
            let s = (0..<rows * columns / 32).map { _ in Float16(0.001 + 0.01 * abs(numbers.number())) }
            data = q.map { UInt8(bitPattern: $0) }
            scales = s.map(\.bitPattern)
            values = q.indices.map { Double(s[$0 / 32]) * Double(q[$0]) }
        default:
            let q = (0..<rows * columns).map { _ in UInt8(truncatingIfNeeded: numbers.next() >> 20) & 15 }
            let s = (0..<rows * columns / 32).map { _ in Float16(0.01 + 0.1 * abs(numbers.number())) }
            let m = s.map { $0 * Float16(-7.5 + numbers.number()) }
            for group in 0..<q.count / 32 {
                for i in 0..<16 { data.append(q[group * 32 + i] | q[group * 32 + i + 16] << 4) }
            }
            scales = s.map(\.bitPattern)
            minima = m.map(\.bitPattern)
            values = q.indices.map { Double(s[$0 / 32]) * Double(q[$0]) + Double(m[$0 / 32]) }
        }
    }

    /// The products with rows of x [batch, columns], every row of which is followed by NaN.
    func products(
        _ x: [Float], batch: Int, bias: [Float]? = nil, pool: Pool?, copies: Int = 1
    ) -> [[Float]] {
        let stride = columns + 3
        var padded = [Float](repeating: .nan, count: batch * stride)
        for row in 0..<batch {
            for i in 0..<columns { padded[row * stride + i] = x[row * columns + i] }
        }
        let results = (0..<copies).map { _ in
            UnsafeMutableBufferPointer<Float>.allocate(capacity: batch * rows)
        }
        defer { for result in results { result.deallocate() } }
        for result in results { result.initialize(repeating: .nan) }
        let scratch = UnsafeMutableRawPointer.allocate(
            byteCount: Int(rn_multiply_scratch(pool?.pointer, Int64(columns), Int64(batch))), alignment: 1)
        defer { scratch.deallocate() }
        withWeights { weights in
            let multiply = { (bias: UnsafePointer<Float>?) in
                let products = results.map {
                    rn_product(weights: weights, bias: bias, y: $0.baseAddress, y_stride: Int64(rows))
                }
                rn_multiply(
                    pool?.pointer, products, Int64(copies), padded, Int64(stride), Int64(batch), scratch)
            }
            if let bias { bias.withUnsafeBufferPointer { multiply($0.baseAddress) } } else { multiply(nil) }
        }
        return results.map { Array($0) }
    }

    func withWeights<Result>(_ body: (rn_weights) -> Result) -> Result {
        data.withUnsafeBytes { data in
            scales.withUnsafeBufferPointer { scales in
                minima.withUnsafeBufferPointer { minima in
                    body(
                        rn_weights(
                            data: data.baseAddress, scales: scales.baseAddress, minima: minima.baseAddress,
                            rows: Int64(rows), columns: Int64(columns), type: type))
                }
            }
        }
    }

    /// The sum that defines the products, over x as an instruction set multiplies it: in int8 for weights of 8 and 4 bits,
    /// and in bfloat16 for such weights where the processor has products of them.
    func definition(_ x: [Float], batch: Int, bias: [Float]? = nil, set: String) -> [Double] {
        let x =
            switch type {
            case RN_I8, RN_I4: roundedToGroups(x)
            case RN_BF16 where set == "avx512bf16": x.map { Double(float(bfloat16: bfloat16($0))) }
            default: x.map(Double.init)
            }
        var results: [Double] = []
        values.withUnsafeBufferPointer { values in
            x.withUnsafeBufferPointer { x in
                for row in 0..<batch {
                    for n in 0..<rows {
                        var sum = bias.map { Double($0[n]) } ?? 0
                        var k = 0
                        while k < columns {
                            sum += values[n * columns + k] * x[row * columns + k]
                            k += 1
                        }
                        results.append(sum)
                    }
                }
            }
        }
        return results
    }
}

/// Every group of 32 numbers as multiples of its largest one divided by 127.
func roundedToGroups(_ x: [Float]) -> [Double] {
    stride(from: 0, to: x.count, by: 32).flatMap { start -> [Double] in
        let group = x[start..<start + 32]
        let largest = group.map(abs).max() ?? 0
        guard largest > 0 else { return group.map(Double.init) }
        return group.map { Double(($0 * (127 / largest)).rounded(.toNearestOrEven)) * Double(largest / 127) }
    }
}
