import Foundation

/// A checksum of contents as the hub lists them: SHA-256 of large files, and Git's SHA-1 of the others.
///
/// Source: FIPS 180-4. Own code, since neither Foundation on Linux nor LibTorch has them and a package of cryptography
/// takes longer to build than the rest of this one.
package struct ContentDigest {
    /// The way in which an etag of the hub stands for contents.
    package enum Kind: Equatable, Sendable {
        case sha256
        case gitBlob

        /// Recognizes the checksum of an etag by its length; nil for others, which check nothing.
        package init?(etag: String) {
            guard etag.utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) }) else { return nil }
            switch etag.utf8.count {
            case 64: self = .sha256
            case 40: self = .gitBlob
            default: return nil
            }
        }
    }

    private var state: [UInt32]
    private var rest: [UInt8] = []
    private var byteCount: UInt64 = 0
    private let isSHA256: Bool

    /// Begins the checksum of contents of a size in bytes, which Git's begins with.
    package init(_ kind: Kind, byteCount: Int) {
        isSHA256 = kind == .sha256
        state = isSHA256 ? Self.initial256 : Self.initial1
        if kind == .gitBlob { update(Data("blob \(byteCount)\0".utf8)) }
    }

    /// Adds bytes.
    package mutating func update(_ data: Data) { data.withUnsafeBytes { update($0) } }

    /// Adds bytes.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        byteCount &+= UInt64(bytes.count)
        var offset = 0
        if !rest.isEmpty {
            offset = min(64 - rest.count, bytes.count)
            rest.append(contentsOf: bytes[..<offset])
            guard rest.count == 64 else { return }
            let block = rest
            rest.removeAll(keepingCapacity: true)
            block.withUnsafeBytes { process($0, blockCount: 1) }
        }
        let blockCount = (bytes.count - offset) / 64
        if blockCount > 0 {
            process(UnsafeRawBufferPointer(rebasing: bytes[offset...]), blockCount: blockCount)
        }
        rest.append(contentsOf: bytes[(offset + 64 * blockCount)...])
    }

    /// Returns the SHA-256 of a text in UTF-8, in hexadecimal digits.
    package static func sha256(_ text: String) -> String {
        var digest = ContentDigest(.sha256, byteCount: 0)
        digest.update(Data(text.utf8))
        return digest.hexadecimal()
    }

    /// Returns the checksum of everything added, in hexadecimal digits.
    package func hexadecimal() -> String {
        var copy = self
        let bitCount = byteCount &* 8
        var padding = [UInt8](repeating: 0, count: (rest.count < 56 ? 56 : 120) - rest.count)
        padding[0] = 0x80
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            padding.append(UInt8(truncatingIfNeeded: bitCount >> shift))
        }
        padding.withUnsafeBytes { copy.update($0) }
        return copy.state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private mutating func process(_ bytes: UnsafeRawBufferPointer, blockCount: Int) {
        state.withUnsafeMutableBufferPointer { state in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 80) { words in
                for block in 0..<blockCount {
                    for index in 0..<16 {
                        words[index] = UInt32(
                            bigEndian: bytes.loadUnaligned(
                                fromByteOffset: 64 * block + 4 * index, as: UInt32.self))
                    }
                    if isSHA256 { Self.round256(state, words) } else { Self.round1(state, words) }
                }
            }
        }
    }

    @inline(__always)
    private static func rotated(_ value: UInt32, right count: UInt32) -> UInt32 {
        value &>> count | value &<< (32 &- count)
    }

    private static func round256(
        _ state: UnsafeMutableBufferPointer<UInt32>, _ words: UnsafeMutableBufferPointer<UInt32>
    ) {
        for index in 16..<64 {
            let early = words[index &- 15]
            let late = words[index &- 2]
            let sigma0 = rotated(early, right: 7) ^ rotated(early, right: 18) ^ (early &>> 3)
            let sigma1 = rotated(late, right: 17) ^ rotated(late, right: 19) ^ (late &>> 10)
            words[index] = words[index &- 16] &+ sigma0 &+ words[index &- 7] &+ sigma1
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        constants256.withUnsafeBufferPointer { constants in
            for index in 0..<64 {
                let sum1 = rotated(e, right: 6) ^ rotated(e, right: 11) ^ rotated(e, right: 25)
                let first = h &+ sum1 &+ ((e & f) ^ (~e & g)) &+ constants[index] &+ words[index]
                let sum0 = rotated(a, right: 2) ^ rotated(a, right: 13) ^ rotated(a, right: 22)
                let second = sum0 &+ ((a & b) ^ (a & c) ^ (b & c))
                (h, g, f, e) = (g, f, e, d &+ first)
                (d, c, b, a) = (c, b, a, first &+ second)
            }
        }
        state[0] &+= a
        state[1] &+= b
        state[2] &+= c
        state[3] &+= d
        state[4] &+= e
        state[5] &+= f
        state[6] &+= g
        state[7] &+= h
    }

    private static func round1(
        _ state: UnsafeMutableBufferPointer<UInt32>, _ words: UnsafeMutableBufferPointer<UInt32>
    ) {
        for index in 16..<80 {
            let mixed = words[index &- 3] ^ words[index &- 8] ^ words[index &- 14] ^ words[index &- 16]
            words[index] = rotated(mixed, right: 31)
        }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for index in 0..<80 {
            let (mixed, constant): (UInt32, UInt32) =
                switch index {
                case 0..<20: ((b & c) | (~b & d), 0x5A82_7999)
                case 20..<40: (b ^ c ^ d, 0x6ED9_EBA1)
                case 40..<60: ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC)
                default: (b ^ c ^ d, 0xCA62_C1D6)
                }
            let next = rotated(a, right: 27) &+ mixed &+ e &+ constant &+ words[index]
            (e, d, c, b, a) = (d, c, rotated(b, right: 2), a, next)
        }
        state[0] &+= a
        state[1] &+= b
        state[2] &+= c
        state[3] &+= d
        state[4] &+= e
    }

    private static let initial1: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
    private static let initial256: [UInt32] = [
        0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB,
        0x5BE0_CD19,
    ]
    private static let constants256: [UInt32] = [
        0x428A_2F98, 0x7137_4491, 0xB5C0_FBCF, 0xE9B5_DBA5, 0x3956_C25B, 0x59F1_11F1, 0x923F_82A4,
        0xAB1C_5ED5,
        0xD807_AA98, 0x1283_5B01, 0x2431_85BE, 0x550C_7DC3, 0x72BE_5D74, 0x80DE_B1FE, 0x9BDC_06A7,
        0xC19B_F174,
        0xE49B_69C1, 0xEFBE_4786, 0x0FC1_9DC6, 0x240C_A1CC, 0x2DE9_2C6F, 0x4A74_84AA, 0x5CB0_A9DC,
        0x76F9_88DA,
        0x983E_5152, 0xA831_C66D, 0xB003_27C8, 0xBF59_7FC7, 0xC6E0_0BF3, 0xD5A7_9147, 0x06CA_6351,
        0x1429_2967,
        0x27B7_0A85, 0x2E1B_2138, 0x4D2C_6DFC, 0x5338_0D13, 0x650A_7354, 0x766A_0ABB, 0x81C2_C92E,
        0x9272_2C85,
        0xA2BF_E8A1, 0xA81A_664B, 0xC24B_8B70, 0xC76C_51A3, 0xD192_E819, 0xD699_0624, 0xF40E_3585,
        0x106A_A070,
        0x19A4_C116, 0x1E37_6C08, 0x2748_774C, 0x34B0_BCB5, 0x391C_0CB3, 0x4ED8_AA4A, 0x5B9C_CA4F,
        0x682E_6FF3,
        0x748F_82EE, 0x78A5_636F, 0x84C8_7814, 0x8CC7_0208, 0x90BE_FFFA, 0xA450_6CEB, 0xBEF9_A3F7,
        0xC671_78F2,
    ]
}
