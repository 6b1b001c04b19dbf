import CRetNetTorch

/// The time of a training step by part, and of its matrix products alone, on processors.
///
/// Code says to which part it belongs with ``part(_:_:)``; gradients belong to the part of what they are the gradients of.
public enum StepProfile {
    /// A part of a step.
    public enum Part: String, Sendable, CaseIterable {
        /// The table of the tokens.
        case embedding
        /// Norms of blocks, and residual sums.
        case norms
        /// Maps into and out of mixers, rotation, and what is in none of the next two.
        case mixer
        /// Retention, attention, recurrences and convolutions; with retention also rotation, head norm and gate.
        case core
        /// Head norms, gates and activations.
        case gates
        /// Feed-forward layers but their activation.
        case feedForward = "feed_forward"
        /// The output matrix and the loss.
        case output
        /// The norm of the gradients, clipping, and the update.
        case optimizer
        /// Everything else: sums of gradients, and the data.
        case other

        var code: ct_part {
            switch self {
            case .embedding: CT_PART_EMBEDDING
            case .norms: CT_PART_NORMS
            case .mixer: CT_PART_MIXER
            case .core: CT_PART_CORE
            case .gates: CT_PART_GATES
            case .feedForward: CT_PART_FEED_FORWARD
            case .output: CT_PART_OUTPUT
            case .optimizer: CT_PART_OPTIMIZER
            case .other: CT_PART_OTHER
            }
        }
    }

    /// Seconds of a part.
    public struct Time: Sendable {
        /// All but LibTorch's matrix products.
        public var rest: Double
        /// LibTorch's matrix products.
        public var products: Double
    }

    /// Runs a body as a part of the step; costs nothing where no time is taken.
    @inline(__always)
    public static func part<R>(_ part: Part, _ body: () throws -> R) rethrows -> R {
        guard ct_profile_is_on() else { return try body() }
        ct_profile_enter(part.code)
        defer { ct_profile_leave() }
        return try body()
    }

    /// Runs a body on this thread and returns the time of each part; its matrix products are noted for ``products()``.
    public static func times(_ body: () throws -> Void) throws -> [Part: Time] {
        try check(ct_profile_start())
        var rest = [Double](repeating: 0, count: Int(CT_PART_COUNT.rawValue))
        var products = rest
        do {
            try body()
            ct_profile_stop(&rest, &products)
        } catch {
            ct_profile_stop(&rest, &products)
            throw error
        }
        return Dictionary(
            uniqueKeysWithValues: Part.allCases.map { part in
                let index = Int(part.code.rawValue)
                return (part, Time(rest: rest[index], products: products[index]))
            })
    }

    /// Makes the matrix products of the last ``times(_:)`` once more, alone, with operands of the same shapes, strides and
    /// types; returns their time and their floating-point operations.
    ///
    /// Kernels that multiply themselves have noted their products, with as many scores as lie in tiles below the diagonal, and
    /// nothing twice.
    public static func products() throws -> (seconds: Double, operations: Double) {
        var seconds = 0.0
        var operations = 0.0
        try check(ct_profile_products(&seconds, &operations))
        return (seconds, operations)
    }
}
