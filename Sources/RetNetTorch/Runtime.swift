import CRetNetTorch

/// Facts about the LibTorch in use, and the settings that hold for the whole process.
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

    /// Throws ``VersionMismatch`` when the loaded LibTorch is another release than the one compiled against.
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

    /// Whether the processor multiplies bfloat16 matrices natively (AVX512-BF16 or AMX).
    public static var hasFastBFloat16: Bool { ct_supports_bfloat16() }

    /// The fastest element type of passes on a device: bfloat16 where it is multiplied natively, else float32.
    public static func fastElementType(on device: Device) -> ElementType {
        switch device {
        case .cpu: hasFastBFloat16 ? .bfloat16 : .float32
        case .cuda: .bfloat16
        case .mps: .float32
        }
    }

    /// How many threads one operation uses.
    public static var threadCount: Int { Int(ct_threads()) }

    /// Sets how many threads one operation uses; throws when the count is not positive.
    public static func setThreadCount(_ count: Int) throws {
        try check(ct_set_threads(Int32(clamping: count)))
    }

    /// Asks LibTorch for deterministic algorithms where it has a choice (CUDA).
    public static func useDeterministicAlgorithms(_ enabled: Bool) throws {
        try check(ct_set_deterministic(enabled))
    }

    /// How many tensor handles are alive: a leak detector for tests.
    public static var liveTensorCount: Int { Int(ct_live_tensor_count()) }
}

/// LibTorch at run time is another release than at build time.
public struct VersionMismatch: Error, CustomStringConvertible {
    /// Version compiled against.
    public let built: String
    /// Version loaded.
    public let loaded: String
    /// One sentence for people.
    public var description: String {
        "this program was built against LibTorch \(built) but loaded \(loaded): rebuild with `make build`, or set"
            + " LIBTORCH to the version it was built against"
    }
}
