import Foundation
import RetNetModels
import RetNetTorch

/// Generates the outputs of a T5 model, greedily or by beam search.
public struct T5Generator {
    /// The model that generates.
    public let model: T5Model

    /// Creates a generator for a model.
    public init(_ model: T5Model) { self.model = model }

    /// Returns the outputs of every source, best first.
    ///
    /// Sources are tokens as the encoder reads them, with the end token where the model was trained with one; rows
    /// of different lengths do not influence each other. A cancelled search returns the outputs found so far.
    /// Throws ``BeamSearchError``, `T5Error` and `TorchError`.
    public func generate(
        _ sources: [[Int32]], _ parameters: BeamSearchParameters = BeamSearchParameters(),
        isCancelled: () -> Bool = { false }
    ) throws -> [[BeamHypothesis]] {
        try parameters.validate()
        return try withoutGradients {
            let (tokens, segments) = try T5Batch.encoderInput(
                sources, configuration: model.configuration, device: model.device)
            let memory = try model.encode(tokens, segments: segments)
            return parameters.beamCount == 1
                ? try greedy(memory, parameters, isCancelled) : try beams(memory, parameters, isCancelled)
        }
    }

    private func endTokens(_ parameters: BeamSearchParameters) -> Set<Int32> {
        Set(parameters.endTokens ?? Int32(exactly: model.configuration.endToken).map { [$0] } ?? [])
    }

    private func step(_ tokens: [Int32], _ state: inout T5DecodingState) throws -> Tensor {
        let (logits, next) = try model.cachedStep(
            Tensor.from(tokens.map(Int64.init), on: model.device), state: state)
        state = next
        return try logits.to(logits.elementType.accumulator)
    }

    // MARK: Greedy

    private func greedy(
        _ memory: T5EncoderOutput, _ parameters: BeamSearchParameters, _ isCancelled: () -> Bool
    )
        throws -> [[BeamHypothesis]]
    {
        let ends = endTokens(parameters)
        let count = memory.hidden.size(0)
        var state = try model.startDecoding(memory)
        var outputs = [BeamHypothesis](
            repeating: BeamHypothesis(tokens: [], score: 0, isFinished: false), count: count)
        var last = [Int32](repeating: Int32(clamping: model.configuration.startToken), count: count)
        // Finished rows read padding; their outputs are dropped.
        let padding = Int32(clamping: model.configuration.paddingToken)
        for _ in 0..<parameters.maxTokens {
            if isCancelled() || outputs.allSatisfy(\.isFinished) { break }
            let logits = try step(last, &state)
            let (values, indices) = try logits.logSoftmax(axis: -1).largest(1, axis: -1)
            let scores = try values.doubles()
            let tokens = try indices.values(as: Int64.self)
            for row in 0..<count {
                guard !outputs[row].isFinished else {
                    last[row] = padding
                    continue
                }
                let token = Int32(clamping: tokens[row])
                outputs[row].tokens.append(token)
                outputs[row].score += scores[row]
                outputs[row].isFinished = ends.contains(token)
                last[row] = token
            }
        }
        return outputs.map { output in
            var output = output
            output.score /= pow(Double(max(1, output.tokens.count)), parameters.lengthPenalty)
            return [output]
        }
    }

    // MARK: Beams

    private func beams(
        _ memory: T5EncoderOutput, _ parameters: BeamSearchParameters, _ isCancelled: () -> Bool
    )
        throws -> [[BeamHypothesis]]
    {
        let ends = endTokens(parameters)
        let (count, width) = (memory.hidden.size(0), parameters.beamCount)
        let size = model.configuration.vocabularySize
        var state = try model.startDecoding(memory, groupSize: width)
        var searches = [BeamSearch](repeating: BeamSearch(parameters, endTokens: ends), count: count)
        var last = [Int32](
            repeating: Int32(clamping: model.configuration.startToken), count: count * width)
        let candidateCount = min(
            width * size, BeamSearch.candidateCount(parameters, endTokenCount: ends.count))
        while !isCancelled(), !searches.allSatisfy(\.isDone) {
            let logProbabilities = try step(last, &state).logSoftmax(axis: -1)
            let scores = searches.flatMap { search in
                (0..<width).map { search.running.indices.contains($0) ? search.running[$0].score : -1e9 }
            }
            let running = try Tensor.from(scores, [count * width, 1], on: model.device)
            let totals = try (logProbabilities + running.to(logProbabilities.elementType))
                .reshaped([count, width * size])
            let (values, indices) = try totals.largest(candidateCount, axis: -1)
            let best = try values.doubles()
            let places = try indices.values(as: Int64.self).map { Int($0) }
            var rows = Array(0..<count * width)
            for source in 0..<count where !searches[source].isDone {
                let candidates = (0..<candidateCount).map { index in
                    let place = source * candidateCount + index
                    return BeamSearch.Candidate(
                        beam: places[place] / size, token: Int32(places[place] % size), score: best[place])
                }
                let parents = searches[source].advance(candidates)
                for (beam, parent) in parents.enumerated() {
                    rows[source * width + beam] = source * width + parent
                    last[source * width + beam] = searches[source].running[beam].tokens.last ?? 0
                }
            }
            state = try state.selecting(rows: rows)
        }
        return searches.map { $0.outputs() }
    }
}
