import Foundation
import RetNetArchitecture
import RetNetKernels

/// The layers of a model one after the other, each on the rows that the one before left, or with AltUp around them.
struct LayerStack {
    private let streams: Streams?

    init(
        _ builder: inout ModelBuilder, _ c: AltUpConfiguration?, hiddenSize: Int, layerCount: Int,
        layers: String = "layers"
    ) throws {
        streams = try c.map {
            try Streams(&builder, $0, hiddenSize: hiddenSize, layerCount: layerCount, layers: layers)
        }
    }

    /// Returns the streams of embedded rows: these alone where nothing is around the layers.
    func begin(_ x: Rows, _ pass: Pass) -> [Rows] { streams?.expand(x, pass) ?? [x] }

    /// Replaces the streams by those behind a layer, in their places, and gives back the rest of the work space.
    func layer(_ index: Int, _ parts: inout [Rows], _ pass: Pass, _ layer: (Rows) throws -> Rows) throws {
        let mark = pass.workspace.mark
        let kept = parts.map(\.data)
        if let streams {
            try streams.mix(layer: index, &parts, pass, layer)
        } else {
            parts[0] = try layer(parts[0])
        }
        // What a layer returned lies behind the mark; the streams keep their places.
        for (index, place) in kept.enumerated() where parts[index].data != place {
            place.update(from: parts[index].data, count: parts[index].count * parts[index].width)
            parts[index] = Rows(place, count: parts[index].count, width: parts[index].width)
        }
        pass.workspace.release(to: mark)
    }

    /// Returns the streams as one.
    func end(_ parts: [Rows], _ pass: Pass) -> Rows { streams?.collapse(parts, pass) ?? parts[0] }
}

/// AltUp around the blocks: K streams of hidden states, of which every block computes on one (arXiv 2301.13310).
///
///     predict   x̂ⁱ     = Σⱼ pᵢⱼ x_oldʲ
///     compute   x̃      = L(x_oldᵃ)
///     correct   x_newⁱ = x̂ⁱ + gᵢ (x̃ - x̂ᵃ)
struct Streams {
    private let c: AltUpConfiguration
    private let hiddenSize: Int
    private let mixes: [StreamMix]
    private let ends: GemmaEnds?

    /// The mix of one layer.
    private enum StreamMix {
        case constant(prediction: UnsafePointer<Float>, correction: UnsafePointer<Float>, active: Int)
        case gemma(GemmaMix)
    }

    /// The parameters of layer i are under `LAYERS.i.altup`, those of the ends under `altup`.
    init(
        _ builder: inout ModelBuilder, _ c: AltUpConfiguration, hiddenSize: Int, layerCount: Int,
        layers: String
    ) throws {
        self.c = c
        self.hiddenSize = hiddenSize
        let k = c.streamCount
        mixes = try (0..<(c.mixesStreams ? layerCount : 0)).map { layer in
            try builder.scope("\(layers).\(layer).altup") { builder in
                if c.kind == .gemma {
                    return .gemma(try GemmaMix(&builder, streamCount: k, hiddenSize: hiddenSize))
                }
                return .constant(
                    prediction: try builder.vector("prediction", k, k),
                    correction: try builder.vector("correction", k), active: c.activeStream(layer: layer))
            }
        }
        ends = c.kind == .gemma ? try GemmaEnds(&builder, streamCount: k, hiddenSize: hiddenSize) : nil
    }

    /// Returns the streams of embedded rows [rows, embeddingWidth].
    func expand(_ x: Rows, _ pass: Pass) -> [Rows] {
        switch c.kind {
        case .standard, .sum:
            let parts = (0..<c.streamCount).map { part in
                copy(x.columns(from: part * hiddenSize, count: hiddenSize), pass)
            }
            guard c.kind == .sum else { return parts }
            for part in parts.dropFirst() { pass.add(part, to: parts[0]) }
            return [parts[0]]
        case .recycled: return (0..<c.streamCount).map { _ in copy(x, pass) }
        case .gemma: return ends?.streams(of: x, pass) ?? [x]
        case .none: return [x]
        }
    }

    /// Returns the streams as one, [rows, outputWidth].
    func collapse(_ streams: [Rows], _ pass: Pass) -> Rows {
        guard streams.count > 1 else { return streams[0] }
        if let ends { return ends.one(of: streams, pass) }
        if c.kind == .standard {
            let y = pass.rows(streams.count * hiddenSize, count: streams[0].count)
            for (index, stream) in streams.enumerated() {
                for row in 0..<y.count {
                    (y.data + row * y.width + index * hiddenSize)
                        .update(from: stream.data + row * stream.stride, count: hiddenSize)
                }
            }
            return y
        }
        let factor = c.reduction == .sum ? 1 : 1 / Double(streams.count)
        let y = streams[0]
        for (index, stream) in streams.dropFirst().enumerated() {
            pass.add(stream, times: factor, to: y, times: index == 0 ? factor : 1)
        }
        return y
    }

    /// Replaces the streams by those behind a layer, which maps the active one.
    func mix(
        layer: Int, _ streams: inout [Rows], _ pass: Pass, _ body: (Rows) throws -> Rows
    ) throws {
        guard mixes.indices.contains(layer) else {
            streams[0] = try body(streams[0])
            return
        }
        switch mixes[layer] {
        case .gemma(let mix): try mix(&streams, pass, body)
        case .constant(let prediction, let correction, let active):
            let k = streams.count
            let predicted = (0..<k).map { stream in
                let y = pass.rows(hiddenSize, count: streams[0].count)
                for other in 0..<k {
                    // The first term replaces what the memory held; 0 times that could be NaN.
                    if other == 0 { y.data.update(repeating: 0, count: y.count * y.width) }
                    pass.add(streams[other], times: Double(prediction[stream * k + other]), to: y)
                }
                return y
            }
            let input = copy(c.layerInput == .old ? streams[active] : predicted[active], pass)
            let innovation = try body(input)
            pass.add(predicted[active], times: -1, to: innovation)
            for stream in 0..<k {
                pass.add(innovation, times: Double(correction[stream]), to: predicted[stream])
                streams[stream].data.update(
                    from: predicted[stream].data, count: innovation.count * hiddenSize)
            }
        }
    }

    private func copy(_ x: Rows, _ pass: Pass) -> Rows { pass.copy(x) }
}

extension Pass {
    /// Returns the rows without gaps, in memory of their own.
    func copy(_ x: Rows) -> Rows {
        let y = rows(x.width, count: x.count)
        for row in 0..<x.count {
            (y.data + row * x.width).update(from: x.data + row * x.stride, count: x.width)
        }
        return y
    }
}

/// Gemma 3n's mix around one layer: coefficients depend on the row, and the layer reads the prediction.
///
///     m(x) = tanh(W_r RMSNorm(x) / D)        A = W_p m(x⁰), as [K, K]        x̂ⁱ = xⁱ + Σⱼ Aᵢⱼ xʲ
///     x̃ = L(x̂⁰)        c = W_c m(x̃) + 1        x_newⁱ = x̂ⁱ + cᵢ (x̃ - x̂⁰)
struct GemmaMix {
    private let norm: Norm
    private let router: Matrix
    private let prediction: Matrix
    private let correction: Matrix

    init(_ builder: inout ModelBuilder, streamCount k: Int, hiddenSize: Int) throws {
        norm = try Norm(
            &builder, "router_norm", size: hiddenSize,
            NormConfiguration(kind: .rms, epsilon: 1e-6, affine: true))
        router = try builder.linear("router", from: hiddenSize, to: k)
        prediction = try builder.linear("prediction_coefficients", from: k, to: k * k)
        correction = try builder.linear("correction_coefficients", from: k, to: k)
    }

    func callAsFunction(
        _ streams: inout [Rows], _ pass: Pass, _ body: (Rows) throws -> Rows
    ) throws {
        let (k, count, width) = (streams.count, streams[0].count, streams[0].width)
        let coefficients = pass.multiply(modalities(streams[0], pass), prediction)
        let predicted = streams.map { pass.copy($0) }
        for row in 0..<count {
            for stream in 0..<k {
                for other in 0..<k {
                    let factor = coefficients.data[row * k * k + stream * k + other]
                    pass.add(
                        Rows(streams[other].data + row * width, count: 1, width: width),
                        times: Double(factor),
                        to: Rows(predicted[stream].data + row * width, count: 1, width: width))
                }
            }
        }
        let output = try body(pass.copy(predicted[0]))
        let factors = pass.multiply(modalities(output, pass), correction)
        pass.add(predicted[0], times: -1, to: output)
        for row in 0..<count {
            for stream in 0..<k {
                pass.add(
                    Rows(output.data + row * width, count: 1, width: width),
                    times: Double(factors.data[row * k + stream] + 1),
                    to: Rows(predicted[stream].data + row * width, count: 1, width: width))
            }
        }
        for stream in 0..<k {
            streams[stream].data.update(from: predicted[stream].data, count: count * width)
        }
    }

    /// m(x), [rows, K].
    private func modalities(_ x: Rows, _ pass: Pass) -> Rows {
        let scores = pass.multiply(norm(x, pass), router)
        for index in 0..<scores.count * scores.width {
            scores.data[index] = Float(tanh(Double(scores.data[index]) / Double(x.width)))
        }
        return scores
    }
}

/// Gemma 3n's expansion and collapse: every further stream is a projection, scaled to the magnitude of the first.
struct GemmaEnds {
    private let expand: [Matrix]
    private let collapse: [Matrix]

    init(_ builder: inout ModelBuilder, streamCount: Int, hiddenSize: Int) throws {
        (expand, collapse) = try builder.scope("altup") { builder in
            func matrices(_ name: String) throws -> [Matrix] {
                try (1..<max(1, streamCount)).map {
                    try builder.linear("\(name).\($0)", from: hiddenSize, to: hiddenSize)
                }
            }
            return (try matrices("expand"), try matrices("collapse"))
        }
    }

    func streams(of x: Rows, _ pass: Pass) -> [Rows] {
        let first = pass.copy(x)
        return [first] + expand.map { matched(pass.multiply(x, $0), to: first) }
    }

    func one(of streams: [Rows], _ pass: Pass) -> Rows {
        let y = pass.copy(streams[0])
        for (stream, matrix) in zip(streams.dropFirst(), collapse) {
            pass.add(matched(pass.multiply(stream, matrix), to: streams[0]), to: y)
        }
        let factor = 1 / Double(streams.count)
        pass.add(y, times: 0, to: y, times: factor)
        return y
    }

    /// Scales every row to the root mean square of that of another; the floor under the root is the public code's.
    private func matched(_ x: Rows, to target: Rows) -> Rows {
        for row in 0..<x.count {
            let values = x.data + row * x.stride
            let factor = Float(
                (meanSquare(target, row) / max(meanSquare(x, row), 1e-5)).squareRoot())
            for channel in 0..<x.width { values[channel] *= factor }
        }
        return x
    }

    private func meanSquare(_ x: Rows, _ row: Int) -> Double {
        var sum = 0.0
        for channel in 0..<x.width {
            let value = Double(x.data[row * x.stride + channel])
            sum += value * value
        }
        return sum / Double(x.width)
    }
}
