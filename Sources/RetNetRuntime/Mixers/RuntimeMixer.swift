import RetNetArchitecture
import RetNetKernels

/// A token mixer of the engine: rows of several sequences, each from its own state to the next.
///
/// Its initializer asks the builder for its weights by their names and for its places in the state; then it is constant.
/// A mixer reads as its recurrent equation: the loops over segments, heads and channels are in the kernels.
protocol RuntimeMixer {
    /// Returns the mixed rows of x [rows, d], and moves the states of the pass to those after their last rows.
    func mix(_ x: Rows, _ pass: Pass) throws -> Rows
}

/// What the parts of a model are made from: weights by name, the layout of states, and rotations that layers share.
struct ModelBuilder {
    let weights: ModelWeights
    var state: StateLayout
    private(set) var rotations: [Rotary] = []
    /// The prefix of names, as in `layers.3.mixer`.
    var prefix = ""

    init(_ weights: ModelWeights, stateType: StateElementType) {
        self.weights = weights
        state = StateLayout(type: stateType)
    }

    /// Runs a part's initializer with a longer prefix of names.
    mutating func scope<R>(_ name: String, _ body: (inout ModelBuilder) throws -> R) rethrows -> R {
        let outer = prefix
        prefix = path(name)
        defer { prefix = outer }
        return try body(&self)
    }

    /// Returns `NAME.weight` [rows, columns] and its bias.
    func linear(_ name: String, from columns: Int, to rows: Int, bias: Bool = false) throws -> Matrix {
        try weights.linear(path(name), from: columns, to: rows, bias: bias)
    }

    /// Returns a tensor as float32 values.
    func vector(_ name: String, _ shape: Int...) throws -> UnsafePointer<Float> {
        try weights.vector(path(name), shape)
    }

    /// Returns a rotation, with the number of an equal one if a layer has one already.
    mutating func rotary(angles: [Double], isInterleaved: Bool) -> Rotary {
        if let known = rotations.first(where: { $0.angles == angles && $0.isInterleaved == isInterleaved }) {
            return known
        }
        let rotary = Rotary(number: rotations.count, angles: angles, isInterleaved: isInterleaved)
        if !angles.isEmpty { rotations.append(rotary) }
        return rotary
    }

    func path(_ name: String) -> String { prefix.isEmpty ? name : prefix + "." + name }
}

/// The place of a mixer in the model.
struct MixerPlace {
    /// D.
    let hiddenSize: Int
    /// The number of positions of the sequence from one that the mixer sees to the next.
    let positionStride: Int
}

extension MixerConfiguration {
    /// Returns the mixer, whose names begin with the builder's prefix.
    ///
    /// Throws ``RuntimeError/unsupported(part:)`` for mixers that this engine does not run.
    func makeRuntimeMixer(_ builder: inout ModelBuilder, _ place: MixerPlace) throws -> any RuntimeMixer {
        switch self {
        case .retention(let c): try Retention(&builder, c, place)
        case .attention(let c): try SelfAttention(&builder, c, place)
        case .gatedRetention(let c): try GatedRetention(&builder, c, place)
        case .linearAttention(let c): try LinearAttention(&builder, c, place)
        case .rwkv(let c): try RWKVTimeMix(&builder, c, place)
        case .rwkvChannelMix(let c): try RWKVChannelMix(&builder, c, place)
        case .gatedLinearAttention(let c): try GatedLinearAttention(&builder, c, place)
        case .mamba2(let c): try Mamba2(&builder, c, place)
        case .gatedDeltaNet(let c): try GatedDeltaNet(&builder, c, place)
        case .aft, .s4d, .h3, .hyena:
            throw RuntimeError.unsupported(part: "the mixer '\(kind.rawValue)'")
        }
    }
}
