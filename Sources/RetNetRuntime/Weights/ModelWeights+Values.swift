import RetNetKernels
import RetNetSampling
import RetNetStorage

extension ModelWeights {
    /// Reads all values; throws with the name of the first tensor that has one that is not finite.
    ///
    /// Opening a model reads no matrix, so that it takes the same time for every size.
    func verify() throws {
        // Vectors were copied and checked when the model was made.
        for (name, matrix) in matrices {
            let (rows, columns) = (Int(matrix.rows), Int(matrix.columns))
            let groups = rows * (columns / Int(RN_GROUP))
            switch matrix.type {
            case RN_F32: try check(name, matrix.data, UInt32.self, 0x7f80_0000, rows * columns)
            case RN_BF16: try check(name, matrix.data, UInt16.self, 0x7f80, rows * columns)
            case RN_F16: try check(name, matrix.data, UInt16.self, 0x7c00, rows * columns)
            default:
                for (part, values) in [("scales", matrix.scales), ("minima", matrix.minima)] {
                    guard let values else { continue }
                    try check("\(name).\(part)", values, UInt16.self, 0x7c00, groups)
                }
            }
        }
    }

    /// Throws if the exponent of a number has all its bits set.
    private func check<Bits: FixedWidthInteger>(
        _ name: String, _ data: UnsafeRawPointer, _ type: Bits.Type, _ exponent: Bits, _ count: Int
    ) throws {
        let values = data.assumingMemoryBound(to: Bits.self)
        let piece = 1 << 14
        for start in stride(from: 0, to: count, by: piece) {
            let end = min(start + piece, count)
            // Without an exit from the loop it takes vectors.
            var found = Bits.zero
            for index in start..<end { found |= values[index] & exponent == exponent ? 1 : 0 }
            guard found != 0 else { continue }
            let bad = (start..<end).first { values[$0] & exponent == exponent } ?? start
            throw problem("'\(name)' is not finite at index \(bad): the file is damaged or training diverged")
        }
    }

    /// The element types of the matrices by their share of values, the most frequent first, such as `F16` or `I4`.
    var elementTypes: [String] {
        elementCounts.sorted { ($0.value, $1.key.rawValue) > ($1.value, $0.key.rawValue) }
            .map { $0.key == .uint8 ? "I4" : $0.key.rawValue }
    }

    /// The same in words, such as `int8 and float16`.
    var summary: String {
        let names = ["F32": "float32", "BF16": "bfloat16", "F16": "float16", "I8": "int8", "I4": "int4"]
        let types = elementTypes.map { names[$0] ?? $0 }
        guard types.count > 1, let last = types.last else { return types.first ?? "no" }
        return types.dropLast().joined(separator: ", ") + " and " + last
    }

    /// Returns the leading values of a parameter, by which models are told apart.
    func leadingValues(_ name: String, count: Int) -> [Float] {
        if let vector = vectors.first(where: { $0.name == name }) {
            return Array(vector.values.prefix(count))
        }
        guard let matrix = matrices.first(where: { $0.name == name })?.weights else { return [] }
        var result: [Float] = []
        var row = [Float](repeating: 0, count: Int(matrix.columns))
        for index in 0..<matrix.rows where result.count < count {
            withUnsafePointer(to: matrix) { rn_weight_row($0, index, &row) }
            result += row.prefix(count - result.count)
        }
        return result
    }
}

extension RuntimeModel {
    /// The text that tells models with incompatible states apart, the same as of the LibTorch engine for the same folder.
    ///
    /// Rounded to 8 or 4 bits, a model has the fingerprint of the one from which it was made, and so takes its states.
    public func fingerprint() throws -> String {
        if weights.metadata(QuantizationScheme.metadataKey) != nil,
            let source = weights.metadata(QuantizationScheme.fingerprintKey)
        {
            return source
        }
        return try ModelFingerprint.make(
            configuration, parameters: weights.matrices.map(\.name) + weights.vectors.map(\.name)
        ) { weights.leadingValues($0, count: ModelFingerprint.sampledValueCount) }
    }

    /// Reads all weights; throws ``RuntimeError/weights(path:problem:)`` with the first tensor that has a value that is not
    /// finite.
    ///
    /// Opening a model does not do this, since it would read the whole file.
    public func verify() throws { try weights.verify() }
}
