import CRetNetTorch

/// Properties of the loaded LibTorch, and settings of the whole process.
public enum Runtime {
    /// Prepares the process (memory policy of the allocator); called by every tensor factory.
    @inline(__always)
    static func prepare() { _ = prepared }

    private static let prepared: Bool = {
        ct_initialize()
        return true
    }()

    /// The LibTorch version this package was compiled against.
    public static var builtVersion: String { String(cString: ct_version_built()) }
    /// The LibTorch version that was loaded.
    public static var loadedVersion: String { String(cString: ct_version_loaded()) }

    /// Throws ``VersionMismatch`` if the loaded LibTorch is another release than the one compiled against.
    public static func checkVersion() throws {
        let built = release(builtVersion)
        let loaded = release(loadedVersion)
        if loaded != "unknown", built != loaded {
            throw VersionMismatch(built: builtVersion, loaded: loadedVersion)
        }
    }

    private static func release(_ version: String) -> String {
        let parts = version.split(separator: "+")[0].split(separator: ".")
        return parts.prefix(2).joined(separator: ".")
    }

    /// The vector instructions that LibTorch uses on this processor.
    public static var cpuCapability: String {
        var buffer = [CChar](repeating: 0, count: 128)
        ct_cpu_description(&buffer, Int64(buffer.count))
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// True if the processor multiplies bfloat16 matrices natively (AVX512-BF16 or AMX).
    public static var hasFastBFloat16: Bool { ct_supports_bfloat16() }

    /// True if operators of this thread multiply bfloat16 itself; otherwise they do so in float32 and round results.
    public static var multipliesBFloat16: Bool { ct_multiplies_bfloat16() }

    /// The fastest element type of passes on a device: bfloat16 where it is multiplied natively, else float32.
    ///
    /// Every choice of `auto` is made here. `hasFastBFloat16` is by default that of this processor and thread.
    public static func fastElementType(
        on device: Device, hasFastBFloat16: Bool = Runtime.multipliesBFloat16
    ) -> ElementType {
        switch device {
        case .cpu: hasFastBFloat16 ? .bfloat16 : .float32
        case .cuda: .bfloat16
        case .mps: .float32
        }
    }

    /// Returns a warning for passes in bfloat16 on a processor that does not multiply it; nil for all others.
    ///
    /// There operators multiply in float32 and round results to bfloat16: LibTorch's own products would take up to a
    /// hundred times as long.
    public static func slownessWarning(
        for type: ElementType, on device: Device, hasFastBFloat16: Bool = Runtime.multipliesBFloat16
    ) -> String? {
        guard type == .bfloat16, device == .cpu, !hasFastBFloat16 else { return nil }
        return
            "this processor (\(cpuCapability)) does not multiply bfloat16 itself: products are computed in float32 and"
            + " stored in bfloat16, which is slower than float32 throughout; use float32 or auto"
    }

    /// The number of threads of one operation.
    public static var threadCount: Int { Int(ct_threads()) }

    /// Sets the number of threads of one operation; throws if it is not positive.
    public static func setThreadCount(_ count: Int) throws {
        try check(ct_set_threads(Int32(clamping: count)))
    }

    /// Makes LibTorch choose deterministic algorithms where there are several (CUDA).
    public static func useDeterministicAlgorithms(_ enabled: Bool) throws {
        try check(ct_set_deterministic(enabled))
    }

    /// The number of live tensor handles: a leak detector for tests.
    public static var liveTensorCount: Int { Int(ct_live_tensor_count()) }
}

/// The device of a tensor.
public enum Device: Sendable, Hashable, CustomStringConvertible {
    case cpu
    case cuda(Int)
    case mps

    /// Reads `auto`, `cpu`, `cuda`, `cuda:1` or `mps`, and checks that the device can be used.
    ///
    /// `auto` is the first CUDA device when there is one and the CPU otherwise.
    /// Throws ``DeviceError`` if the text is not understood or the device cannot be used here.
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

    /// The most bytes that tensors on the device have had at once; nil for processors, whose memory is that of the process.
    public var peakByteCount: Int? {
        var bytes: Int64 = 0
        guard ct_peak_memory(&bytes, code.kind, code.index) == 0, bytes > 0 else { return nil }
        return Int(bytes)
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

/// The CUDA half of LibTorch.
public enum CUDA {
    /// The reason why CUDA devices cannot be used, or nil; the CUDA half of LibTorch is loaded on first use.
    public static var unavailabilityReason: String? {
        var reason = [CChar](repeating: 0, count: 512)
        if ct_cuda_load(&reason, Int64(reason.count)) { return nil }
        let bytes = reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The reason why this package's kernels cannot run on CUDA devices, so that LibTorch's operators do; or nil.
    ///
    /// The driver and the compiler of kernels, NVRTC, are loaded on first use.
    public static var kernelsProblem: String? { kernels.problem }
    /// The folder where compiled kernels are kept; nil where they cannot run, or nothing is kept.
    public static var kernelCacheFolder: String? { kernels.folder }

    private static var kernels: (problem: String?, folder: String?) {
        var buffer = [CChar](repeating: 0, count: 2048)
        let works = ct_cuda_kernels(&buffer, Int64(buffer.count))
        let text = String(
            decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return works ? (nil, text.isEmpty ? nil : text) : (text, nil)
    }

    /// The number of visible CUDA devices.
    public static var deviceCount: Int { unavailabilityReason == nil ? Int(ct_cuda_device_count()) : 0 }
}
