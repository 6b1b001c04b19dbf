/// Memory for the intermediate values of passes, which is used again by every pass.
///
/// Values are taken one after the other and given back all at once, down to a mark. After the first pass of a size
/// nothing is allocated.
final class Workspace {
    private var blocks: [Block] = []
    private var current = 0
    private var used = 0

    private struct Block {
        let start: UnsafeMutableRawPointer
        let byteCount: Int

        init(_ byteCount: Int) {
            start = .allocate(byteCount: byteCount, alignment: 64)
            self.byteCount = byteCount
        }
    }

    /// A point to which memory is given back.
    struct Mark {
        fileprivate let block: Int
        fileprivate let used: Int
    }

    deinit { for block in blocks { block.start.deallocate() } }

    /// Bytes of all blocks.
    var byteCount: Int { blocks.reduce(0) { $0 + $1.byteCount } }

    /// The memory that is taken now.
    var mark: Mark { Mark(block: current, used: used) }

    /// Gives back what was taken since a mark.
    func release(to mark: Mark) {
        current = mark.block
        used = mark.used
    }

    /// Gives back everything; several blocks become one that is as large as all of them.
    func reset() {
        if blocks.count > 1 {
            let total = byteCount
            for block in blocks { block.start.deallocate() }
            blocks = [Block(total)]
        }
        current = 0
        used = 0
    }

    /// Returns memory for so many floats, aligned to 64 bytes; its contents are undefined.
    func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
        bytes(count * 4).bindMemory(to: Float.self, capacity: count)
    }

    /// Returns memory of a size, aligned to 64 bytes; its contents are undefined.
    func bytes(_ count: Int) -> UnsafeMutableRawPointer {
        let size = (max(count, 1) + 63) & ~63
        while current < blocks.count, used + size > blocks[current].byteCount {
            current += 1
            used = 0
        }
        if current == blocks.count {
            blocks.append(Block(max(size, 1 << 20)))
            used = 0
        }
        let start = blocks[current].start + used
        used += size
        return start
    }
}
