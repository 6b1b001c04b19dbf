import CRetNetTorch

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
