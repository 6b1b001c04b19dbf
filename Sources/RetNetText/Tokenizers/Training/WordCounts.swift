/// The different words of a text with their numbers, in the order of their first use.
///
/// Words are cut by a ``WordScanner``; the bytes of each are kept once, so the memory depends on the vocabulary of the text
/// and not on its length. No hash is seeded at random: the same text gives the same order.
struct WordCounts {
    /// The number of times that each word occurs.
    private(set) var counts: [Int] = []
    /// The bytes of all words one after the other.
    private(set) var bytes: [UInt8] = []
    /// The start of each word in `bytes`, and the end of the last.
    private(set) var starts: [Int] = [0]
    private var hashes: [UInt32] = []
    /// Numbers of words by hash, -1 where there is none; their number is a power of two.
    private var slots = [Int32](repeating: -1, count: 1 << 12)

    /// Counts a word once more; there can be 2^31 - 1 different ones, others are ignored.
    mutating func add(_ word: UnsafeBufferPointer<UInt8>) {
        let hash = Self.hash(word)
        var slot = Int(hash) & (slots.count - 1)
        while slots[slot] >= 0 {
            let index = Int(slots[slot])
            if hashes[index] == hash, isEqual(index, word) {
                counts[index] &+= 1
                return
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        guard counts.count < Int(Int32.max) else { return }
        slots[slot] = Int32(counts.count)
        counts.append(1)
        hashes.append(hash)
        bytes.append(contentsOf: word)
        starts.append(bytes.count)
        if counts.count * 2 > slots.count { grow() }
    }

    /// The place of a word in `bytes`.
    func range(of index: Int) -> Range<Int> { starts[index]..<starts[index + 1] }

    private func isEqual(_ index: Int, _ word: UnsafeBufferPointer<UInt8>) -> Bool {
        let start = starts[index]
        guard starts[index + 1] - start == word.count else { return false }
        for offset in 0..<word.count where bytes[start + offset] != word[offset] { return false }
        return true
    }

    private mutating func grow() {
        slots = [Int32](repeating: -1, count: slots.count * 2)
        for (index, hash) in hashes.enumerated() {
            var slot = Int(hash) & (slots.count - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(index)
        }
    }

    private static func hash(_ word: UnsafeBufferPointer<UInt8>) -> UInt32 {
        var value: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in word { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
        // The low bits of such products are weak.
        value ^= value >> 32
        value = value &* 0x9E37_79B9_7F4A_7C15
        return UInt32(truncatingIfNeeded: value >> 32)
    }
}

/// A consumer of documents that counts their words.
///
/// A document may come in pieces of any size: a word is counted once the characters that decide about its end are there.
final class WordCounter: DocumentConsumer {
    private(set) var words = WordCounts()
    /// The number of bytes of all documents.
    private(set) var byteCount = 0
    private var pending: [UInt8] = []

    func consume(_ bytes: UnsafeRawBufferPointer) {
        byteCount += bytes.count
        guard !pending.isEmpty else {
            let used = bytes.withMemoryRebound(to: UInt8.self) { count($0, isEnd: false) }
            pending.append(contentsOf: bytes[used...])
            return
        }
        pending.append(contentsOf: bytes)
        let used = pending.withUnsafeBufferPointer { count($0, isEnd: false) }
        pending.removeFirst(used)
    }

    func endDocument() {
        // A document that was cut by bytes may end inside a character.
        pending.removeLast(UTF8StreamDecoder.incompleteSuffixByteCount(pending))
        let used = pending.withUnsafeBufferPointer { count($0, isEnd: true) }
        pending.removeFirst(used)
    }

    /// Counts the words of a text whose ends are certain, and returns the bytes that they take.
    private func count(_ text: UnsafeBufferPointer<UInt8>, isEnd: Bool) -> Int {
        // What follows a word decides about its end: one character, or two letters after an apostrophe.
        let limit = isEnd ? text.count : text.count - 4
        var used = 0
        WordScanner.gpt2.forEachWord(text, 0..<text.count) { start, end in
            // Behind an uncertain end everything is uncertain.
            guard start == used, end <= limit else { return }
            words.add(UnsafeBufferPointer(rebasing: text[start..<end]))
            used = end
        }
        return used
    }
}

extension WordScanner {
    /// Returns true if a text is one word or none.
    func isOneWord(_ text: String) -> Bool {
        var (text, count) = (text, 0)
        text.withUTF8 { forEachWord($0, 0..<$0.count) { _, _ in count += 1 } }
        return count <= 1
    }
}
