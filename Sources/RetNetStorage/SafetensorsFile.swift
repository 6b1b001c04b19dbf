import Foundation

/// A safetensors file mapped into memory, with a checked header.
public final class SafetensorsFile: Sendable {
    /// Path as given.
    public let path: String
    /// Header of the file.
    public let header: SafetensorsHeader
    private let file: MappedFile
    private let indices: [ExactString: Int]

    /// Opens the file at `path`; throws `StorageError`.
    ///
    /// With `copiesOnWrite`, the bytes of tensors may be written without an effect on the file.
    public convenience init(path: String, copiesOnWrite: Bool = false) throws {
        try self.init(MappedFile(path: path, copiesOnWrite: copiesOnWrite))
    }

    /// Reads the bytes of a file that are in memory already; `path` appears in errors.
    ///
    /// Throws `StorageError`.
    public convenience init(data: Data, path: String) throws {
        try self.init(MappedFile(copying: data, path: path))
    }

    private init(_ file: MappedFile) throws {
        let path = file.path
        let header = try file.withUnsafeBytes {
            try SafetensorsHeader.parse($0, fileByteCount: file.byteCount, path: path)
        }
        var indices: [ExactString: Int] = [:]
        indices.reserveCapacity(header.entries.count)
        for (index, entry) in header.entries.enumerated() { indices[ExactString(entry.name)] = index }
        self.path = path
        self.file = file
        self.header = header
        self.indices = indices
    }

    /// Tensors in the order of their data.
    public var entries: [SafetensorsEntry] { header.entries }

    /// Texts of `__metadata__`.
    public var metadata: [ExactString: String] { header.metadata }

    /// Size of the file in bytes.
    public var byteCount: Int { file.byteCount }

    /// Returns the tensor with a name, or `nil`.
    public func entry(named name: String) -> SafetensorsEntry? {
        indices[ExactString(name)].map { header.entries[$0] }
    }

    /// True if the bytes of tensors may be written without an effect on the file.
    public var copiesOnWrite: Bool { file.copiesOnWrite }

    /// Calls `body` with the bytes of a tensor: little-endian, possibly unaligned, valid while the file is.
    ///
    /// Throws `StorageError.unknownTensor` or the error of `body`.
    public func withUnsafeBytes<R>(
        of name: String, _ body: (UnsafeRawBufferPointer) throws -> R
    ) throws -> R {
        guard let entry = entry(named: name) else {
            throw StorageError.unknownTensor(name: name, path: path)
        }
        return try file.withUnsafeBytes { bytes in
            // The parser of the header has checked that the range lies within the file.
            try body(UnsafeRawBufferPointer(rebasing: bytes[entry.byteRange]))
        }
    }
}

/// The checked header of a safetensors file.
///
/// The byte ranges of the tensors cover the data of the file without gaps and overlaps, each
/// range fits its shape and type, and all names differ in their Unicode scalars.
public struct SafetensorsHeader: Equatable, Sendable {
    /// Largest size of a header in bytes, as in the reference implementation.
    public static let maximumByteCount = 100_000_000
    /// Tensors in the order of their data.
    public let entries: [SafetensorsEntry]
    /// Texts of `__metadata__`.
    public let metadata: [ExactString: String]
    /// Offset of the data of the tensors in the file.
    public let dataOffset: Int

    /// Parses the header at the start of a file.
    ///
    /// `bytes` are the first bytes of the file, at least those of the header; `path` appears in errors.
    /// Throws `StorageError.invalidSafetensors` with the reason.
    public static func parse(
        _ bytes: UnsafeRawBufferPointer, fileByteCount: Int, path: String
    ) throws -> SafetensorsHeader {
        do {
            return try SafetensorsHeaderParser(bytes, fileByteCount: fileByteCount).parse()
        } catch let fault as SafetensorsFault {
            throw StorageError.invalidSafetensors(path: path, fault: fault)
        }
    }
}

/// A tensor of a safetensors file: name, type, shape and byte range.
public struct SafetensorsEntry: Equatable, Sendable {
    /// Name, unique within the file.
    public let name: String
    /// Type of the elements.
    public let elementType: StoredElementType
    /// Dimensions, outermost first; empty for a scalar.
    public let shape: [Int]
    /// Byte range from the start of the file, possibly unaligned.
    public let byteRange: Range<Int>

    /// Describes a tensor without checks.
    public init(name: String, elementType: StoredElementType, shape: [Int], byteRange: Range<Int>) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
        self.byteRange = byteRange
    }

    /// Size of the tensor in bytes.
    public var byteCount: Int { byteRange.count }

    /// Elements of the tensor.
    public var elementCount: Int { byteRange.count * 8 / elementType.bitCount }
}

/// The element type of a stored tensor: all names of the safetensors format, as of its release 0.8.
public enum StoredElementType: String, Sendable, CaseIterable {
    /// A truth value in one byte, 0 or 1.
    case bool = "BOOL"
    /// An unsigned 8-bit integer.
    case uint8 = "U8"
    /// A signed 8-bit integer.
    case int8 = "I8"
    /// An unsigned 16-bit integer, little-endian.
    case uint16 = "U16"
    /// A signed 16-bit integer, little-endian.
    case int16 = "I16"
    /// An unsigned 32-bit integer, little-endian.
    case uint32 = "U32"
    /// A signed 32-bit integer, little-endian.
    case int32 = "I32"
    /// An unsigned 64-bit integer, little-endian.
    case uint64 = "U64"
    /// A signed 64-bit integer, little-endian.
    case int64 = "I64"
    /// An IEEE 754 half-precision number.
    case float16 = "F16"
    /// A bfloat16 number: the upper half of a single-precision one.
    case bfloat16 = "BF16"
    /// An IEEE 754 single-precision number.
    case float32 = "F32"
    /// An IEEE 754 double-precision number.
    case float64 = "F64"
    /// A complex number of two single-precision ones.
    case complex64 = "C64"
    /// An 8-bit float with 4 exponent and 3 mantissa bits.
    case float8E4M3 = "F8_E4M3"
    /// An 8-bit float with 5 exponent and 2 mantissa bits.
    case float8E5M2 = "F8_E5M2"
    /// An 8-bit float with 4 exponent and 3 mantissa bits, without infinities and negative zero.
    case float8E4M3Unsigned0 = "F8_E4M3FNUZ"
    /// An 8-bit float with 5 exponent and 2 mantissa bits, without infinities and negative zero.
    case float8E5M2Unsigned0 = "F8_E5M2FNUZ"
    /// A power of two in 8 bits, the scale of a block of smaller floats.
    case float8E8M0 = "F8_E8M0"
    /// A 6-bit float with 2 exponent and 3 mantissa bits, packed.
    case float6E2M3 = "F6_E2M3"
    /// A 6-bit float with 3 exponent and 2 mantissa bits, packed.
    case float6E3M2 = "F6_E3M2"
    /// A 4-bit float with 2 exponent bits and 1 mantissa bit, packed.
    case float4 = "F4"

    /// Size of one element in bits.
    public var bitCount: Int {
        switch self {
        case .float4: 4
        case .float6E2M3, .float6E3M2: 6
        case .bool, .uint8, .int8, .float8E4M3, .float8E5M2, .float8E4M3Unsigned0, .float8E5M2Unsigned0,
            .float8E8M0:
            8
        case .uint16, .int16, .float16, .bfloat16: 16
        case .uint32, .int32, .float32: 32
        case .uint64, .int64, .float64, .complex64: 64
        }
    }

    /// Kind of the elements, for messages: "floating-point numbers of 8 bits".
    public var summary: String {
        switch self {
        case .bool: "truth values"
        case .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64: "integers of \(bitCount) bits"
        case .complex64: "complex numbers"
        case .float16, .bfloat16, .float32, .float64, .float8E4M3, .float8E5M2, .float8E4M3Unsigned0,
            .float8E5M2Unsigned0, .float8E8M0, .float6E2M3, .float6E3M2, .float4:
            "floating-point numbers of \(bitCount) bits"
        }
    }

    /// Returns the size in bytes of a tensor, without the bits that do not fill the last one.
    ///
    /// `nil` if the size in bits exceeds 64 bits or a dimension is negative.
    public func byteCount(shape: [Int]) -> Int? { bitCount(shape: shape).map { $0 / 8 } }

    /// Returns the size in bits of a tensor, or `nil` if it exceeds 64 bits or a dimension is negative.
    func bitCount(shape: [Int]) -> Int? {
        var total = bitCount
        for dimension in shape {
            guard dimension >= 0 else { return nil }
            let (product, overflows) = total.multipliedReportingOverflow(by: dimension)
            guard !overflows else { return nil }
            total = product
        }
        return total
    }
}
