/// The tokens of words that were encoded before.
///
/// Words of up to 15 bytes are two numbers; longer ones are kept as bytes. When the cache is full it starts anew, so it
/// follows the text and takes a bounded amount of memory.
struct WordCache {
    static let longestByteCount = 128
    private static let maximumWordCount = 1 << 15
    private static let maximumArenaCount = 1 << 20

    private struct Entry {
        // For short words their bytes and, in the highest byte, the length plus one; for long ones the hash, and the
        // place in `words` with the highest byte 255. An empty slot is 0.
        var low: UInt64 = 0
        var high: UInt64 = 0
        var start: Int32 = 0
        var count: Int32 = 0
    }

    /// A word in the form in which it is looked up.
    struct Key {
        fileprivate var low: UInt64
        fileprivate var high: UInt64
        fileprivate var isLong: Bool
    }

    private var entries = [Entry](repeating: Entry(), count: 1 << 10)
    private var wordCount = 0
    private var words: [UInt8] = []
    private(set) var tokens: [Int32] = []
    /// The end of each token in its word.
    private(set) var ends: [Int32] = []

    @inline(__always) static func key(_ word: UnsafeBufferPointer<UInt8>) -> Key {
        let bytes = UnsafeRawBufferPointer(word)
        if bytes.count <= 15 {
            var (low, high): (UInt64, UInt64) = (0, 0)
            if bytes.count >= 8 {
                low = bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
                // The last eight bytes, without those that are in the first eight.
                let last = bytes.loadUnaligned(fromByteOffset: bytes.count &- 8, as: UInt64.self)
                let missing = UInt64(16 &- bytes.count) &* 8
                high = missing >= 64 ? 0 : last >> missing
            } else if bytes.count >= 4 {
                let first = UInt64(bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
                let last = UInt64(bytes.loadUnaligned(fromByteOffset: bytes.count &- 4, as: UInt32.self))
                low = first | last << (UInt64(bytes.count &- 4) &* 8)
            } else {
                var index = bytes.count
                while index > 0 {
                    index &-= 1
                    low = low << 8 | UInt64(bytes[index])
                }
            }
            return Key(low: low, high: high | UInt64(bytes.count &+ 1) << 56, isLong: false)
        }
        return Key(low: ByteHash.hash(word), high: 0, isLong: true)
    }

    @inline(__always) private func slot(_ key: Key) -> Int {
        Int(truncatingIfNeeded: ByteHash.mixed(key.low ^ key.high &* 0x9E37_79B9_7F4A_7C15))
            & (entries.count &- 1)
    }

    /// Returns the place of the tokens of a word in `tokens` and `ends`.
    @inline(__always) func find(_ key: Key, _ word: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        entries.withUnsafeBufferPointer { entries in
            let mask = entries.count &- 1
            var slot = slot(key)
            while entries[slot].high != 0 {
                let entry = entries[slot]
                if entry.low == key.low, key.isLong ? isWord(entry, word) : entry.high == key.high {
                    return Int(entry.start)..<Int(entry.start &+ entry.count)
                }
                slot = (slot &+ 1) & mask
            }
            return nil
        }
    }

    private func isWord(_ entry: Entry, _ word: UnsafeBufferPointer<UInt8>) -> Bool {
        guard entry.high >> 56 == 255 else { return false }
        let start = Int(entry.high >> 8 & 0xFFFF_FFFF_FFFF)
        guard Int(entry.high & 0xFF) == word.count else { return false }
        return words.withUnsafeBufferPointer {
            ByteHash.areEqual(word, UnsafeBufferPointer(rebasing: $0[start..<start + word.count]))
        }
    }

    /// Adds a word with its tokens.
    mutating func insert(
        _ key: Key, _ word: UnsafeBufferPointer<UInt8>, _ tokens: some Collection<(token: Int32, end: Int32)>
    ) {
        if wordCount >= Self.maximumWordCount || self.tokens.count >= Self.maximumArenaCount { removeAll() }
        if (wordCount + 1) * 2 > entries.count { grow() }
        var high = key.high
        if key.isLong {
            high = 255 << 56 | UInt64(words.count) << 8 | UInt64(word.count)
            words.append(contentsOf: word)
        }
        let entry = Entry(
            low: key.low, high: high, start: Int32(self.tokens.count), count: Int32(tokens.count))
        for (token, end) in tokens {
            self.tokens.append(token)
            ends.append(end)
        }
        put(entry)
        wordCount += 1
    }

    private mutating func put(_ entry: Entry) {
        // Long words are looked up by their hash alone.
        let isLong = entry.high >> 56 == 255
        var slot = slot(Key(low: entry.low, high: isLong ? 0 : entry.high, isLong: isLong))
        while entries[slot].high != 0 { slot = (slot + 1) & (entries.count - 1) }
        entries[slot] = entry
    }

    private mutating func grow() {
        let old = entries
        entries = [Entry](repeating: Entry(), count: old.count * 2)
        for entry in old where entry.high != 0 { put(entry) }
    }

    private mutating func removeAll() {
        for index in entries.indices { entries[index] = Entry() }
        wordCount = 0
        words.removeAll(keepingCapacity: true)
        tokens.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
    }
}
