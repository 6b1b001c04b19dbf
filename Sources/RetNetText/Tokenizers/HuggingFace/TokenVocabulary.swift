/// The tokens of a vocabulary by number and by text.
struct TokenVocabulary: Sendable {
    /// The largest number of a token plus one; tables have an entry for each number.
    static let maximumCount = 1 << 22

    /// All texts one after the other, and the place of each token's; numbers without a token have length -1.
    private(set) var texts: [UInt8] = []
    private var starts: [Int32] = []
    private var lengths: [Int32] = []
    /// An open hash table of token numbers plus one.
    private var slots: [Int32]
    private var mask: Int
    /// The number of tokens.
    private(set) var count = 0
    /// The length of the longest text.
    private(set) var longestByteCount = 0

    init(capacity: Int) {
        var size = 1 << 6
        while size < capacity * 2 { size *= 2 }
        slots = [Int32](repeating: 0, count: size)
        mask = size - 1
        starts.reserveCapacity(capacity)
        lengths.reserveCapacity(capacity)
    }

    /// The largest number plus one.
    var endNumber: Int { starts.count }

    /// Adds a token; returns the reason where it is refused.
    mutating func insert(_ text: UnsafeBufferPointer<UInt8>, number: Int) -> String? {
        guard (0..<Self.maximumCount).contains(number) else {
            return "has the number \(number), but numbers are 0 to \(Self.maximumCount - 1)"
        }
        guard texts.count + text.count < Int(Int32.max) else { return "makes the texts too long" }
        let slot = find(text)
        guard slots[slot] == 0 else { return "is there twice" }
        if number >= starts.count {
            let missing = number + 1 - starts.count
            starts.append(contentsOf: repeatElement(0, count: missing))
            lengths.append(contentsOf: repeatElement(-1, count: missing))
        }
        guard lengths[number] < 0 else {
            return "has the number \(number) of '\(String(decoding: self.text(number), as: UTF8.self))'"
        }
        slots[slot] = Int32(number + 1)
        starts[number] = Int32(texts.count)
        lengths[number] = Int32(text.count)
        texts.append(contentsOf: text)
        longestByteCount = max(longestByteCount, text.count)
        count += 1
        if count * 2 > slots.count { grow() }
        return nil
    }

    /// Returns the number of a token, or -1.
    @inline(__always) func number(_ text: UnsafeBufferPointer<UInt8>) -> Int32 { slots[find(text)] - 1 }

    /// Returns the number of a token, or `nil`.
    func number(_ text: String) -> Int32? {
        var text = text
        let number = text.withUTF8 { self.number($0) }
        return number < 0 ? nil : number
    }

    /// Returns the text of a token; none for numbers without one.
    func text(_ number: Int) -> ArraySlice<UInt8> {
        guard has(number) else { return [] }
        let start = Int(starts[number])
        return texts[start..<start + Int(lengths[number])]
    }

    /// Returns true if a number has a token.
    func has(_ number: Int) -> Bool { lengths.indices.contains(number) && lengths[number] >= 0 }

    private func find(_ text: UnsafeBufferPointer<UInt8>) -> Int {
        texts.withUnsafeBufferPointer { texts in
            var slot = Int(truncatingIfNeeded: ByteHash.hash(text) >> 16) & mask
            while slots[slot] != 0 {
                let number = Int(slots[slot] &- 1)
                if Int(lengths[number]) == text.count,
                    ByteHash.areEqual(text, UnsafeBufferPointer(rebasing: texts[Int(starts[number])...]))
                {
                    return slot
                }
                slot = (slot &+ 1) & mask
            }
            return slot
        }
    }

    private mutating func grow() {
        slots = [Int32](repeating: 0, count: slots.count * 2)
        mask = slots.count - 1
        for number in starts.indices where lengths[number] >= 0 {
            let slot = texts[Int(starts[number])..<Int(starts[number] + lengths[number])]
                .withUnsafeBufferPointer {
                    var slot = Int(truncatingIfNeeded: ByteHash.hash($0) >> 16) & mask
                    while slots[slot] != 0 { slot = (slot + 1) & mask }
                    return slot
                }
            slots[slot] = Int32(number + 1)
        }
    }
}

/// Hashes and comparisons of short byte strings.
enum ByteHash {
    @inline(__always) static func hash(_ text: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var hash = UInt64(truncatingIfNeeded: text.count) &* 0x9E37_79B9_7F4A_7C15
        let bytes = UnsafeRawBufferPointer(text)
        var index = 0
        while index &+ 8 <= bytes.count {
            hash = mixed(hash ^ bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            index &+= 8
        }
        if index < bytes.count {
            var rest: UInt64 = 0
            while index < bytes.count {
                rest = rest << 8 | UInt64(bytes[index])
                index &+= 1
            }
            hash = mixed(hash ^ rest)
        }
        return hash
    }

    @inline(__always) static func mixed(_ value: UInt64) -> UInt64 {
        let product = (value ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
        return product.high ^ product.low
    }

    /// Returns true if the second text begins with the first.
    @inline(__always) static func areEqual(
        _ first: UnsafeBufferPointer<UInt8>, _ second: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        guard second.count >= first.count else { return false }
        var index = 0
        while index < first.count {
            if first[index] != second[index] { return false }
            index &+= 1
        }
        return true
    }
}
