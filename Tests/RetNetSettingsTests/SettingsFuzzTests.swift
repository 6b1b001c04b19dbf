import Foundation
import RetNetSettings
import Testing

/// Damaged configuration files are read or refused; they never stop the process.
@Suite struct SettingsFuzzTests {
    /// SplitMix64: the same mutations on every platform.
    struct Random {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
        mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }
    }

    static let yaml = """
        model: {preset: retnet-1m, layer_count: 5}
        data:
          paths: [a.txt, "b c.txt"]   # texts
          length: 512
        optimizer: {learning_rate: 3e-4, betas: [0.9, 0.98]}
        note: |
          several
          lines
        steps: 1e3
        flag: true
        nothing: ~
        """
    static let json = """
        {"model_type": "retnet", "vocabulary_size": 256, "mixer": {"decay": [0.9, 0.99], "epsilon": 1e-06},
         "norm": {"affine": true, "text": "a\\u00e9\\n"}, "list": [1, -2.5e3, null, {"deep": [[[[]]]]}]}
        """

    func mutated(_ text: String, _ random: inout Random) -> String {
        var bytes = Array(text.utf8)
        let interesting = Array("{}[]:,\"'\\&*!|>#-?%@`\n\t 0e+.~".utf8)
        for _ in 0...random.below(4) {
            let place = random.below(bytes.count)
            switch random.below(5) {
            case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes.insert(interesting[random.below(interesting.count)], at: place)
            case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.below(8)))
            case 3:
                bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + random.below(40))], at: place)
            default: bytes[place] ^= UInt8(1) << UInt8(random.below(8))
            }
            if bytes.isEmpty { bytes = [0x20] }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(arguments: [1, 2, 3, 4]) func `Thousands of damaged files neither crash nor pass unread`(seed: Int)
    {
        var random = Random(state: UInt64(seed))
        var refused = 0
        for _ in 0..<1500 {
            do {
                let tree = try SettingsTree(yaml: mutated(Self.yaml, &random))
                _ = tree.yamlText()
            } catch {
                refused += 1
                #expect(!"\(error)".isEmpty)
            }
            do {
                let tree = try SettingsTree(json: mutated(Self.json, &random))
                _ = try tree.jsonText()
            } catch {
                refused += 1
                #expect(!"\(error)".isEmpty)
            }
        }
        #expect(refused > 500)
    }
}
