import RetNetArchitecture
import RetNetKernels

/// One pass of the model over some tokens of several sequences, as its layers see it.
///
/// Its rows are the tokens, one sequence's after another's; a segment names the rows of one sequence and its state. Every
/// row is computed by the same operations whatever else is in the pass. A pass is made once and used for all passes of a
/// runner; what layers take from its work space is given back behind each block.
final class Pass {
    let pool: OpaquePointer
    let workspace: Workspace
    /// The matrices of one call of the product kernel.
    let products: UnsafeMutablePointer<rn_product>

    /// The rows of each segment, and the state of its sequence.
    private(set) var segments: [Range<Int>] = []
    private(set) var storages: [StateStorage] = []
    /// The place of the first row of each segment in its sequence.
    private(set) var places: [SequencePosition] = []
    private(set) var rowCount = 0
    /// The position of every row, for rotations, and the number of tokens before it, for normalizers.
    private(set) var positions: UnsafeMutablePointer<Int64>
    private(set) var counts: UnsafeMutablePointer<Int64>
    private var rowCapacity = 0
    /// The tables of cosines and sines that layers share, by the number of the rotation.
    private var tables: [RotaryRows?] = []
    /// The biases by distance of encoder-decoders, which all passes share.
    private var biases = BiasTables()
    private lazy var inner = Pass(pool: pool, workspace: workspace)

    init(pool: OpaquePointer, workspace: Workspace) {
        self.pool = pool
        self.workspace = workspace
        products = .allocate(capacity: Products.limit)
        positions = .allocate(capacity: 1)
        counts = .allocate(capacity: 1)
    }

    deinit {
        products.deallocate()
        positions.deallocate()
        counts.deallocate()
    }

    var segmentCount: Int { storages.count }

    // MARK: Setting up

    /// Forgets all segments.
    func clear() {
        segments.removeAll(keepingCapacity: true)
        storages.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
        rowCount = 0
        for index in tables.indices { tables[index] = nil }
    }

    /// Adds the next tokens of a sequence.
    func add(_ storage: StateStorage, at place: SequencePosition, length: Int) {
        grow(rows: rowCount + length)
        segments.append(rowCount..<rowCount + length)
        storages.append(storage)
        places.append(place)
        for row in 0..<length {
            positions[rowCount + row] = Int64(place.position + row)
            counts[rowCount + row] = Int64(place.count + row)
        }
        rowCount += length
    }

    /// Returns a second pass over the same threads and work space, without segments: for layers that see some of the rows.
    func cleared() -> Pass {
        inner.clear()
        return inner
    }

    private func grow(rows: Int) {
        guard rows > rowCapacity else { return }
        rowCapacity = max(64, 2 * rows)
        positions = Self.moved(positions, count: rowCount, capacity: rowCapacity)
        counts = Self.moved(counts, count: rowCount, capacity: rowCapacity)
    }

    private static func moved<T: BitwiseCopyable>(
        _ old: UnsafeMutablePointer<T>, count: Int, capacity: Int
    ) -> UnsafeMutablePointer<T> {
        let new = UnsafeMutablePointer<T>.allocate(capacity: capacity)
        new.update(from: old, count: count)
        old.deallocate()
        return new
    }

    /// Returns the segments with the tensor of their states at a place, and their recent tokens, for the kernels.
    func sequences(at place: StatePlace, recent: StatePlace? = nil) -> UnsafePointer<rn_sequence> {
        let sequences = workspace.bytes(segmentCount * MemoryLayout<rn_sequence>.stride)
            .bindMemory(to: rn_sequence.self, capacity: segmentCount)
        for index in 0..<segmentCount {
            let memory = storages[index].memory
            sequences[index] = rn_sequence(
                state: memory + place.offset, recent: recent.map { memory + $0.offset },
                first: Int64(segments[index].lowerBound), count: Int64(segments[index].count),
                position: Int64(places[index].count))
        }
        return UnsafePointer(sequences)
    }

    // MARK: Operations of layers

    /// Returns rows of a width with undefined contents, by default one per token.
    func rows(_ width: Int, count: Int? = nil) -> Rows {
        let count = count ?? rowCount
        return Rows(workspace.floats(count * width), count: count, width: width)
    }

    /// Returns x Wᵀ + b.
    func multiply(_ x: Rows, _ matrix: Matrix) -> Rows {
        var products = Products(x, self)
        let y = products.add(matrix)
        products.run()
        return y
    }

    /// Returns function(x) ⊙ factor, or function(x).
    func apply(_ function: rn_function, _ x: Rows, times factor: Rows? = nil) -> Rows {
        let y = rows(x.width, count: x.count)
        rn_apply(
            pool, function, x.data, Int64(x.stride), factor?.data, Int64(factor?.stride ?? 0), y.data,
            Int64(y.stride), Int64(x.count), Int64(x.width))
        return y
    }

    /// Sets x to factor x + yFactor y, for rows without gaps.
    func add(_ y: Rows, times yFactor: Double = 1, to x: Rows, times factor: Double = 1) {
        rn_add(pool, Float(factor), x.data, Float(yFactor), y.data, Int64(x.count * x.width))
    }

    /// Returns the heads of x rotated by their positions, times a scale; [rows, heads · size] without gaps.
    func rotate(_ x: Rows, heads: Int, by rotary: Rotary, scale: Double = 1) -> Rows {
        let y = rows(x.width, count: x.count)
        let table = table(rotary)
        let pairs = rotary.angles.count
        var rotation = rn_rotation(
            cosine: table?.cosine, sine: table?.sine, table_stride: Int64(pairs), heads: Int64(heads),
            size: Int64(x.width / heads), pairs: Int64(pairs), interleaved: rotary.isInterleaved,
            scale: Float(scale))
        rn_rotate(
            pool, &rotation, x.data, Int64(x.stride), y.data, Int64(y.stride), Int64(x.count))
        return y
    }

    /// Returns the biases for sequences of up to so many tokens.
    func table(_ bias: PositionBias, length: Int) -> BiasTable { biases.table(bias, length: length) }

    private func table(_ rotary: Rotary) -> RotaryRows? {
        guard !rotary.angles.isEmpty else { return nil }
        while tables.count <= rotary.number { tables.append(nil) }
        if let table = tables[rotary.number] { return table }
        let pairs = rotary.angles.count
        let table = RotaryRows(
            cosine: workspace.floats(rowCount * pairs), sine: workspace.floats(rowCount * pairs))
        rn_rotary_table(
            rotary.angles, Int64(pairs), positions, Int64(rowCount), table.cosine, table.sine)
        tables[rotary.number] = table
        return table
    }

    /// Makes the tables of rotations, which the work space then keeps for the whole pass.
    func prepare(_ rotations: [Rotary]) {
        for rotary in rotations { _ = table(rotary) }
    }
}

/// Cosines and sines of all rows of a pass, [rows, pairs] each.
private struct RotaryRows {
    let cosine: UnsafeMutablePointer<Float>
    let sine: UnsafeMutablePointer<Float>
}

/// The rotation of queries and keys by their positions; equal ones of several layers have one number and one table.
struct Rotary {
    let number: Int
    /// Radians per position of every pair; none where nothing is rotated.
    let angles: [Double]
    /// True for pairs (2j, 2j+1), false for (j, j + n).
    let isInterleaved: Bool
}
