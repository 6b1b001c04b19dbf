import RetNetDeviceEmulation
import Testing

/// Devices that rules are asked for: an H100, and one with little shared memory.
let large = rde_device(architecture: 90, multiprocessors: 132, shared_bytes: 227 << 10)
let small = rde_device(architecture: 120, multiprocessors: 132, shared_bytes: 99 << 10)

/// A run of retention's kernels.
struct RetentionCase: CustomTestStringConvertible {
    var element = RDE_FLOAT32
    var batch: Int32 = 1
    var heads: Int32 = 2
    var groups: Int32?
    var time: Int32
    var keySize: Int32
    var valueSize: Int32
    var isGated = false
    var hasState = true
    var gammas = (0.9, 1.0)
    var layout = RDE_TOKENS_FIRST
    var device = large
    /// What plans are expected to have: segments make more launches.
    var launches: (forward: Int32, backward: Int32)?

    var testDescription: String {
        "\(element.name) \(batch)×\(heads)/\(groups ?? heads)×\(time) (\(keySize), \(valueSize))"
            + (isGated ? " gates" : "") + (hasState ? " state" : "") + " layout \(layout.rawValue)"
    }

    func native(_ order: rde_order) -> rde_retention {
        rde_retention(
            element: element, batch: batch, heads: heads, groups: groups ?? heads, time: time,
            key_size: keySize, value_size: valueSize, gated: isGated, has_state: hasState,
            keeps_state: hasState, first_gamma: gammas.0, last_gamma: gammas.1, layout: layout,
            device: device, order: order)
    }
}

extension rde_element {
    var name: String {
        switch self {
        case RDE_BFLOAT16: "bfloat16"
        case RDE_FLOAT16: "float16"
        default: "float32"
        }
    }
    /// The package's bounds for relative errors.
    var bound: Double { self == RDE_FLOAT32 ? 1e-4 : 2e-2 }
}

extension rde_outcome {
    /// The name of the result with the largest error.
    var result: String {
        withUnsafeBytes(of: of) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}

/// Expects that a check finds errors within the bounds of the element type, and equal bits in every order of threads.
@discardableResult
func expectSuccess(
    _ element: rde_element, gateBound: Double = 0, orders: [rde_order] = [0, 1],
    sourceLocation: SourceLocation = #_sourceLocation,
    _ check: (rde_order, inout rde_outcome) -> UnsafePointer<CChar>?
) -> Int32 {
    var first: rde_outcome?
    for order in orders {
        var outcome = rde_outcome()
        if let error = check(order, &outcome) {
            Issue.record("\(String(cString: error)) in order \(order)", sourceLocation: sourceLocation)
            return 0
        }
        #expect(
            outcome.worst < element.bound, "\(outcome.result) in order \(order)",
            sourceLocation: sourceLocation)
        #expect(outcome.gate_error <= gateBound, "gates in order \(order)", sourceLocation: sourceLocation)
        if let first {
            #expect(
                first.bits == outcome.bits, "orders \(orders[0]) and \(order) differ",
                sourceLocation: sourceLocation)
        }
        first = first ?? outcome
    }
    return first?.launches ?? 0
}

/// The text of the kernels for devices, run thread by thread on the processor.
@Suite struct RetentionEmulationTests {
    static let cases: [RetentionCase] = [
        // Lengths about those of chunks, with states and without.
        RetentionCase(time: 1, keySize: 16, valueSize: 32),
        RetentionCase(time: 31, keySize: 16, valueSize: 32, hasState: false),
        RetentionCase(batch: 2, time: 64, keySize: 16, valueSize: 32, layout: RDE_HEADS_FIRST),
        RetentionCase(time: 131, keySize: 16, valueSize: 32, gammas: (0.9, 0.999)),
        RetentionCase(element: RDE_BFLOAT16, time: 65, keySize: 16, valueSize: 32, hasState: false),
        RetentionCase(element: RDE_BFLOAT16, time: 191, keySize: 16, valueSize: 32),
        // Sizes of heads.
        RetentionCase(time: 45, keySize: 32, valueSize: 64, hasState: false),
        RetentionCase(time: 70, keySize: 64, valueSize: 128),
        RetentionCase(element: RDE_BFLOAT16, time: 130, keySize: 64, valueSize: 128),
        RetentionCase(element: RDE_FLOAT16, time: 130, keySize: 64, valueSize: 128),
        RetentionCase(element: RDE_BFLOAT16, heads: 1, time: 129, keySize: 128, valueSize: 256),
        RetentionCase(heads: 1, time: 37, keySize: 256, valueSize: 512),
        RetentionCase(element: RDE_BFLOAT16, heads: 1, time: 70, keySize: 256, valueSize: 512),
        // Sizes that fill no tile, and rows that begin anywhere.
        RetentionCase(time: 50, keySize: 20, valueSize: 36, layout: RDE_UNALIGNED),
        RetentionCase(element: RDE_BFLOAT16, time: 75, keySize: 20, valueSize: 36),
        RetentionCase(element: RDE_BFLOAT16, time: 75, keySize: 20, valueSize: 37, layout: RDE_UNALIGNED),
        // Wide tiles where there are heads enough; little shared memory.
        RetentionCase(
            element: RDE_BFLOAT16, heads: 2, time: 100, keySize: 64, valueSize: 128,
            device: rde_device(architecture: 80, multiprocessors: 2, shared_bytes: 163 << 10)),
        RetentionCase(
            element: RDE_BFLOAT16, heads: 1, time: 70, keySize: 256, valueSize: 256,
            device: rde_device(architecture: 90, multiprocessors: 1, shared_bytes: 227 << 10)),
        RetentionCase(
            element: RDE_BFLOAT16, heads: 1, time: 40, keySize: 256, valueSize: 512, device: small),
        // Segments of time.
        RetentionCase(time: 1100, keySize: 16, valueSize: 32, launches: (3, 7)),
        RetentionCase(
            element: RDE_BFLOAT16, heads: 1, time: 1100, keySize: 64, valueSize: 128, hasState: false,
            launches: (3, 7)),
        // Keys and queries that several heads share.
        RetentionCase(heads: 4, groups: 2, time: 40, keySize: 16, valueSize: 32),
    ]

    @Test(arguments: cases) func `Outputs and states equal the definition`(_ test: RetentionCase) {
        let launches = expectSuccess(test.element) { order, outcome in
            var shape = test.native(order)
            return rde_check_retention(&shape, false, &outcome)
        }
        #expect(launches == test.launches?.forward ?? 1)
    }

    @Test(arguments: cases) func `Gradients equal the definition`(_ test: RetentionCase) {
        let launches = expectSuccess(test.element) { order, outcome in
            var shape = test.native(order)
            return rde_check_retention(&shape, true, &outcome)
        }
        #expect(launches == test.launches?.backward ?? 3)
    }

    static let gated: [RetentionCase] = [
        RetentionCase(time: 1, keySize: 16, valueSize: 32, isGated: true),
        RetentionCase(heads: 4, groups: 2, time: 131, keySize: 16, valueSize: 32, isGated: true),
        RetentionCase(
            time: 77, keySize: 16, valueSize: 32, isGated: true, hasState: false, layout: RDE_UNALIGNED),
        RetentionCase(
            element: RDE_BFLOAT16, time: 150, keySize: 64, valueSize: 64, isGated: true, gammas: (0.9, 0.99)),
        RetentionCase(
            time: 1100, keySize: 16, valueSize: 32, isGated: true, gammas: (0.95, 0.99), launches: (3, 8)),
    ]

    @Test(arguments: gated) func `Gates of every token, with their gradients`(_ test: RetentionCase) {
        let forward = expectSuccess(test.element) { order, outcome in
            var shape = test.native(order)
            return rde_check_retention(&shape, false, &outcome)
        }
        #expect(forward == test.launches?.forward ?? 1)
        let backward = expectSuccess(test.element, gateBound: test.element.bound) {
            order, outcome in
            var shape = test.native(order)
            return rde_check_retention(&shape, true, &outcome)
        }
        #expect(backward == test.launches?.backward ?? 4)
    }

    @Test func `A random order of threads changes no bit`() {
        for gradients in [false, true] {
            expectSuccess(RDE_BFLOAT16, orders: [0, 2, 3, 4]) { order, outcome in
                var shape = RetentionCase(element: RDE_BFLOAT16, time: 75, keySize: 20, valueSize: 36)
                    .native(order)
                return rde_check_retention(&shape, gradients, &outcome)
            }
        }
    }

    @Test func `The definition's gradients equal central differences`() {
        #expect(rde_definition_error(false) < 1e-8)
        #expect(rde_definition_error(true) < 1e-8)
    }

    @Test func `The emulation finds missing barriers, divided warps and writes past shared memory`() {
        let error = rde_check_emulation().map { String(cString: $0) }
        #expect(error == nil)
    }
}
