import RetNetModels
import RetNetSettings
import RetNetTestSupport
import Testing

struct T5ConfigurationTests {
    @Test(arguments: [
        ("t5-small", 60_506_624), ("t5-base", 222_903_552), ("t5-large", 737_668_096),
        ("t5-3b", 2_851_598_336), ("t5-11b", 11_307_321_344), ("t5-v1.1-small", 76_961_152),
        ("t5-v1.1-base", 247_577_856), ("t5-v1.1-large", 783_150_080), ("t5-v1.1-xl", 2_849_757_184),
        ("t5-v1.1-xxl", 11_135_332_352),
    ])
    func `Presets have exactly the public parameters`(name: String, count: Int) throws {
        let configuration = try T5Preset.named(name).configuration
        let accounting = try T5Accounting(configuration)
        #expect(accounting.parameterCount == count)
        #expect(accounting.embeddingParameterCount + accounting.otherParameterCount == count)
        // The formula of the layers, independently of the list of shapes.
        let c = configuration
        let (d, inner) = (c.hiddenSize, c.attentionSize)
        let feedForward = (c.feedForward.isGated ? 3 : 2) * d * c.innerSize
        let layers =
            c.encoderLayerCount * (4 * d * inner + feedForward + 2 * d)
            + c.decoderLayerCount * (8 * d * inner + feedForward + 3 * d)
        let tables = c.vocabularySize * d * (c.tiedOutput ? 1 : 2)
        #expect(layers + 2 * d + 2 * 32 * c.headCount + tables == count)
    }

    @Test(arguments: [
        ("t5-v1.1-small", 65_798_144, 47_208_928, 16), ("t5-v1.1-base", 98_697_216, 212_386_704, 24),
        ("t5-v1.1-large", 131_596_288, 767_685_920, 48), ("t5-v1.1-xl", 263_192_576, 2_919_491_872, 48),
    ])
    func `Two streams have the widened tables, head and cross-attention`(
        name: String, embedding: Int, other: Int, layers: Int
    ) throws {
        let configuration = try T5Preset.named(name).configuration
        let accounting = try T5Accounting(configuration, stacks: .plain(width: 2 * configuration.hiddenSize))
        #expect(accounting.embeddingParameterCount == embedding)
        // Six values per layer are those of the mix, which the plain stack does not declare.
        #expect(accounting.otherParameterCount == other - 6 * layers)
    }

    @Test func `Unknown presets are refused with the name that was meant`() {
        #expect(
            errorText(PresetError.self) { try T5Preset.named("t5-smal") }.contains("did you mean 't5-small'?")
        )
    }

    @Test func `Buckets of both directions`() {
        let pairs = [
            (-200, 15), (-20, 10), (-8, 8), (-7, 7), (0, 0), (1, 17), (7, 23), (8, 24), (20, 26), (128, 31),
        ]
        for (relative, bucket) in pairs {
            #expect(T5RelativeBuckets.bucket(relative: relative, bidirectional: true) == bucket)
        }
        check([8, 12, 16, 23, 32, 46, 64, 91], first: 8, bidirectional: true)
    }

    @Test func `Buckets of causal attention`() {
        for (relative, bucket) in [(-113, 31), (-64, 26), (-16, 16), (-15, 15), (5, 0), (0, 0)] {
            #expect(T5RelativeBuckets.bucket(relative: relative, bidirectional: false) == bucket)
        }
        check(
            [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113], first: 16, bidirectional: false
        )
    }

    /// The first distance of every bucket from `first` on, and none beyond.
    private func check(_ thresholds: [Int], first: Int, bidirectional: Bool) {
        func bucket(_ distance: Int) -> Int {
            T5RelativeBuckets.bucket(relative: -distance, bidirectional: bidirectional)
        }
        for (index, threshold) in thresholds.enumerated() {
            #expect(bucket(threshold) == first + index)
            #expect(bucket(threshold - 1) == first + index - 1)
        }
        #expect(bucket(1 << 40) == first + thresholds.count - 1)
    }

    @Test(arguments: T5Preset.all) func `Settings and Hugging Face's form read back`(preset: T5Preset) throws
    {
        var configuration = preset.configuration
        #expect(configuration.problems().isEmpty)
        #expect(T5Configuration(reading: SettingsReader(configuration.settings)) == configuration)
        configuration.sharesDropoutMasks = false
        configuration.scaledOutput = false
        let text = try configuration.huggingFaceTree.jsonText()
        #expect(try T5Configuration(huggingFaceJSON: text) == configuration)
    }

    @Test func `A config of the field is read with what it leaves out`() throws {
        // As t5-small's, with names that mean nothing here.
        let text = """
            {"architectures": ["T5WithLMHeadModel"], "d_ff": 2048, "d_kv": 64, "d_model": 512,
             "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1, "initializer_factor": 1.0,
             "is_encoder_decoder": true, "layer_norm_epsilon": 1e-06, "model_type": "t5", "n_positions": 512,
             "num_heads": 8, "num_layers": 6, "output_past": true, "pad_token_id": 0,
             "relative_attention_num_buckets": 32, "task_specific_params": {"summarization": {"num_beams": 4}},
             "vocab_size": 32128}
            """
        let configuration = try T5Configuration(huggingFaceJSON: text)
        #expect(configuration == (try T5Preset.named("t5-small").configuration))
        #expect(configuration.scaledOutput && configuration.maximumDistance == 128)
    }

    @Test func `Wrong values are all reported`() throws {
        let text = """
            {"model_type": "t5", "d_model": 0, "d_kv": 64, "d_ff": "x", "num_heads": 8, "num_layers": 6,
             "vocab_size": 32128, "feed_forward_proj": "gated-gelo"}
            """
        let error = try #require(throws: SettingsError.self) { try T5Configuration(huggingFaceJSON: text) }
        #expect(error.problems.map(\.path).sorted() == ["d_ff", "d_model", "feed_forward_proj"])
        #expect(
            errorText(SettingsError.self) {
                try T5Configuration(huggingFaceJSON: "{\"model_type\": \"bert\"}")
            }.contains("found the model type 'bert'"))
        var configuration = T5Configuration()
        configuration.maximumDistance = 16
        configuration.endToken = 40_000
        configuration.bucketCount = 34
        #expect(
            Set(configuration.problems().map(\.path)) == ["bucket_count", "maximum_distance", "end_token"])
    }

    @Test func `Work and caches by arithmetic`() throws {
        let accounting = try T5Accounting(T5Preset.named("t5-small").configuration)
        #expect(accounting.cacheElementCount(sourceLength: 10, targetLength: 3) == 6 * 2 * 512 * 13)
        let products = 2 * (accounting.otherParameterCount - 6 * (2 + 3) * 512 - 2 * 512 - 2 * 32 * 8)
        let head = 2 * 32_128 * 512
        let scores = 6 * 2 * (2 * 512 + 512 + 2 * 512)
        #expect(accounting.forwardFLOPs(sourceLength: 1, targetLength: 1) == products + head + scores)
        #expect(accounting.forwardFLOPs(sourceLength: .max, targetLength: .min) > 0)
    }
}
