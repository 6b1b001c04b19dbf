import Foundation
import RetNetArchitecture
import RetNetKernels

/// Gated multi-scale retention in its recurrent form (RetNet, arXiv 2307.08621, equations 6 and 8).
///
///     Q = X W_Q     K = X W_K / √a     V = X W_V     G = X W_G        rotate Q and K by absolute position
///     Sₙ = γ Sₙ₋₁ + kₙᵀ vₙ     oₙ = qₙ Sₙ                              one decay γ per head
///     Y = (swish(G) ⊙ HeadNorm(o)) W_O
///
/// With xPos the state is that of keys as seen from the last token read, and every step damps it by ζ^(1/base) per pair.
struct Retention: RuntimeMixer {
    private let c: RetentionConfiguration
    private let query: Matrix
    private let key: Matrix
    private let value: Matrix
    private let gate: Matrix?
    private let output: HeadOutput
    private let rotary: Rotary
    private let memory: MatrixMemory
    private let keySum: MatrixMemory?
    private let logDecays: [Double]
    /// γ [h], or γ ζ^(1/base) [h, a] with xPos.
    private let decays: [Float]

    init(_ builder: inout ModelBuilder, _ c: RetentionConfiguration, _ place: MixerPlace) throws {
        if c.normalization == .decaySumAbs {
            throw RuntimeError.unsupported(
                part: "the normalization 'decay_sum_abs', which needs every past key, token by token")
        }
        self.c = c
        let (d, keyValueHeads) = (place.hiddenSize, c.keyValueHeadCount ?? c.headCount)
        query = try builder.linear("query", from: d, to: c.headCount * c.keySize, bias: c.biases)
        key = try builder.linear("key", from: d, to: keyValueHeads * c.keySize, bias: c.biases)
        value = try builder.linear("value", from: d, to: keyValueHeads * c.valueSize, bias: c.biases)
        gate =
            c.gate == .none
            ? nil : try builder.linear("gate", from: d, to: c.headCount * c.valueSize, bias: c.biases)
        output = try HeadOutput(
            &builder, norm: c.headNorm, gate: c.gate, headCount: c.headCount, valueSize: c.valueSize,
            hiddenSize: d, biases: c.biases)
        rotary = builder.rotary(
            angles: c.rotation.angles(keySize: c.keySize).map { $0 * Double(place.positionStride) },
            isInterleaved: c.rotation == .interleaved)
        logDecays = c.decay.logGammas(headCount: c.headCount).map { $0 * Double(place.positionStride) }
        let damping = Self.logDamping(c, stride: place.positionStride)
        decays =
            !damping.isEmpty
            ? logDecays.flatMap { log in damping.map { Float(exp(log + $0)) } }
            : logDecays.map { Float(exp($0)) }
        func shape(valueSize: Int, valueGroup: Int) -> MatrixShape {
            var shape = MatrixShape(
                headCount: c.headCount, keySize: c.keySize, valueSize: valueSize,
                decays: damping.isEmpty ? RN_HEAD_DECAY : RN_CHANNEL_DECAY)
            shape.keyGroup = c.headCount / keyValueHeads
            shape.valueGroup = valueGroup
            return shape
        }
        memory = try builder.state.memory(
            "memory", shape(valueSize: c.valueSize, valueGroup: c.headCount / keyValueHeads))
        // The sum of scores is retention of the value 1, and z the state of that column.
        keySum =
            c.normalization == .decayAbsSum
            ? try builder.state.memory("key_sum", shape(valueSize: 1, valueGroup: c.headCount)) : nil
    }

    /// ln ζ / base of every key channel, ζⱼ = (2j/a + 0.4)/1.4 of its pair j; empty without xPos.
    private static func logDamping(_ c: RetentionConfiguration, stride: Int) -> [Double] {
        guard let base = c.xPosScaleBase, c.rotation != .none else { return [] }
        let pairs = (0..<c.keySize / 2).map {
            log((2 * Double($0) / Double(c.keySize) + 0.4) / 1.4) * Double(stride) / base
        }
        return c.rotation == .halves ? pairs + pairs : pairs.flatMap { [$0, $0] }
    }

    func mix(_ x: Rows, _ pass: Pass) -> Rows {
        var products = Products(x, pass)
        let (xq, xk) = (products.add(query), products.add(key))
        let (v, g) = (products.add(value), products.add(gate))
        products.run()
        let keyValueHeads = c.keyValueHeadCount ?? c.headCount
        let q = pass.rotate(xq, heads: c.headCount, by: rotary)
        let k = pass.rotate(
            xk, heads: keyValueHeads, by: rotary, scale: 1 / Double(c.keySize).squareRoot())

        var step = MatrixStep(q, k, v)
        step.decays = .constants(decays)
        let heads = pass.run(step, at: memory)
        return output(heads, gate: g, epsilons: epsilons(q, k, pass), pass)
    }

    /// The head norm's epsilons for raw numerators [rows, h], in place of dividing scores by √wₙ cₙ; nil for none.
    private func epsilons(_ q: Rows, _ k: Rows, _ pass: Pass) -> UnsafePointer<Float>? {
        guard c.normalization != .none else { return nil }
        var sums: UnsafeMutablePointer<Float>?
        if let keySum {
            let ones = pass.rows(1, count: q.count)
            ones.data.update(repeating: 1, count: q.count)
            var step = MatrixStep(q, k, ones)
            step.decays = .constants(decays)
            sums = pass.run(step, at: keySum).data
        }
        let epsilons = pass.workspace.floats(q.count * c.headCount)
        rn_score_epsilons(
            logDecays, Int64(c.headCount), pass.counts, Int64(q.count),
            c.headNorm.kind == .none ? 1 : c.headNorm.epsilon, sums, epsilons)
        return UnsafePointer(epsilons)
    }
}
