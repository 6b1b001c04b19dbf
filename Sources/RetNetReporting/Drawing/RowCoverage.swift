/// The sum of covered stretches along one row of pixels.
struct RowCoverage {
    /// Shares of single pixels at the ends of stretches.
    private var partial: [Float]
    /// Changes of full coverage, to be summed up from the left.
    private var steps: [Float]
    private var first: Int
    private var last: Int
    private let width: Int

    init(width: Int) {
        self.width = width
        partial = [Float](repeating: 0, count: width + 2)
        steps = [Float](repeating: 0, count: width + 2)
        first = Int.max
        last = -1
    }

    /// The pixels touched since the last reset.
    var range: Range<Int>? {
        first < min(last + 1, width) ? first..<min(last + 1, width) : nil
    }

    /// Adds a stretch; both ends must lie between 0 and the width.
    mutating func add(from start: Double, to end: Double) {
        guard start >= 0, end > start, end <= Double(width) else { return }
        let (left, right) = (Int(start), Int(end))
        if left == right {
            partial[left] += Float(end - start)
        } else {
            partial[left] += Float(Double(left + 1) - start)
            partial[right] += Float(end - Double(right))
            steps[left + 1] += 1
            steps[right] -= 1
        }
        first = min(first, left)
        last = max(last, right)
    }

    /// Clears what was touched.
    mutating func reset() {
        guard first <= last else { return }
        for index in first...min(last + 1, width + 1) {
            partial[index] = 0
            steps[index] = 0
        }
        first = Int.max
        last = -1
    }

    func withCells(_ body: (UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>) -> Void) {
        partial.withUnsafeBufferPointer { partial in
            steps.withUnsafeBufferPointer { steps in body(partial, steps) }
        }
    }
}
