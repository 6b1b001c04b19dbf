import RetNetKernels

/// Rows of float32 values in the work space of a pass, one per token: [count, width].
struct Rows {
    let data: UnsafeMutablePointer<Float>
    let count: Int
    let width: Int
    /// The distance in elements from one row to the next.
    let stride: Int

    init(_ data: UnsafeMutablePointer<Float>, count: Int, width: Int, stride: Int? = nil) {
        self.data = data
        self.count = count
        self.width = width
        self.stride = stride ?? width
    }

    /// Returns the columns from a place on.
    func columns(from start: Int, count width: Int) -> Rows {
        Rows(data + start, count: count, width: width, stride: stride)
    }
}

/// Products of the same rows with several matrices, which the threads compute in one go.
struct Products {
    private let pass: Pass
    private let x: Rows
    private var count = 0

    /// The largest number of matrices.
    static let limit = 8

    init(_ x: Rows, _ pass: Pass) {
        self.x = x
        self.pass = pass
    }

    /// Adds a matrix; returns the rows x Wᵀ + b, which are there after ``run()``.
    mutating func add(_ matrix: Matrix) -> Rows {
        let y = pass.rows(matrix.rows, count: x.count)
        pass.products[count] = rn_product(
            weights: matrix.weights, bias: matrix.bias, y: y.data, y_stride: Int64(y.stride))
        count += 1
        return y
    }

    /// Adds a matrix if there is one.
    mutating func add(_ matrix: Matrix?) -> Rows? { matrix.map { add($0) } }

    /// Computes all products.
    func run() {
        let columns = pass.products[0].weights.columns
        let byteCount = rn_multiply_scratch(pass.pool, columns, Int64(x.count))
        let mark = pass.workspace.mark
        rn_multiply(
            pass.pool, pass.products, Int64(count), x.data, Int64(x.stride), Int64(x.count),
            pass.workspace.bytes(Int(byteCount)))
        pass.workspace.release(to: mark)
    }
}
