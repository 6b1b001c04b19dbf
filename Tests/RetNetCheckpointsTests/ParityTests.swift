import Foundation
import RetNetCheckpoints
import RetNetLayers
import RetNetMixers
import RetNetModels
import RetNetSettings
import RetNetTestSupport
import RetNetTorch
import Testing

/// Random weights in public implementations and here give the same numbers.
///
/// Folders and numbers are made by the scripts in `Benchmarks/parity` from the peers' own code, which computes in
/// float32. Each `expected.safetensors` names its peer.
@Suite struct ParityTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Fixtures/parity").path
    /// Rounding of float32 in the peer.
    private static let bound = 5e-6
    /// Rounding of float32 in the peer, magnified by the way back through all layers.
    private static let gradientBound = 2e-5

    static let models = [
        "llama", "gpt-neox", "mamba2", "rwkv4", "retnet", "syncdoth-retnet", "hyena-2", "hyena-3", "hyena-4",
        "h3", "s4d", "gla",
        "gated-retention", "yoco", "deltanet", "gated-deltanet", "linear-transformer",
    ]

    private func expected(_ name: String) throws -> SafetensorsTensors {
        try SafetensorsTensors(file: "\(Self.folder)/\(name)/expected.safetensors")
    }

    @Test(arguments: models, [ElementType.float64, .float32])
    func `A language model gives the logits of its peer in every form`(name: String, type: ElementType) throws
    {
        let loaded = try ModelFolder.load("\(Self.folder)/\(name)", elementType: type)
        let peer = try expected(name)
        let (tokens, logits) = (try peer.tensor(named: "tokens"), try peer.tensor(named: "logits"))
        var count = 0
        for form in [MixerForm.parallel, .chunkwise(8), .chunkwise(5), .recurrent]
        where loaded.model.unsupportedReason(for: form) == nil {
            let found = try withoutGradients { try loaded.model(tokens, form: form).logits }
            let error = try relativeError(found, logits)
            #expect(error < Self.bound, "\(form): \(error)")
            count += 1
        }
        #expect(count > 0)
    }

    @Test(arguments: models)
    func `A language model read in two pieces gives the logits of its peer`(name: String) throws {
        let model = try ModelFolder.load("\(Self.folder)/\(name)", elementType: .float64).model
        guard model.unsupportedReason(for: .recurrent) == nil else { return }
        let peer = try expected(name)
        let (tokens, logits) = (try peer.tensor(named: "tokens"), try peer.tensor(named: "logits"))
        try withoutGradients {
            let first = try model(tokens.sliced(1, 0..<9), form: .parallel)
            let second = try model(tokens.sliced(1, 9..<21), state: first.state, form: .chunkwise(7))
            let all = try Tensor.concatenated([first.logits, second.logits], axis: 1)
            #expect(try relativeError(all, logits) < Self.bound)
        }
    }

    @Test(arguments: [MixerForm.parallel, .chunkwise(8), .recurrent])
    func `The state after YOCO's own steps is that of every form`(form: MixerForm) throws {
        let model = try ModelFolder.load("\(Self.folder)/yoco", elementType: .float64).model
        let peer = try expected("yoco")
        let state = try withoutGradients {
            try model(peer.tensor(named: "tokens"), form: form).state
        }
        for (index, layer) in state.layers.enumerated() {
            let memory = try #require(layer.tensors.first { $0.name == "memory" })
            let error = try relativeError(memory.tensor, peer.tensor(named: "state.\(index).memory"))
            #expect(error < Self.bound, "layer \(index): \(error)")
        }
    }

    /// The loss and its gradient, which passes back through every part of a model.
    private func expectGradient(
        _ loss: () throws -> Tensor, _ parameters: ParameterStore, _ embedding: String,
        _ peer: SafetensorsTensors
    ) throws {
        try parameters.setRequiresGradient(true)
        let loss = try loss()
        try loss.backward()
        let wanted = try peer.tensor(named: "loss").item()
        #expect(abs(try loss.item() - wanted) < Self.bound * wanted)
        let gradient = try #require(try parameters[embedding]?.gradient())
        let error = try relativeError(gradient, peer.tensor(named: "embedding_gradient"))
        #expect(error < Self.gradientBound, "\(error)")
    }

    @Test(arguments: models)
    func `A language model has the loss and the gradient of its peer in every form`(name: String) throws {
        let peer = try expected(name)
        let tokens = try peer.tensor(named: "tokens")
        let length = tokens.size(1) - 1
        for form in [MixerForm.parallel, .chunkwise(8), .recurrent] {
            let model = try ModelFolder.load("\(Self.folder)/\(name)", elementType: .float64).model
            guard model.unsupportedReason(for: form) == nil else { continue }
            try expectGradient(
                {
                    let sum = try model.lossSum(
                        tokens.sliced(1, 0..<length).contiguous(),
                        targets: tokens.sliced(1, 1..<length + 1).contiguous(), form: form
                    ).loss
                    return try sum * (1 / Double(2 * length))
                }, model.parameters, "embedding.weight", peer)
        }
    }

    @Test(arguments: ["t5-v1.0", "t5-v1.1", "switch"])
    func `An encoder-decoder has the loss and the gradient of its peer`(name: String) throws {
        let model = try T5Folder.load("\(Self.folder)/\(name)", elementType: .float64).model
        let peer = try expected(name)
        let batch = try T5Batch(
            sources: rows(peer.tensor(named: "sources")), targets: rows(peer.tensor(named: "targets")),
            configuration: model.configuration)
        try expectGradient(
            { try model.lossSum(batch).sum * (1 / Double(batch.targetCount)) }, model.parameters,
            "shared.weight", peer)
    }

    @Test func `Initial vectors of RWKV-4 are those of its peer in every layer`() throws {
        let configuration = try ModelFolder.configuration(of: "\(Self.folder)/rwkv4")
        let store = ParameterStore(source: .random(seed: 1), elementType: .float64)
        _ = try LanguageModel(configuration, parameters: store, computeType: .float64)
        let peer = try expected("rwkv4")
        let names = peer.names.filter { $0.hasPrefix("initial.") }
        #expect(names.count == 3 * 6)
        for name in names {
            let own = try #require(store[String(name.dropFirst("initial.".count))], "\(name)")
            #expect(try relativeError(own, peer.tensor(named: name)) < 1e-6, "\(name)")
        }
    }

    // MARK: Encoder-decoders

    /// Rows without the zeros of padding at their ends.
    private func rows(_ tensor: Tensor) throws -> [[Int32]] {
        let values = try tensor.values(as: Int64.self)
        return (0..<tensor.size(0)).map { row in
            let all = values[row * tensor.size(1)..<(row + 1) * tensor.size(1)].map(Int32.init)
            return Array(all.prefix { $0 != 0 })
        }
    }

    @Test(arguments: ["t5-v1.0", "t5-v1.1", "switch"], [ElementType.float64, .float32])
    func `An encoder-decoder gives the logits of its peer`(name: String, type: ElementType) throws {
        let model = try T5Folder.load("\(Self.folder)/\(name)", elementType: type).model
        let peer = try expected(name)
        let targets = try rows(peer.tensor(named: "targets"))
        let batch = try T5Batch(
            sources: rows(peer.tensor(named: "sources")), targets: targets,
            configuration: model.configuration)
        let logits = try peer.tensor(named: "logits")
        let found = try withoutGradients { try model(batch) }
        for (row, target) in targets.enumerated() {
            let (a, b) = (
                try found.selected(0, row).sliced(0, 0..<target.count),
                try logits.selected(0, row).sliced(0, 0..<target.count)
            )
            let error = try relativeError(a, b)
            #expect(error < Self.bound, "row \(row): \(error)")
        }
    }

    @Test func `A T5 of PyTorch's own files is that of safetensors`() throws {
        let (old, new) = (
            try T5Folder.load("\(Self.folder)/t5-v1.1-pytorch"), try T5Folder.load("\(Self.folder)/t5-v1.1")
        )
        #expect(old.configuration == new.configuration)
        #expect(
            Set(old.ignoredTensors) == ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"])
        for (a, b) in zip(old.model.parameters.entries, new.model.parameters.entries) {
            #expect(a.name == b.name)
            #expect(try a.tensor.isEqual(to: b.tensor).to(.uint8).min().item() == 1, "\(a.name)")
        }
    }

    @Test func `Without places per sequence, a Switch drops no token`() throws {
        let text = try String(contentsOfFile: "\(Self.folder)/switch/config.json", encoding: .utf8)
        var configuration = try T5Configuration(huggingFaceJSON: text)
        #expect(configuration.experts?.experts.sequenceCapacity == 2)
        configuration.experts?.experts.sequenceCapacity = nil
        let limited = try T5Folder.load("\(Self.folder)/switch", elementType: .float64).model
        let store = ParameterStore(
            source: .provided { name, _ in try #require(limited.parameters[name]) }, elementType: .float64)
        let free = try T5Model(configuration, parameters: store, computeType: .float64)
        let peer = try expected("switch")
        let batch = try T5Batch(
            sources: rows(peer.tensor(named: "sources")), targets: rows(peer.tensor(named: "targets")),
            configuration: configuration)
        try withoutGradients {
            #expect(try relativeError(free(batch), limited(batch)) > 1e-2)
            // Steps have one token per sequence, so neither drops any of the decoder's.
            let encoded = try free.encode(batch.source, segments: batch.sourceSegments)
            let whole = try free(batch)
            var state = try free.startDecoding(encoded)
            for time in 0..<3 {
                let (logits, next) = try free.cachedStep(batch.decoderInput.selected(1, time), state: state)
                #expect(try relativeError(logits, whole.selected(1, time)) < 1e-10)
                state = next
            }
        }
    }

    // MARK: Cells

    @Test(arguments: [false, true])
    func `Gemma's AltUp gives the streams of its peer, with clipped coefficients in training alone`(
        isTraining: Bool
    ) throws {
        let path = "\(Self.folder)/gemma-altup"
        let settings = try SettingsDocument(
            json: String(contentsOfFile: path + "/config.json", encoding: .utf8))
        let configuration = AltUpConfiguration(reading: settings.reader)
        let (tensors, peer) = (try SafetensorsTensors(folder: path), try expected("gemma-altup"))
        let store = ParameterStore(
            source: .provided { name, _ in try tensors.tensor(named: name) }, elementType: .float64)
        let streams = try peer.tensor(named: "streams").to(.float64)
        let stack = try AltUpStack(
            configuration, hiddenSize: streams.size(-1), layerCount: 1, scope: store.root,
            layerScope: { store.root.scope("layers.\($0)") })
        let mixed = try withoutGradients {
            try stack.layer(
                0, (0..<streams.size(0)).map { try streams.selected(0, $0).contiguous() },
                ForwardContext(isTraining: isTraining)
            ) { x, _ in try x + (x * 2).tanh() }
        }
        let wanted = try peer.tensor(named: isTraining ? "training" : "inference")
        #expect(try relativeError(Tensor.stacked(mixed, axis: 0), wanted) < Self.bound)
    }
}
