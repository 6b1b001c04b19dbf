import Foundation
import RetNetArchitecture
import RetNetLayers
import RetNetTorch

/// A layer of the attention-free transformer (AFT, arXiv 2105.14103).
///
///     Y = (σ(X W_Q) ⊙ AFT(X W_K, X W_V; b)) W_O
public struct AFTLayer: TokenMixer {
    /// Sizes and choices.
    public let configuration: AFTConfiguration
    private let query: Linear
    private let key: Linear
    private let value: Linear
    private let output: Linear
    private let factors: (query: Tensor, key: Tensor)?
    private let distances: Tensor?
    /// The longest piece of local windows: the biases of one piece are a matrix.
    private static let pieceLength = 512

    /// `aft`.
    public var name: String { "aft" }

    /// Declares `query`, `key`, `value`, `output` and the parts of `position_bias`.
    public init(_ scope: ParameterScope, _ configuration: AFTConfiguration, _ context: LayerContext) throws {
        self.configuration = configuration
        let c = configuration
        let reading = Initializer.xavierUniform(gain: 0.5.squareRoot())
        let (matrix, deepMatrix) = (context.initialization.matrix, context.initialization.deepMatrix)
        func linear(
            _ name: String, from: Int, to: Int, _ initializer: Initializer, bias: Bool = c.biases
        ) throws -> Linear {
            try Linear(scope.scope(name), from: from, to: to, bias: bias, initializer: initializer)
        }
        query = try linear("query", from: context.hiddenSize, to: c.channelCount, matrix(reading))
        // The same number added to all keys of a channel cancels: a bias would never be trained.
        key = try linear("key", from: context.hiddenSize, to: c.channelCount, matrix(reading), bias: false)
        value = try linear("value", from: context.hiddenSize, to: c.channelCount, deepMatrix(reading))
        output = try linear(
            "output", from: c.channelCount, to: context.hiddenSize, deepMatrix(.xavierUniform(gain: 1)))
        // Position biases are a kind of embedding: small initial values, no weight decay.
        let bias = scope.scope("position_bias")
        let small = Initializer.normal(standardDeviation: 0.01)
        factors = try c.variant.factors.map { rank, length in
            (
                try bias.parameter("query", [length, rank], small, decays: false),
                try bias.parameter("key", [length, rank], small, decays: false)
            )
        }
        if case .local(let window, .relative) = c.variant {
            distances = try bias.parameter("distance", [window], small, decays: false)
        } else {
            distances = nil
        }
    }

    /// True of AFT-simple, whose sums are those of WKV without a decay.
    public var dividesSequences: Bool { if case .simple = configuration.variant { true } else { false } }

    /// Mixes x [B, T, D] → [B, T, D]; returns the state after the last position too.
    public func callAsFunction(_ x: Tensor, state: (any MixerState)?, _ pass: ForwardPass) throws
        -> (output: Tensor, state: any MixerState)
    {
        guard x.size(1) > 0 else { throw MixerError.emptySequence }
        let before = try StateTensors.own(
            state, as: AFTState.self, named: name, batch: x.size(0), configuration.stateTensors)
        let (k, v) = (try key(x), try value(x))
        let average: Tensor
        let next: AFTState
        // Biases belong to the positions that tokens had before any rebasing.
        let moved = try before?.offset?.doubles().map { Int(exactly: $0.rounded()) ?? 0 }
        let positions = pass.positions.enumerated().map { row, place in
            SequencePosition(position: place.position + (moved?[row] ?? 0), count: place.count)
        }
        switch configuration.variant {
        case .simple: (average, next) = try simple(k, v, before, pass)
        case .local(let window, _): (average, next) = try local(k, v, before, window: window, positions)
        case .full: (average, next) = try full(k, v, before, positions)
        }
        return (try output(query(x).sigmoid() * average), next)
    }

    // MARK: Variants

    private func simple(_ k: Tensor, _ v: Tensor, _ state: AFTState?, _ pass: ForwardPass) throws -> (
        Tensor, AFTState
    ) {
        var sums: ExponentialSums?
        if case .simple(let carried) = state { sums = carried }
        let result = try AFT.fused(k, v, AFT.Context(sums: sums, sequence: pass.context.sequence))
        return (result.output, .simple(result.sums))
    }

    private func local(
        _ k: Tensor, _ v: Tensor, _ state: AFTState?, window: Int, _ positions: [SequencePosition]
    ) throws -> (Tensor, AFTState) {
        let type = k.elementType.accumulator
        var sums: ExponentialSums?
        var ring = try (0..<2).map { _ in
            try Tensor.zeros([k.size(0), window - 1, k.size(2)], type, on: k.device)
        }
        var filled = [Int](repeating: 0, count: k.size(0))
        if case .local(let carried, let keys, let values, let counts, _) = state {
            sums = carried
            ring = [keys, values]
            filled = try counts.doubles().map { max(0, min(window - 1, Int(exactly: $0.rounded()) ?? 0)) }
        }
        var outputs: [Tensor] = []
        for start in stride(from: 0, to: k.size(1), by: Self.pieceLength) {
            let range = start..<min(start + Self.pieceLength, k.size(1))
            let (keys, values) = (try k.sliced(1, range), try v.sliced(1, range))
            let history = FusedOperators.WindowHistory(
                key: try ring[0].to(k.elementType), value: try ring[1].to(v.elementType),
                ranges: filled.map { window - 1 - $0..<window - 1 })
            let places = zip(positions, filled).map { ($0.position + start, $1) }
            let result = try AFT.fused(
                keys, values,
                AFT.Context(
                    bias: try bias(places, length: range.count), window: window, history: history, sums: sums)
            )
            outputs.append(result.output)
            sums = result.sums
            ring = try [(ring[0], keys), (ring[1], values)].map { old, new in
                let all = try Tensor.concatenated([old, new.to(type)], axis: 1)
                return try all.sliced(1, range.count..<all.size(1))
            }
            filled = filled.map { min(window - 1, $0 + range.count) }
        }
        guard let sums else { throw MixerError.emptySequence }
        let counts = try Tensor.from(filled.map(Double.init), [k.size(0), 1]).to(type, on: k.device)
        return (
            try Tensor.concatenated(outputs, axis: 1),
            .local(
                sums, key: ring[0], value: ring[1], filled: counts,
                offset: factors == nil ? nil : try state?.offset ?? Self.noOffset(k))
        )
    }

    private func full(_ k: Tensor, _ v: Tensor, _ state: AFTState?, _ positions: [SequencePosition])
        throws -> (Tensor, AFTState)
    {
        var counts = [Int](repeating: 0, count: k.size(0))
        var history: FusedOperators.WindowHistory?
        if case .full(let keys, let values, _) = state {
            counts = positions.map(\.count)
            guard counts.allSatisfy({ $0 >= 0 && $0 <= keys.size(1) }) else {
                throw MixerError.wrongState(
                    expected: "all \(counts.max() ?? 0) tokens seen so far", found: "\(keys.size(1))")
            }
            if counts.contains(where: { $0 > 0 }) {
                history = FusedOperators.WindowHistory(
                    key: try keys.to(k.elementType), value: try values.to(v.elementType),
                    ranges: counts.map { 0..<$0 })
            }
        }
        let places = zip(positions, counts).map { ($0.position, $1) }
        let longest = (counts.max() ?? 0) + k.size(1)
        let result = try AFT.fused(
            k, v,
            AFT.Context(
                bias: try bias(places, length: k.size(1)), window: longest, history: history, absorbs: false))
        let offset = try state?.offset ?? Self.noOffset(k)
        guard let history else { return (result.output, .full(key: k, value: v, offset: offset)) }
        return (
            result.output,
            .full(
                key: try Self.appending(k, to: history.key, counts),
                value: try Self.appending(v, to: history.value, counts), offset: offset)
        )
    }

    private static func noOffset(_ like: Tensor) throws -> Tensor {
        try Tensor.zeros([like.size(0), 1], like.elementType.accumulator, on: like.device)
    }

    /// Returns new tokens [B, T, C] behind the first `counts[row]` entries of every row; zeros behind shorter rows.
    private static func appending(_ new: Tensor, to old: Tensor, _ counts: [Int]) throws -> Tensor {
        let longest = counts.max() ?? 0
        if counts.allSatisfy({ $0 == longest }) {
            return try Tensor.concatenated([old.sliced(1, 0..<longest), new], axis: 1)
        }
        let rows = try counts.enumerated().map { row, count in
            let own = row..<row + 1
            var parts = [try old.sliced(0, own).sliced(1, 0..<count), try new.sliced(0, own)]
            if count < longest {
                parts.append(
                    try Tensor.zeros([1, longest - count, new.size(2)], new.elementType, on: new.device))
            }
            return try Tensor.concatenated(parts, axis: 1)
        }
        return try Tensor.concatenated(rows, axis: 0)
    }

    // MARK: Biases

    /// Returns the biases of a piece whose rows stand at a position after so many tokens of history.
    private func bias(_ places: [(position: Int, count: Int)], length: Int) throws -> FusedOperators
        .WindowBias?
    {
        if let distances {
            return .byLag(try distances.reshaped([1, 1, -1]).expanded([1, length, distances.size(0)]))
        }
        guard let factors, let limit = configuration.variant.factors?.maximumLength else { return nil }
        for (position, count) in places {
            guard position + length <= limit else {
                throw MixerError.tooLong(
                    mixer: "aft with biases by position", length: position + length, limit: limit,
                    remedy: "use shorter texts, a larger 'maximum_length', or biases by distance")
            }
            guard position >= count else {
                throw MixerError.wrongState(
                    expected: "\(count) tokens before position \(position)",
                    found: "a state of later positions")
            }
        }
        let same = places.allSatisfy { $0 == places[0] }
        let longest = (places.map(\.count).max() ?? 0) + length
        let rows = try (same ? Array(places.prefix(1)) : places).map { position, count in
            let first = position - count
            let keys = try factors.key.sliced(0, first..<min(first + longest, limit))
            let biases = try factors.query.sliced(0, position..<position + length)
                .matmul(keys.transposed(0, 1))
            // Entries that only longer rows have are never read for this one.
            let missing = longest - keys.size(0)
            guard missing > 0 else { return biases }
            let spare = try Tensor.zeros([length, missing], biases.elementType, on: biases.device)
            return try Tensor.concatenated([biases, spare], axis: 1)
        }
        return .byToken(try Tensor.stacked(rows, axis: 0))
    }
}

// MARK: State

/// The state of an AFT layer: sums, a ring of recent tokens, or all tokens.
///
/// With biases by position, `offset` [B, 1] is how far the row's positions have been moved back by rebasing.
public enum AFTState: MixerState {
    /// AFT-simple: numerator, denominator and exponent [B, C].
    case simple(ExponentialSums)
    /// AFT-local: the sums over tokens older than the ring, the last window - 1 keys and values [B, W-1, C] (the
    /// newest at the end), and how many of them there are [B, 1].
    case local(ExponentialSums, key: Tensor, value: Tensor, filled: Tensor, offset: Tensor?)
    /// AFT-full: all keys and values [B, tokens, C] in the type of passes.
    case full(key: Tensor, value: Tensor, offset: Tensor)

    /// The tensors under the names of their parts.
    public var tensors: [(name: String, tensor: Tensor)] {
        switch self {
        case .simple(let sums): sums.named
        case .local(let sums, let key, let value, let filled, let offset):
            sums.named + [("key_ring", key), ("value_ring", value), ("filled", filled)]
                + (offset.map { [("offset", $0)] } ?? [])
        case .full(let key, let value, let offset): [("key", key), ("value", value), ("offset", offset)]
        }
    }

    /// All keys and values grow with the tokens.
    public var growingAxes: [String: Int] {
        if case .full = self { ["key": 1, "value": 1] } else { [:] }
    }

    /// The distance by which positions have been moved back, if biases depend on them.
    var offset: Tensor? {
        switch self {
        case .simple: nil
        case .local(_, _, _, _, let offset): offset
        case .full(_, _, let offset): offset
        }
    }

    /// Returns the state with transformed tensors.
    public func mapTensors(_ transform: (Tensor) throws -> Tensor) throws -> AFTState {
        switch self {
        case .simple(let sums): .simple(try sums.map(transform))
        case .local(let sums, let key, let value, let filled, let offset):
            .local(
                try sums.map(transform), key: try transform(key), value: try transform(value),
                filled: try transform(filled), offset: try offset.map(transform))
        case .full(let key, let value, let offset):
            .full(key: try transform(key), value: try transform(value), offset: try transform(offset))
        }
    }

    /// Returns the state with other offsets.
    func with(offset: Tensor) -> AFTState {
        switch self {
        case .simple: self
        case .local(let sums, let key, let value, let filled, _):
            .local(sums, key: key, value: value, filled: filled, offset: offset)
        case .full(let key, let value, _): .full(key: key, value: value, offset: offset)
        }
    }
}

extension AFTLayer {
    /// Returns zeros: nothing seen yet.
    public func initialState(batch: Int, elementType: ElementType, device: Device) throws -> any MixerState {
        try state(
            from: Dictionary(
                uniqueKeysWithValues: configuration.stateTensors.map { part in
                    // Only growing tensors are kept in the type of passes.
                    let type = part.growingAxis == nil ? elementType.accumulator : elementType
                    return (part.name, try Tensor.zeros([batch] + part.shape, type, on: device))
                }))
    }

    /// Returns a state of its named tensors.
    public func state(from tensors: [String: Tensor]) throws -> any MixerState {
        let parts = try StateTensors.ordered(tensors, configuration.stateTensors)
        switch configuration.variant {
        case .full: return AFTState.full(key: parts[0], value: parts[1], offset: parts[2])
        case .simple, .local:
            let sums = ExponentialSums(numerator: parts[0], denominator: parts[1], exponent: parts[2])
            guard parts.count > 3 else { return AFTState.simple(sums) }
            return AFTState.local(
                sums, key: parts[3], value: parts[4], filled: parts[5],
                offset: parts.count > 6 ? parts[6] : nil)
        }
    }

    /// Returns the same state; with biases by position it records how far its rows have moved.
    public func rebased(_ state: any MixerState, by offsets: [Int]) throws -> any MixerState {
        let own = try StateTensors.own(
            state, as: AFTState.self, named: name, batch: offsets.count, configuration.stateTensors)
        guard let own, let before = own.offset else { return state }
        let more = try Tensor.from(offsets.map(Double.init), [offsets.count, 1])
        return own.with(offset: try before + more.to(before.elementType, on: before.device))
    }
}

extension AFTConfiguration: MixerBuilding {
    /// Returns an AFT layer: 4 d² parameters at width d, and 2 · maximum length · rank more for factorized biases.
    public func makeMixer(_ scope: ParameterScope, _ context: LayerContext) throws -> any TokenMixer {
        try AFTLayer(scope, self, context)
    }
}
