import CRetNetTorch

/// Runs `body` without recording a graph for differentiation.
public func withoutGradients<R>(_ body: () throws -> R) rethrows -> R {
    try settingGradients(false, body)
}

/// Runs `body` recording a graph, also inside ``withoutGradients(_:)``.
public func withGradients<R>(_ body: () throws -> R) rethrows -> R {
    try settingGradients(true, body)
}

/// Whether operations on this thread record a graph.
public var gradientsAreEnabled: Bool { ct_gradients_enabled() }

private func settingGradients<R>(_ enabled: Bool, _ body: () throws -> R) rethrows -> R {
    let before = ct_gradients_enabled()
    ct_set_gradients_enabled(enabled)
    defer { ct_set_gradients_enabled(before) }
    return try body()
}

extension Tensor {
    /// Whether gradients with respect to this tensor are wanted.
    public var requiresGradient: Bool { ct_requires_grad(handle) }

    /// Asks for gradients with respect to this tensor; returns self.
    @discardableResult
    public func requiringGradient(_ enabled: Bool = true) throws -> Tensor {
        try check(ct_set_requires_grad(handle, enabled))
        return self
    }

    /// The same elements outside the graph.
    public func detached() throws -> Tensor { try Tensor.make { ct_detach($0, handle) } }

    /// The accumulated gradient, if there is one.
    public func gradient() throws -> Tensor? {
        var out: ct_tensor?
        try check(ct_grad(&out, handle))
        return out.map { Tensor(owning: $0) }
    }

    /// Forgets the accumulated gradient.
    public func clearGradient() throws { try check(ct_clear_grad(handle)) }
    /// Replaces the accumulated gradient.
    public func setGradient(_ gradient: Tensor) throws { try check(ct_set_grad(handle, gradient.handle)) }

    /// Accumulates gradients into every tensor that this one was computed from and that requires them.
    public func backward(_ seed: Tensor? = nil) throws {
        try Tensor.backward([self], seeds: [seed])
    }

    /// The backward pass from several outputs at once; a nil seed is 1 and needs a scalar output.
    public static func backward(_ outputs: [Tensor], seeds: [Tensor?]) throws {
        try withHandles(outputs) { outs in
            try withHandles(seeds) { try check(ct_backward(outs, $0, Int32(outputs.count))) }
        }
    }

    /// Gradients of outputs with respect to inputs, without touching accumulated ones; nil where unused.
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
