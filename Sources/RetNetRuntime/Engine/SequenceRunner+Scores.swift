import RetNetKernels

/// A token whose probability is wanted: `token` after the one at `position` of a sequence.
public struct TokenTarget: Sendable, Equatable {
    /// The place in the sequence, from 0, of the token before it.
    public var position: Int
    /// The token.
    public var token: Int32

    /// Creates a target.
    public init(position: Int, token: Int32) {
        self.position = position
        self.token = token
    }
}

/// What a model gives a token.
public struct TokenScore: Sendable, Equatable {
    /// The natural logarithm of its probability, from float32 logits.
    public var logProbability: Double
    /// True if no token has a greater logit, and none before it in the vocabulary has the same.
    public var isLargest: Bool
}

extension SequenceRunner {
    /// Reads the next tokens of every sequence, moves its state on, and scores tokens behind some of them.
    ///
    /// `targets` has any number for each sequence, in any order; the scores are in the same order. The output layer runs once
    /// for every position that has targets, some positions at a time, so that their logits need little memory. Throws
    /// ``RuntimeError``, and then leaves the states of sequences that were read already behind their tokens.
    public func score(
        _ targets: [[TokenTarget]], reading sequences: [[Int32]], _ states: inout [SequenceState]
    ) throws -> [[TokenScore]] {
        try check(targets, sequences)
        // The targets of each sequence by position, and how many of them are scored.
        let orders = targets.map { targets in
            targets.indices.sorted { targets[$0].position < targets[$1].position }
        }
        var scored = [Int](repeating: 0, count: targets.count)
        var scores = targets.map {
            [TokenScore](repeating: TokenScore(logProbability: 0, isLargest: false), count: $0.count)
        }
        try readInPasses(sequences, &states) { pieces, hidden in
            var rows: [Int] = []
            var wanted: [(place: Int, sequence: Int, target: Int)] = []
            var start = 0
            for (sequence, range) in pieces {
                while scored[sequence] < orders[sequence].count {
                    let target = orders[sequence][scored[sequence]]
                    let position = targets[sequence][target].position
                    guard position < range.upperBound else { break }
                    let row = start + position - range.lowerBound
                    if rows.last != row { rows.append(row) }
                    wanted.append((rows.count - 1, sequence, target))
                    scored[sequence] += 1
                }
                start += range.count
            }
            var next = 0
            withLogits(of: rows, hidden) { first, logits, pool in
                let sums = LogSums(logits, pool)
                while next < wanted.count, wanted[next].place < first + logits.count {
                    let (place, sequence, target) = wanted[next]
                    scores[sequence][target] = sums.score(
                        targets[sequence][target].token, logits, row: place - first)
                    next += 1
                }
            }
        }
        return scores
    }

    private func check(_ targets: [[TokenTarget]], _ sequences: [[Int32]]) throws {
        guard targets.count == sequences.count else {
            throw RuntimeError.wrongState(
                reason: "\(sequences.count) sequences but targets of \(targets.count)")
        }
        let size = passModel.vocabularySize
        for (targets, sequence) in zip(targets, sequences) {
            for target in targets {
                guard target.token >= 0, Int(target.token) < size else {
                    throw RuntimeError.unknownToken(Int(target.token), vocabularySize: size)
                }
                guard sequence.indices.contains(target.position) else {
                    throw RuntimeError.wrongState(
                        reason: "a target behind token \(target.position) of a sequence of \(sequence.count)")
                }
            }
        }
    }
}

/// The normalizers of rows of logits, and where their largest elements are.
private struct LogSums {
    private var sums: [Float]
    private var largest: [Int64]

    init(_ logits: Rows, _ pool: OpaquePointer) {
        sums = [Float](repeating: 0, count: logits.count)
        largest = [Int64](repeating: 0, count: logits.count)
        rn_log_sums(
            pool, logits.data, Int64(logits.stride), Int64(logits.count), Int64(logits.width), &sums, &largest
        )
    }

    func score(_ token: Int32, _ logits: Rows, row: Int) -> TokenScore {
        TokenScore(
            logProbability: Double(logits.data[row * logits.stride + Int(token)]) - Double(sums[row]),
            isLargest: largest[row] == Int64(token))
    }
}
