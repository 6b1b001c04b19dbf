import Foundation
import RetNetEvaluation
import RetNetMixers
import RetNetModels
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@Suite struct PerplexityTests {
    private func measure(
        _ model: LanguageModel, _ stream: TokenStream, _ form: MixerForm, window: Int,
        _ mode: EvaluationWindows.Mode = .carried
    ) throws -> PerplexityResult {
        let options = PerplexityOptions(form: form, windowLength: window, mode: mode)
        return try Perplexity(model, options: options).measure(stream)
    }

    @Test(arguments: [
        (MixerForm.parallel, 64), (.parallel, 1000), (.chunkwise(16), 100), (.chunkwise(7), 33),
        (.recurrent, 50),
    ])
    func `Every form and window gives the same perplexity when the state is carried`(
        form: MixerForm, window: Int
    )
        throws
    {
        let model = try Tiny.model()
        let stream = try Tiny.stream()
        let whole = try measure(model, stream, .parallel, window: stream.tokenCount)
        let other = try measure(model, stream, form, window: window)
        #expect(other.tokenCount == stream.tokenCount - 1)
        #expect(other.tokenCount == whole.tokenCount)
        #expect(abs(other.totalNats / whole.totalNats - 1) < 1e-10)
    }

    @Test func `Losses by position add up, and windows begin again`() throws {
        let (model, stream) = (try Tiny.model(), try Tiny.stream())
        for mode in [EvaluationWindows.Mode.carried, .independent(rowCount: 3, overlap: 4)] {
            var options = PerplexityOptions(form: .chunkwise(16), windowLength: 24, mode: mode)
            options.measuresPositions = true
            let result = try Perplexity(model, options: options).measure(stream)
            let buckets = try #require(result.byPosition).buckets
            #expect(buckets.reduce(0) { $0 + $1.tokenCount } == result.tokenCount)
            #expect(abs(buckets.reduce(0) { $0 + $1.totalNats } - result.totalNats) < 1e-8)
            #expect(buckets.prefix(4).map(\.contextLengths) == [1...1, 2...2, 3...4, 5...8])
            if mode == .carried {
                #expect(buckets.prefix(4).map(\.tokenCount) == [1, 1, 2, 4])
                #expect((buckets.last?.contextLengths.upperBound ?? 0) >= stream.tokenCount - 1)
            } else {
                // Only the first window predicts behind less than its overlap.
                #expect(buckets[0].tokenCount == 1 && buckets[3].tokenCount > 4)
                #expect(buckets.last?.contextLengths == 17...32)
            }
        }
        #expect(try measure(model, stream, .parallel, window: 64).byPosition == nil)
    }

    @Test func `The figures follow from the sums`() throws {
        let stream = try Tiny.stream()
        let result = try measure(try Tiny.model(), stream, .chunkwise(32), window: 128)
        // Every byte of text is predicted, and so is the <bos> of all documents but the first.
        let bytes = stream.tokenCount - stream.documentCount
        #expect(result.byteCount == bytes)
        #expect(abs(result.perplexity - exp(result.totalNats / Double(result.tokenCount))) < 1e-9)
        #expect(abs(try #require(result.bitsPerByte) - result.totalNats / log(2) / Double(bytes)) < 1e-12)
        // An untrained model knows nothing: about log2(256) bits.
        #expect(abs(result.bitsPerToken - 8) < 1)
    }

    @Test func `Independent windows know nothing of each other and count every token once`() throws {
        let model = try Tiny.model()
        let stream = try Tiny.stream()
        let alone = try measure(model, stream, .parallel, window: 32, .independent(rowCount: 1, overlap: 0))
        let batched = try measure(model, stream, .parallel, window: 32, .independent(rowCount: 5, overlap: 0))
        let carried = try measure(model, stream, .parallel, window: 32)
        #expect(alone.tokenCount == carried.tokenCount)
        #expect(batched.tokenCount == alone.tokenCount)
        #expect(abs(batched.totalNats / alone.totalNats - 1) < 1e-10)
        #expect(abs(alone.totalNats - carried.totalNats) > 1e-6)
    }

    @Test func `Documents can be scored each from an empty state`() throws {
        let model = try Tiny.model()
        let stream = try Tiny.stream()
        let joint = try measure(model, stream, .chunkwise(16), window: 64, .carriedWithinDocuments)
        var nats = 0.0
        for index in 0..<stream.documentCount {
            let document = try stream.documents(index..<index + 1)
            nats += try measure(model, document, .parallel, window: 4096, .carriedWithinDocuments).totalNats
        }
        #expect(abs(joint.totalNats / nats - 1) < 1e-10)
    }

    @Test func `A measurement stops when it is told to and says how far it got`() throws {
        let options = PerplexityOptions(form: .parallel, windowLength: 10)
        var fractions: [Double] = []
        let result = try Perplexity(try Tiny.model(), options: options)
            .measure(try Tiny.stream()) { _, fraction in
                fractions.append(fraction)
                return fractions.count < 3
            }
        #expect(result.tokenCount == 30)
        #expect(fractions == fractions.sorted())
    }

    @Test func `A form that the model lacks is refused by name`() throws {
        let model = try Tiny.model(normalization: .decaySumAbs)
        let error = #expect(throws: EvaluationError.self) {
            try Perplexity(model, options: .init(form: .recurrent))
        }
        #expect(error?.description.contains("recurrent") == true)
    }

    // MARK: Bytes of the source text

    @Test(arguments: [(MixerForm.parallel, 1000), (.chunkwise(4), 5), (.recurrent, 3)])
    func `Bits per byte divide by the text, whatever the tokenizer makes of it`(form: MixerForm, window: Int)
        throws
    {
        let text = "日本語日本語日本語 the cat"
        let tokenizer = try SentencePieceTokenizer(
            bytes: SentencePieceFile(pieces: ["▁the", "▁cat", "a"]).bytes)
        let stream = try TokenStream(texts: [text], tokenizer: tokenizer)
        let modes: [EvaluationWindows.Mode] = [.carried, .independent(rowCount: 2, overlap: 1)]
        for mode in modes where window > 1 {
            let result = try measure(try Tiny.model(), stream, form, window: window, mode)
            #expect(result.byteCount == 35)
            #expect(try #require(result.bitsPerByte) == result.totalNats / 35 / log(2))
        }
        // As lm-evaluation-harness has it: documents have the bytes of their texts, <bos> has none.
        let texts = [text, "  a  cat ", "\u{1F600}\n"]
        let documents = try TokenStream(texts: texts, tokenizer: tokenizer)
        let result = try measure(
            try Tiny.model(), documents, form, window: window, .carriedWithinDocuments)
        #expect(result.byteCount == texts.reduce(0) { $0 + $1.utf8.count })
    }

    @Test func `Without bytes there is no figure per byte`() throws {
        #expect(PerplexityResult(tokenCount: 3, byteCount: 0, totalNats: 4).bitsPerByte == nil)
        #expect(PerplexityResult(tokenCount: 3, byteCount: nil, totalNats: 4).bitsPerByte == nil)
        #expect(PerplexityResult(tokenCount: 3, byteCount: 2, totalNats: .nan).bitsPerByte == nil)
        #expect(PerplexityResult(tokenCount: 3, byteCount: 2, totalNats: 4).natsPerByte == 2)
    }
}
