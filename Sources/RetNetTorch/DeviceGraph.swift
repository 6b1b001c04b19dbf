import CRetNetTorch

/// Launches of a device that are recorded once and then repeated with one call.
///
/// What is recorded computes with the tensors that were there, wherever their contents have come from since. Tensors made in
/// the recording belong to the graph's own memory and are overwritten by every repetition.
public final class DeviceGraph {
    private let graph: ct_graph

    /// True if launches on a device can be recorded.
    public static func isSupported(on device: Device) -> Bool { ct_can_record(device.code.kind) }

    /// Records what a body launches, without running it.
    ///
    /// The body must not wait for the device, and not copy from or to the memory of the host. It should have run once before,
    /// so that libraries and kernels are loaded. Throws the body's error, or ``TorchError``.
    public init(on device: Device, _ body: () throws -> Void) throws {
        graph = try withoutActuallyEscaping(body) { body in
            let box = BodyBox(body)
            let context = Unmanaged.passUnretained(box).toOpaque()
            var out: ct_graph?
            try check(
                ct_graph_record(
                    &out, device.code.kind, device.code.index,
                    { context in
                        guard let context else { return 1 }
                        do {
                            try Unmanaged<BodyBox>.fromOpaque(context).takeUnretainedValue().run()
                            return 0
                        } catch {
                            CallbackErrors.record(error)
                            return 1
                        }
                    }, context))
            return try withExtendedLifetime(box) {
                guard let out else { throw TorchError(kind: .other, message: "nothing was recorded") }
                return out
            }
        }
    }

    deinit { ct_graph_free(graph) }

    /// Runs what was recorded.
    public func replay() throws { try check(ct_graph_replay(graph)) }
}

private final class BodyBox {
    let run: () throws -> Void
    init(_ run: @escaping () throws -> Void) { self.run = run }
}
