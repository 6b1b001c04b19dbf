import CRetNetTorch

/// Runs `body` without recording a graph for differentiation.
public func withoutGradients<R>(_ body: () throws -> R) rethrows -> R {
    try settingGradients(false, body)
}

/// Runs `body` recording a graph, also inside ``withoutGradients(_:)``.
public func withGradients<R>(_ body: () throws -> R) rethrows -> R {
    try settingGradients(true, body)
}

/// True if operations on this thread record a graph.
public var gradientsAreEnabled: Bool { ct_gradients_enabled() }

private func settingGradients<R>(_ enabled: Bool, _ body: () throws -> R) rethrows -> R {
    let before = ct_gradients_enabled()
    ct_set_gradients_enabled(enabled)
    defer { ct_set_gradients_enabled(before) }
    return try body()
}

extension Tensor {
    /// True if gradients with respect to this tensor are computed.
    public var requiresGradient: Bool { ct_requires_grad(handle) }

    /// Turns gradients with respect to this tensor on or off; returns self.
    @discardableResult
    public func requiringGradient(_ enabled: Bool = true) throws -> Tensor {
        try check(ct_set_requires_grad(handle, enabled))
        return self
    }

    /// Returns the same elements outside the graph.
    public func detached() throws -> Tensor { try Tensor.make { ct_detach($0, handle) } }

    /// Returns the accumulated gradient, if there is one.
    public func gradient() throws -> Tensor? {
        var out: ct_tensor?
        try check(ct_grad(&out, handle))
        return out.map { Tensor(owning: $0) }
    }

    /// Clears the accumulated gradient.
    public func clearGradient() throws { try check(ct_clear_grad(handle)) }
    /// Replaces the accumulated gradient.
    public func setGradient(_ gradient: Tensor) throws { try check(ct_set_grad(handle, gradient.handle)) }

    /// Accumulates gradients into every tensor that this one was computed from and that requires them.
    public func backward(_ seed: Tensor? = nil) throws {
        try Tensor.backward([self], seeds: [seed])
    }

    /// Runs the backward pass from several outputs at once; a nil seed is 1 and needs a scalar output.
    public static func backward(_ outputs: [Tensor], seeds: [Tensor?]) throws {
        try withHandles(outputs) { outs in
            try withHandles(seeds) { try check(ct_backward(outs, $0, Int32(outputs.count))) }
        }
    }

    /// Returns gradients of outputs with respect to inputs, without touching accumulated ones; nil where unused.
    public static func gradients(of outputs: [Tensor], seeds: [Tensor?], withRespectTo inputs: [Tensor])
        throws
        -> [Tensor?]
    {
        var results = [ct_tensor?](repeating: nil, count: inputs.count)
        try withHandles(outputs) { outs in
            try withHandles(seeds) { seeds in
                try withHandles(inputs) { ins in
                    try check(
                        ct_gradients(&results, outs, seeds, Int32(outputs.count), ins, Int32(inputs.count)))
                }
            }
        }
        return results.map { $0.map { Tensor(owning: $0) } }
    }
}

/// Computes `segment` now without keeping its activations, and again during the backward pass.
///
/// Activation checkpointing: memory for time. The segment must return `outputCount` tensors and compute the
/// same values both times (restore any generator it draws from). Parameters it captures receive their
/// gradients as usual. At least one input must require gradients.
public func recomputing(
    _ inputs: [Tensor], outputCount: Int, _ segment: @escaping ([Tensor]) throws -> [Tensor]
) throws -> [Tensor] {
    guard gradientsAreEnabled else { return try segment(inputs) }
    let box = SegmentBox(segment)
    let context = Unmanaged.passRetained(box).toOpaque()
    var outputs = [ct_tensor?](repeating: nil, count: outputCount)
    try withHandles(inputs) { handles in
        try check(
            ct_checkpoint(
                &outputs, Int32(outputCount), handles, Int32(inputs.count), runSegment, context,
                { context in
                    if let context { Unmanaged<SegmentBox>.fromOpaque(context).release() }
                }))
    }
    return outputs.compactMap { $0.map { Tensor(owning: $0) } }
}

/// Runs `forward` outside the graph and makes a node of it, whose gradients `backward` computes.
///
/// `forward` returns its outputs and what the backward pass needs. `backward` gets that and a gradient for every output
/// (zeros where nothing depends on one), and returns the gradient of every input, or nil for none. Errors that it throws
/// come out of the backward pass as they are.
public func recording(
    _ inputs: [Tensor], _ forward: () throws -> (outputs: [Tensor], saved: [Tensor]),
    backward: @escaping (_ saved: [Tensor], _ gradients: [Tensor]) throws -> [Tensor?]
) throws -> [Tensor] {
    let pass = try withoutGradients(forward)
    guard gradientsAreEnabled, inputs.contains(where: \.requiresGradient) else { return pass.outputs }
    let context = Unmanaged.passRetained(GradientBox(backward)).toOpaque()
    var results = [ct_tensor?](repeating: nil, count: pass.outputs.count)
    try withHandles(pass.outputs) { outputs in
        try withHandles(inputs) { ins in
            try withHandles(pass.saved) { saved in
                try check(
                    ct_record(
                        &results, outputs, Int32(pass.outputs.count), ins, Int32(inputs.count), saved,
                        Int32(pass.saved.count), runGradient, context,
                        { context in
                            if let context { Unmanaged<GradientBox>.fromOpaque(context).release() }
                        }))
            }
        }
    }
    return results.compactMap { $0.map { Tensor(owning: $0) } }
}

private final class GradientBox {
    let run: ([Tensor], [Tensor]) throws -> [Tensor?]
    init(_ run: @escaping ([Tensor], [Tensor]) throws -> [Tensor?]) { self.run = run }
}

private let runGradient: ct_gradient_closure = {
    context, saved, savedCount, gradients, gradientCount, results, inputCount in
    guard let context, let results else { return 1 }
    do {
        func tensors(_ handles: UnsafePointer<ct_tensor?>?, _ count: Int32) throws -> [Tensor] {
            try (0..<Int(count)).map { index in try Tensor.make { ct_tensor_retain($0, handles?[index]) } }
        }
        let found = try Unmanaged<GradientBox>.fromOpaque(context).takeUnretainedValue().run(
            tensors(saved, savedCount), tensors(gradients, gradientCount))
        guard found.count == Int(inputCount) else {
            throw TorchError(
                kind: .value, message: "a node returned \(found.count) gradients of \(inputCount) inputs")
        }
        for (index, gradient) in found.enumerated() {
            if let gradient { try check(ct_tensor_retain(&results[index], gradient.handle)) }
        }
        return 0
    } catch {
        CallbackErrors.record(error)
        return 1
    }
}

private final class SegmentBox {
    let run: ([Tensor]) throws -> [Tensor]
    init(_ run: @escaping ([Tensor]) throws -> [Tensor]) { self.run = run }
}

private let runSegment: ct_segment = { context, inputs, inputCount, outputs, outputCount in
    guard let context, let outputs else { return 1 }
    do {
        // The native side keeps its handles; these are new references to the same tensors.
        let tensors = try (0..<Int(inputCount)).map { index in
            try Tensor.make { ct_tensor_retain($0, inputs?[index]) }
        }
        let results = try Unmanaged<SegmentBox>.fromOpaque(context).takeUnretainedValue().run(tensors)
        guard results.count == Int(outputCount) else {
            throw TorchError(
                kind: .value, message: "a segment returned \(results.count) of \(outputCount) tensors")
        }
        for (index, result) in results.enumerated() {
            try check(ct_tensor_retain(&outputs[index], result.handle))
        }
        return 0
    } catch {
        CallbackErrors.record(error)
        return 1
    }
}
