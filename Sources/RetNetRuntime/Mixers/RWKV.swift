import Foundation
import RetNetArchitecture
import RetNetKernels

/// The time mixing of RWKV-4 (arXiv 2305.13048, section 3.1).
///
///     r, k, v = W (μ ⊙ x_t + (1 - μ) ⊙ x_{t-1})        one μ and one W each
///     y_t = (A_t + e^(u + k_t) v_t) / (B_t + e^(u + k_t))     A_{t+1} = e^-w A_t + e^(k_t) v_t, B likewise
///     Y = (σ(r) ⊙ y) W_o
struct RWKVTimeMix: RuntimeMixer {
    private let channels: Int
    /// μ of keys, values and receptances.
    private let mixes: [UnsafePointer<Float>]
    /// w = e^ω.
    private let decay: [Float]
    private let bonus: UnsafePointer<Float>
    private let receptance: Matrix
    private let key: Matrix
    private let value: Matrix
    private let output: Matrix
    private let sums: StatePlace
    private let previous: StatePlace

    init(_ builder: inout ModelBuilder, _ c: RWKVConfiguration, _ place: MixerPlace) throws {
        let d = c.channelCount
        try place.check("rwkv", width: d)
        channels = d
        mixes = try ["key", "value", "receptance"].map { try builder.vector("time_mix_\($0)", d) }
        let exponents = try builder.vector("time_decay", d)
        decay = (0..<d).map { Float(exp(Double(exponents[$0]))) }
        bonus = try builder.vector("time_first", d)
        receptance = try builder.linear("receptance", from: d, to: d)
        key = try builder.linear("key", from: d, to: d)
        value = try builder.linear("value", from: d, to: d)
        output = try builder.linear("output", from: d, to: d)
        // Numerator, denominator and exponent follow each other.
        sums = try builder.state.place("numerator")
        previous = try builder.state.place("previous_input")
    }

    func mix(_ x: Rows, _ pass: Pass) -> Rows {
        let past = pass.previous(x, at: previous)
        let k = pass.multiply(pass.mix(past, x, mixes[0]), key)
        let v = pass.multiply(pass.mix(past, x, mixes[1]), value)
        let r = pass.multiply(pass.mix(past, x, mixes[2]), receptance)
        let y = pass.rows(channels)
        decay.withUnsafeBufferPointer { decay in
            var average = rn_wkv(
                channels: Int64(channels), key: k.data, value: v.data, output: y.data,
                stride: Int64(channels),
                decay: decay.baseAddress, bonus: bonus)
            rn_average(pass.pool, &average, pass.sequences(at: sums), Int64(pass.segmentCount))
        }
        return pass.multiply(pass.apply(RN_SIGMOID, r, times: y), output)
    }
}

/// The channel mixing of RWKV-4 (arXiv 2305.13048, section 3.1): a gated feed-forward over two neighboring tokens.
///
///     r, k = W (μ ⊙ x_t + (1 - μ) ⊙ x_{t-1})        one μ and one W each
///     y = σ(r) ⊙ W_v max(k, 0)²
struct RWKVChannelMix: RuntimeMixer {
    private let channels: Int
    /// μ of keys and receptances.
    private let mixes: [UnsafePointer<Float>]
    private let receptance: Matrix
    private let key: Matrix
    private let value: Matrix
    private let previous: StatePlace

    init(_ builder: inout ModelBuilder, _ c: RWKVChannelMixConfiguration, _ place: MixerPlace) throws {
        let d = c.channelCount
        try place.check("rwkv channel mix", width: d)
        channels = d
        mixes = try ["key", "receptance"].map { try builder.vector("time_mix_\($0)", d) }
        receptance = try builder.linear("receptance", from: d, to: d)
        key = try builder.linear("key", from: d, to: c.innerSize)
        value = try builder.linear("value", from: c.innerSize, to: d)
        previous = try builder.state.place("previous_input")
    }

    func mix(_ x: Rows, _ pass: Pass) -> Rows {
        let past = pass.previous(x, at: previous)
        let k = pass.multiply(pass.mix(past, x, mixes[0]), key)
        let r = pass.multiply(pass.mix(past, x, mixes[1]), receptance)
        return pass.apply(RN_SIGMOID, r, times: pass.multiply(pass.apply(RN_SQUARED_RELU, k), value))
    }
}

extension Pass {
    /// Returns x_{t-1} for every row, and keeps the last row of every segment for the next pass.
    fileprivate func previous(_ x: Rows, at place: StatePlace) -> Rows {
        let past = rows(x.width)
        for (index, rows) in segments.enumerated() {
            let kept = storages[index].floats(at: place)
            (past.data + rows.lowerBound * x.width).update(from: kept, count: x.width)
            (past.data + (rows.lowerBound + 1) * x.width).update(
                from: x.data + rows.lowerBound * x.width, count: (rows.count - 1) * x.width)
            kept.update(from: x.data + (rows.upperBound - 1) * x.width, count: x.width)
        }
        return past
    }

    /// Returns μ ⊙ x_t + (1 - μ) ⊙ x_{t-1}.
    fileprivate func mix(_ past: Rows, _ x: Rows, _ weight: UnsafePointer<Float>) -> Rows {
        let y = rows(x.width)
        for row in 0..<x.count {
            let start = row * x.width
            rn_interpolate(past.data + start, x.data + start, weight, y.data + start, Int64(x.width))
        }
        return y
    }
}

extension MixerPlace {
    /// Throws ``RuntimeError/unsupported(part:)`` for a mixer of another width than the model.
    func check(_ mixer: String, width: Int) throws {
        guard width != hiddenSize else { return }
        throw RuntimeError.unsupported(
            part: "'\(mixer)' for \(width) channels in a model of the width \(hiddenSize)")
    }
}
