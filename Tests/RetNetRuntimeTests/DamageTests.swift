import Foundation
import RetNetArchitecture
import RetNetCheckpoints
import RetNetRuntime
import RetNetSampling
import RetNetStorage
import RetNetTestSupport
import RetNetText
import Testing

/// Damaged folders and states are refused with one message, or run: nothing traps.
@Suite struct DamageTests {
    private let folder: TemporaryFolder
    private var model: String { folder.path("model") }

    init() throws { folder = try TemporaryFolder() }

    /// One small model of each kind whose settings the others lack.
    static let variants: [ParityTests.Variant] = [
        ParityTests.Variant("retention and attention") {
            $0.pattern = [
                LayerConfiguration(mixer: $0.mixer, feedForward: $0.feedForward, shortConvolution: 3),
                LayerConfiguration(
                    mixer: .attention(AttentionConfiguration(headCount: 2, headSize: 8)), feedForward: .none),
            ]
            $0.positionEmbedding = .learned
            $0.positionCount = 64
        },
        ParityTests.Variant("mamba2, rwkv") {
            $0.pattern = [
                LayerConfiguration(
                    mixer: .mamba2(Mamba2Configuration(width: 16, headSize: 8)), feedForward: .none),
                LayerConfiguration(mixer: .rwkv(RWKVConfiguration(channelCount: 16)), feedForward: .none),
            ]
        },
        ParityTests.Variant("deltanet, experts, Sequence-AltUp") {
            $0.layerCount = 4
            $0.mixer = .gatedDeltaNet(GatedDeltaNetConfiguration(width: 16, headCount: 2))
            $0.feedForward.experts = ExpertsConfiguration(count: 2)
            $0.altUp = AltUpConfiguration(
                kind: .standard,
                sequence: SequenceReductionConfiguration(stride: 2, positions: .anchors))
        },
    ]

    private func save(_ configuration: LanguageModelConfiguration) throws {
        var c = configuration
        c.vocabularySize = 256
        try ModelFolder.save(EnginePair.model(c), tokenizer: ByteTokenizer(), to: model)
        try forgetChecksums()
    }

    /// Without checksums, which would refuse every file of another size, damage reaches what reads the file.
    private func forgetChecksums() throws {
        try FileManager.default.removeItem(atPath: model + "/" + AtomicFolder.checksumsFileName)
    }

    /// Opens the folder and generates a little; returns the message, or nil if everything ran.
    private func outcome() -> String? {
        do {
            let folder = try RuntimeFolder(path: model)
            let generator = TextGenerator(
                try ModelRunner(folder.model, threads: 1), tokenizer: try folder.tokenizer)
            _ = try generator.generate(["abc"], .greedy(maxTokens: 3))
            return nil
        } catch {
            return "\(error)"
        }
    }

    private func isClear(_ message: String) -> Bool {
        !message.isEmpty && message.count < 4000 && !message.contains("Optional(")
    }

    /// Changes, removes or repeats some bytes, or cuts the end off.
    private func damaged(_ bytes: Data, in range: Range<Int>, _ random: inout SeededGenerator) -> Data {
        var result = bytes
        let place = random.integer(in: range.lowerBound...range.upperBound - 1)
        switch random.integer(below: 8) {
        case 0: result = result.prefix(place)
        case 1: result.remove(at: place)
        case 2: result.insert(UInt8(random.integer(below: 256)), at: place)
        case 3: result.insert(contentsOf: bytes[place..<min(place + 20, bytes.count)], at: place)
        default: for _ in 0...random.integer(below: 3) { result[place] = UInt8(random.integer(below: 256)) }
        }
        return result
    }

    @Test(arguments: variants) func `damaged configurations`(_ variant: ParityTests.Variant) throws {
        try save(variant.configuration)
        let file = URL(fileURLWithPath: model + "/config.json")
        let bytes = try Data(contentsOf: file)
        var random = SeededGenerator(seed: 1)
        var refused = 0
        for _ in 0..<250 {
            try damaged(bytes, in: 0..<bytes.count, &random).write(to: file)
            guard let message = outcome() else { continue }
            refused += 1
            #expect(isClear(message), "\(message)")
        }
        #expect(refused > 100)
        // Every number and word becomes another one.
        let lines = String(decoding: bytes, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        let values = [
            "0", "1", "-1", "3", "2147483648", "9223372036854775807", "1e308", "-1e-320", "0.5", "null",
            "true",
            "\"none\"", "[]", "{}", "[1, 2]",
        ]
        for (index, line) in lines.enumerated() {
            guard let colon = line.firstIndex(of: ":"), !line.hasSuffix("{"), !line.hasSuffix("[") else {
                continue
            }
            for _ in 0..<5 {
                var changed = lines.map(String.init)
                let value = values[random.integer(below: values.count)]
                changed[index] = line[...colon] + " " + value + (line.hasSuffix(",") ? "," : "")
                try Data(changed.joined(separator: "\n").utf8).write(to: file)
                if let message = outcome() { #expect(isClear(message), "\(message)") }
            }
        }
    }

    @Test(arguments: ["float32", "bfloat16", "int8", "int4"]) func `damaged weights`(type: String) throws {
        var c = Self.variants[0].configuration
        c.hiddenSize = 32
        c.vocabularySize = 256
        try ModelFolder.save(
            EnginePair.model(c), tokenizer: ByteTokenizer(), to: folder.path("source"),
            elementType: type == "bfloat16" ? .bfloat16 : .float32)
        if let scheme = QuantizationScheme(rawValue: type) {
            try Quantization(path: folder.path("source"), scheme: scheme, threads: 1).write(to: model)
        } else {
            try FileManager.default.moveItem(atPath: folder.path("source"), toPath: model)
        }
        let file = URL(fileURLWithPath: model + "/model.safetensors")
        let bytes = try Data(contentsOf: file)
        try bytes.dropLast().write(to: file)
        #expect(outcome()?.contains("the recorded size is") == true)
        try forgetChecksums()
        let header = 8 + Int(bytes[0]) + Int(bytes[1]) << 8 + Int(bytes[2]) << 16
        var random = SeededGenerator(seed: 2)
        var refused = 0
        for round in 0..<300 {
            let range = round % 2 == 0 ? 0..<header : header..<bytes.count
            var changed = damaged(bytes, in: range, &random)
            // Numbers that are not finite somewhere.
            if round % 6 == 1 {
                changed = bytes
                for _ in 0..<50 { changed[random.integer(in: header...bytes.count - 1)] = 0xff }
            }
            try changed.write(to: file)
            guard let message = outcome() else { continue }
            refused += 1
            #expect(isClear(message), "\(message)")
        }
        #expect(refused > 150)
    }

    @Test func `numbers of weights that are not finite are named when the text shows them`() throws {
        try save(ParityTests.retention())
        let file = model + "/model.safetensors"
        let name = "layers.1.mixer.value.weight"
        let entry = try #require(try SafetensorsFile(path: file).entry(named: name))
        var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        for (offset, byte) in [UInt8(0), 0, 0xc0, 0x7f].enumerated() {
            bytes[entry.byteRange.lowerBound + 4 * 9 + offset] = byte
        }
        try bytes.write(to: URL(fileURLWithPath: file))
        let opened = try RuntimeModel(path: model)
        let problem = "'\(name)' is not finite at index 9"
        let message = #expect(throws: RuntimeError.self) { try opened.verify() }
        #expect(message?.description.contains(problem) == true)
        #expect(outcome()?.contains(problem) == true)
    }

    @Test(arguments: variants) func `damaged states`(_ variant: ParityTests.Variant) throws {
        try save(variant.configuration)
        let folder = try RuntimeFolder(path: model)
        let tokenizer = try folder.tokenizer
        let generator = TextGenerator(try ModelRunner(folder.model, threads: 1), tokenizer: tokenizer)
        _ = try generator.generate(["abc", "abcdef"], .greedy(maxTokens: 2))
        let bytes = try folder.model.data(of: #require(generator.saved))
        let header = 8 + Int(bytes[0]) + Int(bytes[1]) << 8 + Int(bytes[2]) << 16
        var random = SeededGenerator(seed: 3)
        var refused = 0
        for round in 0..<600 {
            let range = round % 4 == 3 ? header..<bytes.count : 0..<header
            let changed = damaged(bytes, in: range, &random)
            do {
                let state = try folder.model.load(changed, tokenizer: tokenizer)
                let prompts = state.states.map { _ in "x" }
                _ = try generator.generate(prompts, from: state, .greedy(maxTokens: 2))
            } catch {
                refused += 1
                #expect(isClear("\(error)"), "\(error)")
            }
        }
        #expect(refused > 300)
    }

    @Test func `positions of a state that the model has no embedding for are refused`() throws {
        try save(Self.variants[0].configuration)
        let folder = try RuntimeFolder(path: model)
        let runner = try ModelRunner(folder.model, threads: 1)
        var states = [folder.model.initialState()]
        try runner.read([[1, 2, 3]], &states)
        let data = try folder.model.data(of: SavedSequences(states: states))
        let text = String(decoding: data.prefix(2000), as: UTF8.self)
        #expect(text.contains("[[3,3]]"))
        for place in ["[[-3,3]", "[[99,3]"] {
            // Of the same length, so that offsets stay.
            var changed = data
            let found = try #require(data.range(of: Data("[[3,3]]".utf8)))
            changed.replaceSubrange(found, with: Data((place + "]").utf8))
            let length = changed.count - data.count
            changed[0] += UInt8(length)
            var state = try folder.model.load(changed, tokenizer: nil).states
            #expect(throws: RuntimeError.self) { try runner.step([1], &state) }
        }
    }
}
