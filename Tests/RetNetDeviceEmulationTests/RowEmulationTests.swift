import RetNetDeviceEmulation
import Testing

/// Kernels over rows, tokens and streams, run thread by thread on the processor.
@Suite struct RowEmulationTests {
    static let elements = [RDE_FLOAT32, RDE_BFLOAT16, RDE_FLOAT16]
    static let none: Int32 = 0
    static let rms: Int32 = 1
    static let layer: Int32 = 2

    static let decoding: [rde_decode] = elements.flatMap { element in
        [
            rde_decode(
                element: element, batch: 2, heads: 2, groups: 2, key_size: 256, value_size: 512, rotation: 1,
                shared_angles: true, gated: false, has_gate: true, has_affine: false, norm: rms,
                activation: 1, epsilon_count: 1, order: 0),
            rde_decode(
                element: element, batch: 3, heads: 2, groups: 1, key_size: 16, value_size: 37, rotation: 2,
                shared_angles: false, gated: true, has_gate: true, has_affine: true, norm: layer,
                activation: 2, epsilon_count: 6, order: 0),
            rde_decode(
                element: element, batch: 1, heads: 4, groups: 4, key_size: 16, value_size: 20, rotation: 0,
                shared_angles: true, gated: false, has_gate: false, has_affine: false, norm: none,
                activation: 0, epsilon_count: 4, order: 0),
        ]
    }

    @Test(arguments: decoding) func `Steps of decoding`(_ test: rde_decode) {
        expectSuccess(test.element) { order, outcome in
            var shape = test
            shape.order = order
            return rde_check_decode(&shape, &outcome)
        }
    }

    static let norms: [rde_head_norm] = elements.flatMap { element in
        [
            rde_head_norm(
                element: element, batch: 2, heads: 2, time: 5, size: 33, has_gate: true, has_affine: true,
                norm: layer, activation: 1, epsilon_count: 20, order: 0),
            rde_head_norm(
                element: element, batch: 2, heads: 3, time: 3, size: 64, has_gate: true, has_affine: false,
                norm: rms, activation: 4, epsilon_count: 9, order: 0),
            rde_head_norm(
                element: element, batch: 1, heads: 2, time: 3, size: 432, has_gate: false, has_affine: true,
                norm: rms, activation: 0, epsilon_count: 1, order: 0),
            rde_head_norm(
                element: element, batch: 1, heads: 1, time: 4, size: 520, has_gate: true, has_affine: true,
                norm: layer, activation: 2, epsilon_count: 1, order: 0),
        ]
    }

    @Test(arguments: norms) func `Norms of heads with gates, and their gradients`(_ test: rde_head_norm) {
        expectSuccess(test.element) { order, outcome in
            var shape = test
            shape.order = order
            return rde_check_head_norm(&shape, &outcome)
        }
    }

    static let residuals: [rde_residual_norm] = elements.flatMap { element in
        [
            rde_residual_norm(
                element: element, wide_stream: true, has_branch: true, rows: 21, size: 33, order: 0),
            rde_residual_norm(
                element: element, wide_stream: true, has_branch: false, rows: 9, size: 64, order: 0),
            rde_residual_norm(
                element: element, wide_stream: false, has_branch: true, rows: 3, size: 520, order: 0),
        ]
    }

    @Test(arguments: residuals) func `Norms of the residual stream with its sum`(_ test: rde_residual_norm) {
        expectSuccess(test.element) { order, outcome in
            var shape = test
            shape.order = order
            return rde_check_residual_norm(&shape, &outcome)
        }
    }

    @Test(arguments: elements, [Int32(0), 1, 2, 3, 4]) func `Gated activations and their gradients`(
        _ element: rde_element, _ activation: Int32
    ) {
        for (count, gate, aligned): (Int32, Bool, Bool) in [(4099, true, true), (100, false, false)] {
            expectSuccess(element) { order, outcome in
                rde_check_gated_activation(element, count, activation, gate, aligned, order, &outcome)
            }
        }
    }

    @Test(arguments: elements, [Int32(0), 1, 2]) func `Rotations and the way back`(
        _ element: rde_element, _ rotation: Int32
    ) {
        for (size, shared): (Int32, Bool) in [(rotation == 0 ? 13 : 14, true), (32, false)] {
            expectSuccess(element) { order, outcome in
                rde_check_rotation(element, 2, 7, 3, size, rotation, shared, order, &outcome)
            }
        }
    }

    @Test(arguments: elements) func `Losses of tokens and their gradients`(_ element: rde_element) {
        for (size, aligned): (Int32, Bool) in [(1, true), (5000, true), (5003, false), (64, true)] {
            expectSuccess(element) { order, outcome in
                rde_check_token_loss(element, 5, size, aligned, order, &outcome)
            }
        }
    }

    @Test(arguments: elements) func `Sums of streams and the gradients of their weights`(
        _ element: rde_element
    ) {
        for (inputs, outputs, aligned): (Int32, Int32, Bool) in [(2, 1, true), (5, 4, true), (5, 4, false)] {
            expectSuccess(element) { order, outcome in
                rde_check_combine(element, inputs, outputs, 8195, aligned, order, &outcome)
            }
        }
    }
}
