import CRetNetTorch

extension FusedOperators {
    /// Operators for which a device can have kernels.
    public enum Operator: String, Sendable, CaseIterable {
        case rotateHeads, retention, retentionStep, fewRows, headNorm, gatedActivation, residualNorm
        case tokenLoss, outputLoss, embedding
        case attention, distanceAttention, altUp, sequenceAltUp, experts, shortConvolution, longConvolution
        case wkv, biasedWindow, gatedRetention, matrixState, diagonalHeads, diagonalStep, adamW

        var code: ct_operator {
            switch self {
            case .rotateHeads: CT_OP_ROTATE_HEADS
            case .retention: CT_OP_RETENTION
            case .retentionStep: CT_OP_RETENTION_STEP
            case .fewRows: CT_OP_FEW_ROWS
            case .headNorm: CT_OP_HEAD_NORM
            case .gatedActivation: CT_OP_GATED_ACTIVATION
            case .residualNorm: CT_OP_RESIDUAL_NORM
            case .tokenLoss: CT_OP_TOKEN_LOSS
            case .outputLoss: CT_OP_OUTPUT_LOSS
            case .embedding: CT_OP_EMBEDDING
            case .attention: CT_OP_ATTENTION
            case .distanceAttention: CT_OP_DISTANCE_ATTENTION
            case .altUp: CT_OP_ALTUP
            case .sequenceAltUp: CT_OP_SEQUENCE_ALTUP
            case .experts: CT_OP_EXPERTS
            case .shortConvolution: CT_OP_SHORT_CONVOLUTION
            case .longConvolution: CT_OP_LONG_CONVOLUTION
            case .wkv: CT_OP_WKV
            case .biasedWindow: CT_OP_BIASED_WINDOW
            case .gatedRetention: CT_OP_GATED_RETENTION
            case .matrixState: CT_OP_MATRIX_STATE
            case .diagonalHeads: CT_OP_DIAGONAL_HEADS
            case .diagonalStep: CT_OP_DIAGONAL_STEP
            case .adamW: CT_OP_ADAMW
            }
        }

        /// What runs where there is no kernel.
        public var otherwise: String {
            switch self {
            case .fewRows: "LibTorch's product"
            case .attention: "LibTorch's attention"
            case .longConvolution: "LibTorch's transforms"
            case .wkv: "the parallel form"
            case .biasedWindow, .diagonalStep: "the recurrent form"
            case .gatedRetention, .matrixState: "the chunkwise form"
            case .diagonalHeads: "the expanded form"
            default: "LibTorch's operators"
            }
        }
    }

    /// Returns the element types that this package has kernels for on a kind of device, whether or not they can run here.
    public static func kernelTypes(for operation: Operator, on device: Device) -> [ElementType] {
        let bits = ct_kernel_types(operation.code, device.code.kind)
        return ElementType.allCases.filter { bits >> UInt32($0.code.rawValue) & 1 == 1 }
    }

    /// A Boolean value that indicates whether an operator runs as a kernel for this element type on this device.
    ///
    /// Operators whose other form is written in Swift take that form where this is false: ``Operator/wkv``,
    /// ``Operator/biasedWindow``, ``Operator/gatedRetention``, ``Operator/matrixState``, ``Operator/diagonalHeads``, ``Operator/diagonalStep`` and
    /// ``Operator/outputLoss``.
    public static func hasKernel(for operation: Operator, _ type: ElementType, on device: Device) -> Bool {
        ct_has_kernel(operation.code, device.code.kind, type.code)
    }

    /// Runs `body` with every operator as on a device without kernels, on this thread: to compare the two.
    public static func withoutKernels<R>(_ body: () throws -> R) rethrows -> R {
        let before = ct_set_kernels_enabled(false)
        defer { _ = ct_set_kernels_enabled(before) }
        return try body()
    }

    /// Makes every later operator of this thread run as on a device without kernels.
    public static func disableKernels() { _ = ct_set_kernels_enabled(false) }

    /// Runs `body` with products of bfloat16 made in float32, as on a processor without its own, on this thread.
    public static func withFloat32Products<R>(_ body: () throws -> R) rethrows -> R {
        let before = ct_set_float32_products(true)
        defer { _ = ct_set_float32_products(before) }
        return try body()
    }
}
