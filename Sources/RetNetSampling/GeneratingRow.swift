import Foundation
import RetNetText

/// One row of a session without its part of the model's state.
public struct SessionRow: Sendable, Equatable, Codable {
    /// Seed of the row's generator, once one is in use.
    public var seed: UInt64?
    /// The random number generator after the last token drawn.
    public var generator: SeededGenerator?
    /// The last tokens of prompt and text, for the repetition penalty.
    public var recentTokens: [Int32] = []
    /// Bytes of the text that were held back.
    public var heldBytes: [UInt8] = []
    /// The place in the text behind all tokens, pending ones included; nil in states of earlier versions.
    public var place: TextPlace? = .beginning
    /// Tokens that were chosen but not read yet; state files hold them separately.
    public var pendingTokens: [Int32] = []

    private enum CodingKeys: String, CodingKey {
        case seed, generator, recentTokens, heldBytes, place
    }

    /// Creates a row that has read nothing.
    public init() {}

    /// Appends recent tokens, of which a bounded number is kept.
    package mutating func remember(_ tokens: some Collection<Int32>) {
        recentTokens.append(contentsOf: tokens)
        let limit = SamplingParameters.maximumRepetitionWindow
        // Twice the limit before anything moves, so that the cost per token does not grow with the text.
        if recentTokens.count > 2 * limit { recentTokens.removeFirst(recentTokens.count - limit) }
    }

    /// Returns the same row with another stream of random numbers, for a fork.
    package func forked(stream: UInt64) -> SessionRow {
        var copy = self
        if let seed { copy.generator = SeededGenerator(seed: seed, stream: stream) }
        return copy
    }
}

// MARK: State files

extension SessionRow {
    private static let textsKey = "generation.rows"

    /// Returns the given rows in their order; further copies of a row draw from other streams of random numbers.
    package static func selected(_ indices: [Int], of rows: [SessionRow]) -> [SessionRow] {
        var copies: [Int: UInt64] = [:]
        return indices.map { index in
            let copy = copies[index, default: 0]
            copies[index] = copy + 1
            return copy == 0 ? rows[index] : rows[index].forked(stream: copy)
        }
    }

    /// Returns the free text of a state file with what it does not hold elsewhere.
    public static func texts(of rows: [SessionRow]) throws -> [String: String] {
        let bounded = rows.map { row in
            var row = row
            row.recentTokens = row.recentTokens.suffix(SamplingParameters.maximumRepetitionWindow)
            return row
        }
        let encoder = JSONEncoder()
        // Equal rows have equal texts.
        encoder.outputFormatting = .sortedKeys
        return [textsKey: String(decoding: try encoder.encode(bounded), as: UTF8.self)]
    }

    /// Returns the rows of a state file from its free texts, pending tokens and numbers of tokens read.
    ///
    /// Without the free text and without a tokenizer, rows are inside of a text. Throws ``GenerationError/invalidSavedState(reason:)``.
    public static func resumed(
        texts: [String: String], pendingTokens: [[Int32]], tokenCounts: [Int], tokenizer: (any Tokenizer)?
    ) throws -> [SessionRow] {
        let count = tokenCounts.count
        guard count > 0, pendingTokens.count == count else {
            throw GenerationError.invalidSavedState(
                reason: "it has \(count) rows and pending tokens for \(pendingTokens.count)")
        }
        var rows = [SessionRow](repeating: SessionRow(), count: count)
        if let text = texts[textsKey] {
            do {
                rows = try JSONDecoder().decode([SessionRow].self, from: Data(text.utf8))
            } catch {
                throw GenerationError.invalidSavedState(
                    reason:
                        "'\(textsKey)' is not a list of rows with their recent tokens, held bytes and places"
                )
            }
            guard rows.count == count else {
                throw GenerationError.invalidSavedState(
                    reason: "it has \(count) rows, but '\(textsKey)' describes \(rows.count)")
            }
        }
        for index in rows.indices {
            let known = texts[textsKey] == nil ? nil : rows[index].place
            // Without a place, as after `logits`, the last token tells all but spaces left out.
            let last = pendingTokens[index].last ?? rows[index].recentTokens.last
            rows[index].place =
                known
                ?? tokenizer?.place(
                    after: last.map { [$0] } ?? [], from: tokenCounts[index] > 0 ? .inside : .beginning)
            rows[index].pendingTokens = pendingTokens[index]
        }
        return rows
    }
}

/// One row while it is generating.
package struct GeneratingRow {
    package var result: GenerationResult
    package var row: SessionRow
    private var sampler: Sampler
    private var stream: StreamingText
    private let endTokens: Set<Int32>
    private let maxTokens: Int
    private let keepsUnfinishedText: Bool
    /// True once the row has ended.
    package private(set) var isFinished = false

    package init(
        _ row: SessionRow, _ parameters: SamplingParameters, seed: UInt64, endTokens: Set<Int32>,
        promptTokenCount: Int, keepsUnfinishedText: Bool
    ) {
        self.row = row
        self.endTokens = endTokens
        self.keepsUnfinishedText = keepsUnfinishedText
        maxTokens = parameters.maxTokens
        // The same seed continues the saved generator, so that two calls equal one.
        let saved = row.seed == seed ? row.generator : nil
        sampler = Sampler(parameters, generator: saved ?? SeededGenerator(seed: seed))
        stream = StreamingText(stopStrings: parameters.stopStrings)
        result = GenerationResult(finishReason: .length)
        result.logProbabilities = parameters.recordsLogProbabilities ? [] : nil
        result.promptTokenCount = promptTokenCount
        result.seed = seed
        self.row.seed = seed
        self.row.heldBytes = []
    }

    /// Takes over the text that an earlier call held back; ends at once if no token may be generated.
    package mutating func begin(heldBytes: [UInt8]) -> String {
        let text = stream.append(heldBytes)
        result.text += text
        return maxTokens == 0 ? text + finish(.length) : text
    }

    /// Chooses the next token from logits and returns the text that is now certain; nil if they are not finite.
    package mutating func advance(_ logits: some Collection<Double>, tokenizer: any Tokenizer) -> String? {
        sampler.choose(logits, recent: row.recentTokens[...]).map { take($0, tokenizer) }
    }

    /// Chooses the next token from float32 logits in the same way.
    package mutating func advance(_ logits: UnsafeBufferPointer<Float>, tokenizer: any Tokenizer) -> String? {
        sampler.choose(logits, recent: row.recentTokens[...]).map { take($0, tokenizer) }
    }

    private mutating func take(_ choice: Sampler.Choice, _ tokenizer: any Tokenizer) -> String {
        result.tokens.append(choice.token)
        if let logProbability = choice.logProbability { result.logProbabilities?.append(logProbability) }
        row.pendingTokens = [choice.token]
        row.remember(CollectionOfOne(choice.token))
        var place = row.place ?? .inside
        let bytes = tokenizer.bytes(of: choice.token, at: &place)
        let isEnd = endTokens.contains(choice.token)
        row.place = isEnd ? .beginning : place
        if isEnd { return finish(.endToken) }
        let text = stream.append(bytes)
        result.text += text
        if stream.stopString != nil { return text + finish(.stop) }
        return result.tokens.count >= maxTokens ? text + finish(.length) : text
    }

    /// Ends the row; returns the text that was held back, unless it is kept for the next call.
    package mutating func finish(_ reason: FinishReason) -> String {
        isFinished = true
        result.finishReason = reason
        result.stopString = stream.stopString
        row.generator = sampler.generator
        if keepsUnfinishedText, reason == .length || reason == .cancelled {
            row.heldBytes = stream.heldBytes
            return ""
        }
        let text = stream.finish()
        result.text += text
        return text
    }
}
