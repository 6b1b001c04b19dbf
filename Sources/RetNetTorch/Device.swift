import CRetNetTorch

/// Where a tensor lives.
public enum Device: Sendable, Hashable, CustomStringConvertible {
    case cpu
    case cuda(Int)
    case mps

    /// Reads `auto`, `cpu`, `cuda`, `cuda:1` or `mps`, and checks that the device can be used.
    ///
    /// `auto` is the first CUDA device when there is one and the CPU otherwise.
    /// Throws ``DeviceError`` when the text is not understood or the device is not usable here.
    public init(parsing text: String) throws {
        switch text {
        case "auto":
            self = CUDA.unavailabilityReason == nil ? .cuda(0) : .cpu
            return
        case "cpu":
            self = .cpu
        case "cuda":
            self = .cuda(0)
        case "mps":
            self = .mps
        default:
            guard text.hasPrefix("cuda:"), let index = Int(text.dropFirst(5)), index >= 0, index < 128 else {
                throw DeviceError.unknown(text)
            }
            self = .cuda(index)
        }
        try checkUsable()
    }

    /// Throws ``DeviceError/unavailable(_:reason:)`` unless tensors can be made on this device.
    public func checkUsable() throws {
        switch self {
        case .cpu:
            return
        case .cuda(let index):
            if let reason = CUDA.unavailabilityReason {
                throw DeviceError.unavailable(description, reason: reason)
            }
            let count = Int(ct_cuda_device_count())
            guard index < count else {
                throw DeviceError.unavailable(description, reason: "there are \(count) CUDA devices")
            }
        case .mps:
            guard ct_mps_available() else {
                throw DeviceError.unavailable(
                    description, reason: "this LibTorch or machine has no Metal support")
            }
        }
    }

    /// The spelling that ``init(parsing:)`` reads.
    public var description: String {
        switch self {
        case .cpu: "cpu"
        case .cuda(let index): "cuda:\(index)"
        case .mps: "mps"
        }
    }

    /// Waits until all work queued on the device is done.
    public func synchronize() throws {
        try check(ct_synchronize(code.kind, code.index))
    }

    var code: (kind: ct_device_kind, index: Int32) {
        switch self {
        case .cpu: (CT_CPU, 0)
        case .cuda(let index): (CT_CUDA, Int32(clamping: index))
        case .mps: (CT_MPS, 0)
        }
    }

    init(kind: ct_device_kind, index: Int32) {
        switch kind {
        case CT_CUDA: self = .cuda(Int(index))
        case CT_MPS: self = .mps
        default: self = .cpu
        }
    }
}

/// Whether CUDA can be used.
public enum CUDA {
    /// Nil when CUDA devices can be used, otherwise why not; loads the CUDA half of LibTorch on first use.
    public static var unavailabilityReason: String? {
        var reason = [CChar](repeating: 0, count: 512)
        if ct_cuda_load(&reason, Int64(reason.count)) { return nil }
        let bytes = reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// How many CUDA devices are visible.
    public static var deviceCount: Int { unavailabilityReason == nil ? Int(ct_cuda_device_count()) : 0 }
}
