import RetNetSettings

/// What the configurations of matrix mixers have in common when they are read.
enum MatrixSettings {
    /// The allowed sizes and counts.
    static let sizes = 1...1 << 16
    /// The allowed taps of short convolutions; 1 is none.
    static let taps = 1...64
    /// The largest width of all heads together.
    static let maximumWidth = 1 << 20

    static func reportWidths(_ reader: SettingsReader, headCount: Int, keySize: Int, valueSize: Int) {
        for (key, size) in [("key_size", keySize), ("value_size", valueSize)]
        where headCount * size > maximumWidth {
            reader.reportContradiction(
                key, "all \(headCount) heads together may have at most \(maximumWidth) channels")
        }
    }
}

/// Operations of matrix mixers beside the projections, for accounting; a multiply-add is two.
enum MatrixCosts {
    /// Chunks longer than 2^20 count as 2^20.
    static func bounded(_ chunkLength: Int) -> Int { min(max(1, chunkLength), 1 << 20) }

    /// 2C(K+V)H + 4KVH: scores and their values, reading the state and writing to it.
    static func chunkwise(_ chunkLength: Int, headCount: Int, keySize: Int, valueSize: Int) -> Int {
        2 * bounded(chunkLength) * (keySize + valueSize) * headCount + 4 * headCount * keySize * valueSize
    }

    /// 2C(3K+2V)H + 8KVH, and 2KVH for computing the states again.
    static func backward(
        _ chunkLength: Int, headCount: Int, keySize: Int, valueSize: Int, recomputesStates: Bool
    ) -> Int {
        2 * bounded(chunkLength) * (3 * keySize + 2 * valueSize) * headCount
            + (recomputesStates ? 10 : 8) * headCount * keySize * valueSize
    }
}
