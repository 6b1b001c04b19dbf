import Foundation
import RetNetKernels
import RetNetStorage

/// A matrix of weights [rows, columns] where the file has it, with a bias per row or none.
///
/// The pages of the file stay mapped as long as the ``ModelWeights`` live that the model holds.
struct Matrix {
    let weights: rn_weights
    let bias: UnsafePointer<Float>?

    var rows: Int { Int(weights.rows) }
    var columns: Int { Int(weights.columns) }
}

/// The tensors of a model folder, mapped into memory: matrices are used where they lie, vectors are copied as float32.
///
/// Matrices may be in float32, bfloat16 or float16, and with scales for every 32 columns in 8 or 4 bits. Every tensor is
/// asked for once, by the part of the model that computes with it; what is left over does not belong to the model.
final class ModelWeights: @unchecked Sendable {
    // Sendable: written only while the model is made, by one thread.
    private let path: String
    private let folder: SafetensorsFolder
    private var used: Set<String> = []
    /// What the model computes with, by name.
    private(set) var matrices: [(name: String, weights: rn_weights)] = []
    private(set) var vectors: [(name: String, values: UnsafeBufferPointer<Float>)] = []
    private var copies: [UnsafeMutableRawPointer] = []
    /// Bytes of all tensors that the model computes with.
    private(set) var byteCount = 0
    /// Number of values of all tensors, without scales.
    private(set) var parameterCount = 0
    /// The element types of matrices with their numbers of values.
    private(set) var elementCounts: [StoredElementType: Int] = [:]

    /// Opens the weights of a folder; throws `StorageError`.
    init(path: String) throws {
        self.path = path
        folder = try SafetensorsFolder(path: path)
        if let scheme = metadata(QuantizationScheme.metadataKey), QuantizationScheme(rawValue: scheme) == nil
        {
            throw problem(
                "its metadata names the quantization '\(scheme)', but only int8 and int4 are known: "
                    + "use a newer version, or quantize the model again")
        }
        if let group = metadata(QuantizationScheme.groupKey), group != String(RN_GROUP) {
            throw problem(
                "its metadata names groups of '\(group)' columns, but only groups of \(RN_GROUP) are read")
        }
    }

    deinit { for copy in copies { copy.deallocate() } }

    /// The number of tensors in the files.
    var tensorCount: Int { folder.entries.count }

    /// The texts in the metadata of the files.
    func metadata(_ key: String) -> String? { folder.metadata[ExactString(key)] }

    /// Returns `NAME.weight` [rows, columns] with `NAME.bias` [rows] where there are biases.
    func linear(_ name: String, from columns: Int, to rows: Int, bias: Bool) throws -> Matrix {
        Matrix(
            weights: try matrix(name + ".weight", shape: [rows, columns]),
            bias: bias ? try vector(name + ".bias", [rows]) : nil)
    }

    /// Returns the matrices `NAME.weight` [count, rows, columns] of experts, with their biases [count, rows].
    func linears(_ name: String, count: Int, from columns: Int, to rows: Int, bias: Bool) throws -> [Matrix] {
        let all = try matrix(name + ".weight", shape: [count, rows, columns])
        let biases = bias ? try vector(name + ".bias", [count, rows]) : nil
        let bytes = Int(rn_weight_bytes(all.type, Int64(rows), Int64(columns)))
        let groups = columns / Int(RN_GROUP) * rows
        let dataBytes = all.scales == nil ? bytes : bytes - groups * (all.minima == nil ? 2 : 4)
        return (0..<count).map { index in
            let view = rn_weights(
                data: all.data + index * dataBytes, scales: all.scales.map { $0 + index * groups },
                minima: all.minima.map { $0 + index * groups }, rows: Int64(rows), columns: Int64(columns),
                type: all.type)
            return Matrix(weights: view, bias: biases.map { $0 + index * rows })
        }
    }

    /// Returns a tensor as float32 values in their order.
    func vector(_ name: String, _ shape: [Int]) throws -> UnsafePointer<Float> {
        let entry = try take(name)
        guard entry.shape == shape else { throw wrongShape(name, expected: shape, found: entry.shape) }
        let count = shape.reduce(1, *)
        let values = try allocate(count * 4).bindMemory(to: Float.self, capacity: count)
        try folder.withUnsafeBytes(of: name) { bytes in
            switch entry.elementType {
            case .float32:
                for i in 0..<count { values[i] = bytes.loadUnaligned(fromByteOffset: 4 * i, as: Float.self) }
            case .float64:
                for i in 0..<count {
                    values[i] = Float(bytes.loadUnaligned(fromByteOffset: 8 * i, as: Double.self))
                }
            case .bfloat16:
                for i in 0..<count {
                    let bits = bytes.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)
                    values[i] = Float(bitPattern: UInt32(bits) << 16)
                }
            case .float16:
                for i in 0..<count {
                    values[i] = HalfPrecision.widened(
                        bytes.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self))
                }
            default: throw problem("'\(name)' has \(entry.elementType.summary), not floating-point numbers")
            }
        }
        if let bad = (0..<count).first(where: { !values[$0].isFinite }) {
            throw problem("'\(name)' is not finite at index \(bad): the file is damaged or training diverged")
        }
        byteCount += entry.byteCount
        parameterCount += count
        vectors.append((name, UnsafeBufferPointer(start: values, count: count)))
        return UnsafePointer(values)
    }

    /// Returns true if the files have a tensor.
    func contains(_ name: String) -> Bool { folder.entry(named: name) != nil }

    /// Returns true if two tensors of the files have the same numbers.
    func areEqual(_ name: String, _ other: String) throws -> Bool {
        guard let a = folder.entry(named: name), let b = folder.entry(named: other) else { return false }
        guard a.elementType == b.elementType, a.shape == b.shape else { return false }
        return try folder.withUnsafeBytes(of: name) { bytes in
            try folder.withUnsafeBytes(of: other) { others in
                guard let start = bytes.baseAddress, let other = others.baseAddress else { return true }
                return bytes.count == others.count && memcmp(start, other, bytes.count) == 0
            }
        }
    }

    /// The tensors of the files that the model does not compute with.
    var unusedNames: [String] { folder.entries.map(\.name).filter { !used.contains($0) } }

    /// Throws for tensors that no part of the model has asked for.
    ///
    /// `copies` may be in the file and are not read, as the output matrix of a model with tied output.
    func checkLeftOver(copies: Set<String>) throws {
        let left = unusedNames.filter { !copies.contains($0) }
        guard let first = left.first else { return }
        let more = left.count > 1 ? " and \(left.count - 1) more" : ""
        throw problem("the tensor '\(first)'\(more) does not belong to the model of config.json")
    }

    // MARK: Matrices

    private func matrix(_ name: String, shape: [Int]) throws -> rn_weights {
        let entry = try take(name)
        let (rows, columns) = (shape.dropLast().reduce(1, *), shape[shape.count - 1])
        let type = try weightType(entry)
        let expected = type == RN_I4 ? shape.dropLast() + [columns / 2] : shape
        guard entry.shape == expected, type != RN_I4 || columns % 2 == 0 else {
            throw wrongShape(name, expected: expected, found: entry.shape)
        }
        var view = rn_weights(
            data: try bytes(of: entry, alignment: Self.alignment(type)), scales: nil, minima: nil,
            rows: Int64(rows), columns: Int64(columns), type: type)
        if type == RN_I8 || type == RN_I4 {
            guard columns % Int(RN_GROUP) == 0 else {
                throw problem(
                    "'\(name)' has rows of \(columns) in groups of \(RN_GROUP), which do not divide them")
            }
            let groups = shape.dropLast() + [columns / Int(RN_GROUP)]
            view.scales = try groupValues(name + ".scales", Array(groups))
            if type == RN_I4 { view.minima = try groupValues(name + ".minima", Array(groups)) }
        }
        byteCount += Int(rn_weight_bytes(type, Int64(rows), Int64(columns)))
        matrices.append((name, view))
        parameterCount += rows * columns
        elementCounts[entry.elementType, default: 0] += rows * columns
        return view
    }

    private func weightType(_ entry: SafetensorsEntry) throws -> rn_weight_type {
        switch entry.elementType {
        case .float32: RN_F32
        case .bfloat16: RN_BF16
        case .float16: RN_F16
        case .int8: RN_I8
        case .uint8: RN_I4
        default:
            throw problem(
                "'\(entry.name)' has \(entry.elementType.summary), which this engine does not multiply")
        }
    }

    private static func alignment(_ type: rn_weight_type) -> Int {
        type == RN_F32 ? 4 : type == RN_BF16 || type == RN_F16 ? 2 : 1
    }

    private func groupValues(_ name: String, _ shape: [Int]) throws -> UnsafePointer<UInt16> {
        let entry = try take(name)
        guard entry.elementType == .float16 else {
            throw problem("'\(name)' has \(entry.elementType.summary), but must have float16 numbers")
        }
        guard entry.shape == shape else { throw wrongShape(name, expected: shape, found: entry.shape) }
        let count = shape.reduce(1, *)
        return try bytes(of: entry, alignment: 2).bindMemory(to: UInt16.self, capacity: count)
    }

    /// Returns the bytes of a tensor in the mapped file, or a copy where the file has them at odd places.
    private func bytes(of entry: SafetensorsEntry, alignment: Int) throws -> UnsafeRawPointer {
        try folder.withUnsafeBytes(of: entry.name) { bytes in
            guard let start = bytes.baseAddress else {
                throw problem("'\(entry.name)' is empty")
            }
            if Int(bitPattern: start) % alignment == 0 { return start }
            let copy = try allocate(bytes.count)
            copy.copyMemory(from: start, byteCount: bytes.count)
            return UnsafeRawPointer(copy)
        }
    }

    private func allocate(_ byteCount: Int) throws -> UnsafeMutableRawPointer {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(byteCount, 1), alignment: 64)
        copies.append(memory)
        return memory
    }

    private func take(_ name: String) throws -> SafetensorsEntry {
        guard let entry = folder.entry(named: name) else { throw problem("the tensor '\(name)' is missing") }
        used.insert(name)
        return entry
    }

    private func wrongShape(_ name: String, expected: [Int], found: [Int]) -> RuntimeError {
        problem("'\(name)' has the shape \(found), but config.json needs \(expected)")
    }

    func problem(_ text: String) -> RuntimeError { .weights(path: path, problem: text) }
}

/// IEEE half precision in its bits, for processors and compilers without the type.
enum HalfPrecision {
    /// Returns the float32 number of the same value.
    static func widened(_ bits: UInt16) -> Float {
        let sign = UInt32(bits & 0x8000) << 16
        let exponent = UInt32(bits >> 10) & 0x1f
        let fraction = UInt32(bits & 0x3ff)
        switch exponent {
        case 0:
            let magnitude = Float(fraction) * 0x1p-24
            return sign == 0 ? magnitude : -magnitude
        case 0x1f: return Float(bitPattern: sign | 0x7f80_0000 | fraction << 13)
        default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
        }
    }
}
