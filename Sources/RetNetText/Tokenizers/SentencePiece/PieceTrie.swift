/// A prefix tree of byte strings with values.
///
/// All edges are in one hash table, so insertion takes time in proportion to the bytes inserted, and a step along an
/// edge is about one memory access.
struct PieceTrie: Sendable {
    /// The limit of node numbers in an edge; files are far smaller.
    static let maximumNodeCount = 1 << 28

    // An edge is (parent * 256 + byte) << 28 | child. No child is 0, the root, so 0 is an empty slot.
    private var edges: [UInt64]
    private var shift: UInt64
    private var rootEdges = [Int32](repeating: 0, count: 256)
    /// The value of the string that ends at each node, or -1.
    private var values: [Int32] = [-1]

    /// Creates an empty tree.
    init() {
        edges = [UInt64](repeating: 0, count: 1 << 10)
        shift = 64 - 10
    }

    /// True if the tree has no strings.
    var isEmpty: Bool { values.count == 1 }

    /// Adds a string; returns false if it is empty or already present, or if the tree is full.
    mutating func insert(_ string: ArraySlice<UInt8>, value: Int32) -> Bool {
        guard !string.isEmpty, values.count + string.count <= Self.maximumNodeCount else { return false }
        var node = 0
        for byte in string {
            let key = UInt64(node) << 8 | UInt64(byte)
            var slot = place(key)
            while edges[slot] != 0, edges[slot] >> 28 != key { slot = (slot + 1) & (edges.count - 1) }
            if edges[slot] == 0 {
                edges[slot] = key << 28 | UInt64(values.count)
                if node == 0 { rootEdges[Int(byte)] = Int32(values.count) }
                node = values.count
                values.append(-1)
                if values.count * 2 > edges.count { grow() }
            } else {
                node = Int(edges[slot] & 0xFFF_FFFF)
            }
        }
        guard values[node] < 0 else { return false }
        values[node] = value
        return true
    }

    private func place(_ key: UInt64) -> Int { Int((key &* 0x9E37_79B9_7F4A_7C15) >> shift) }

    private mutating func grow() {
        let old = edges
        edges = [UInt64](repeating: 0, count: old.count * 2)
        shift -= 1
        for edge in old where edge != 0 {
            var slot = place(edge >> 28)
            while edges[slot] != 0 { slot = (slot + 1) & (edges.count - 1) }
            edges[slot] = edge
        }
    }

    /// The tree as pointers, for loops over long texts; valid only during `withWalker`.
    struct Walker {
        fileprivate let edges: UnsafeBufferPointer<UInt64>
        fileprivate let mask: Int
        fileprivate let shift: UInt64
        fileprivate let rootEdges: UnsafeBufferPointer<Int32>
        fileprivate let values: UnsafeBufferPointer<Int32>

        /// Returns the node that a byte leads to, or 0.
        @inline(__always) func child(of node: Int, _ byte: UInt8) -> Int {
            if node == 0 { return Int(rootEdges[Int(byte)]) }
            let key = UInt64(truncatingIfNeeded: node) << 8 | UInt64(byte)
            var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> shift)
            while true {
                let edge = edges[slot]
                if edge >> 28 == key, edge != 0 { return Int(truncatingIfNeeded: edge & 0xFFF_FFFF) }
                if edge == 0 { return 0 }
                slot = (slot &+ 1) & mask
            }
        }

        /// Returns the value of the string that ends at a node, or -1.
        @inline(__always) func value(of node: Int) -> Int32 { values[node] }

        /// Returns the value of a whole string, or -1.
        func value(of string: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Int32 {
            var node = 0
            for index in range {
                node = child(of: node, string[index])
                if node == 0 { return -1 }
            }
            return node == 0 ? -1 : values[node]
        }

        /// Returns the length of the longest string at an index of a text; 0 without any.
        ///
        /// As in the reference, only the 64 shortest strings there count.
        func longestMatch(_ text: UnsafeBufferPointer<UInt8>, at start: Int) -> Int {
            var (node, index, length, count) = (0, start, 0, 0)
            while index < text.count, count < 64 {
                node = child(of: node, text[index])
                if node == 0 { break }
                index += 1
                if values[node] >= 0 {
                    length = index - start
                    count += 1
                }
            }
            return length
        }
    }

    /// Calls `body` with the tree as pointers.
    func withWalker<R>(_ body: (Walker) throws -> R) rethrows -> R {
        try edges.withUnsafeBufferPointer { edges in
            try rootEdges.withUnsafeBufferPointer { rootEdges in
                try values.withUnsafeBufferPointer { values in
                    try body(
                        Walker(
                            edges: edges, mask: edges.count - 1, shift: shift, rootEdges: rootEdges,
                            values: values))
                }
            }
        }
    }
}
