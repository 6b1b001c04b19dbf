import Foundation
import RetNetEvaluation
import RetNetMixers
import RetNetModels
import RetNetText
import RetNetTorch
import Testing

@Suite struct PerplexityTests {
    private let byteCounts = TokenByteCounts(ByteTokenizer())

    private func measure(
        _ model: LanguageModel, _ stream: TokenStream, _ form: MixerForm, window: Int,
        _ mode: EvaluationWindows.Mode = .carried
    ) throws -> PerplexityResult {
        let options = PerplexityOptions(form: form, windowLength: window, mode: mode)
        return try Perplexity(model, byteCounts: byteCounts, options: options).measure(stream)
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

    @Test func `The figures follow from the sums`() throws {
        let stream = try Tiny.stream()
        let result = try measure(try Tiny.model(), stream, .chunkwise(32), window: 128)
        // Every byte of text is predicted, and so is the <bos> of all documents but the first.
        let bytes = stream.tokenCount - stream.documentCount
        #expect(result.byteCount == bytes)
        #expect(abs(result.perplexity - exp(result.totalNats / Double(result.tokenCount))) < 1e-9)
        #expect(abs(result.bitsPerByte - result.totalNats / log(2) / Double(bytes)) < 1e-12)
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
        let result = try Perplexity(try Tiny.model(), byteCounts: byteCounts, options: options)
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
            try Perplexity(model, byteCounts: byteCounts, options: .init(form: .recurrent))
        }
        #expect(error?.description.contains("recurrent") == true)
    }
}
