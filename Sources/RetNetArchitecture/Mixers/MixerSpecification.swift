import RetNetSettings

/// The configuration of a token mixer: its settings and its costs.
///
/// Everything is arithmetic, immediate for any size.
public protocol MixerSpecification: Sendable, Equatable, DeclaredSettings {
    /// The case of ``MixerConfiguration`` with this specification.
    var configuration: MixerConfiguration { get }

    /// Returns the reason why mixers of this configuration cannot run in a form, or nil if they can.
    func unsupportedReason(for form: MixerForm) -> String?

    /// The fastest form for training.
    var trainingForm: MixerForm { get }

    /// True if mixers measure distances in positions of the sequence even where they see only some of them.
    ///
    /// Layers of Sequence-AltUp see every k-th token.
    var honorsPositionStride: Bool { get }

    /// The numbers of heads that several ranks divide between them, by the names of their settings; nil for mixers that have
    /// to be whole on every rank.
    var dividedCounts: [(setting: String, count: Int)]? { get }

    /// Returns the mixer of one of several ranks, with its part of the heads.
    func divided(between rankCount: Int) -> Self

    /// The tensors of the state of one sequence, in the order in which they are saved.
    var stateTensors: [StateTensor] { get }

    /// Returns FLOPs of one more token after `position` tokens, without projections; a multiply-add is two.
    func recurrentFLOPs(position: Int) -> Int

    /// Returns forward FLOPs per position in the chunkwise form, without projections, full squares within chunks.
    func forwardFLOPsPerToken(chunkLength: Int) -> Int

    /// Returns backward FLOPs per position in the chunkwise form, without projections.
    func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int
}

extension MixerSpecification {
    /// Nil: every form is supported.
    public func unsupportedReason(for form: MixerForm) -> String? { nil }

    /// Chunks of 128, or parallel if there are no chunks.
    public var trainingForm: MixerForm {
        unsupportedReason(for: .chunkwise(128)) == nil ? .chunkwise(128) : .parallel
    }

    /// False: distances are counted in the positions that the mixer sees.
    public var honorsPositionStride: Bool { false }

    /// Nil: the mixer has to be whole.
    public var dividedCounts: [(setting: String, count: Int)]? { nil }

    /// Returns the same mixer.
    public func divided(between rankCount: Int) -> Self { self }

    /// Returns FLOPs of the recurrent form in the middle of a chunk.
    public func forwardFLOPsPerToken(chunkLength: Int) -> Int {
        recurrentFLOPs(position: MixerCosts.bounded(chunkLength) / 2)
    }

    /// Returns twice the FLOPs of the forward pass.
    public func backwardFLOPsPerToken(chunkLength: Int, recomputesStates: Bool) -> Int {
        2 * forwardFLOPsPerToken(chunkLength: chunkLength)
    }
}

/// FLOPs of mixers whose state is a matrix per head, without projections; a multiply-add is two.
package enum MixerCosts {
    /// The longest chunk with gates per key channel: products of gates are formed step by step within it.
    package static let channelChunkLength = 16
    /// The longest chunk with β: the system to be solved grows with the square of it.
    package static let deltaChunkLength = 64

    /// Returns the chunk length, at least 1 and at most 2^20 so that products of it do not overflow.
    static func bounded(_ chunkLength: Int) -> Int { min(max(1, chunkLength), 1 << 20) }

    /// 2C(K+V)H + 4KVH: scores and their values, reading the state and writing to it.
    static func chunkwise(_ chunkLength: Int, headCount: Int, keySize: Int, valueSize: Int) -> Int {
        2 * bounded(chunkLength) * (keySize + valueSize) * headCount + 4 * headCount * keySize * valueSize
    }

    /// 2C(3K+2V)H + 8KVH, and 2KVH for computing the states again.
    static func backward(
        _ chunkLength: Int, headCount: Int, keySize: Int, valueSize: Int, recomputesStates: Bool
    ) -> Int {
        2 * bounded(chunkLength) * (3 * keySize + 2 * valueSize) * headCount
            + (recomputesStates ? 10 : 8) * headCount * keySize * valueSize
    }
}

/// The shapes of the states of one mixer.
package struct MatrixStateLayout {
    package let mixer: String
    /// H, K, V.
    package let matrix: [Int]
    /// W-1 and C of every ring.
    package var rings: [(name: String, shape: [Int])] = []

    package init(mixer: String, matrix: [Int], rings: [(name: String, shape: [Int])] = []) {
        self.mixer = mixer
        self.matrix = matrix
        self.rings = rings
    }

    /// `memory`, then the rings.
    package var tensors: [StateTensor] {
        [StateTensor("memory", matrix)] + rings.map { StateTensor($0.name, $0.shape) }
    }
}
