/// The requests of one question as a tree: beginnings that several of them share are there once.
///
/// A node is an input to run; its parent comes before it. The nodes of the first request come first, so that what all
/// requests share, the stem, is at the beginning.
struct ScoringTree {
    /// The inputs.
    private(set) var tokens: [Int32] = []
    /// The node before each one; -1 for the first of a sequence.
    private(set) var parents: [Int] = []
    /// What is scored, with nodes as positions.
    private(set) var scores: [ScoringRow.Score] = []
    /// The number of nodes before the first branching.
    private(set) var stemCount = 0
    /// True if one request begins with all others: no node has two children.
    private(set) var isPath = true

    /// Joins requests, whose numbers begin at `first`.
    init(_ requests: some Sequence<ScoringRequest>, from first: Int) {
        var paths: [[Int]] = []
        for (offset, request) in requests.enumerated() {
            let path = add(request, paths)
            paths.append(path)
            for (place, target) in zip(path[request.firstScored...], request.targets) {
                scores.append(.init(position: place, target: target, request: first + offset))
            }
        }
        stemCount = paths.reduce(paths.first?.count ?? 0) { count, path in
            min(count, zip(path, paths[0]).prefix { $0 == $1 }.count)
        }
        // A shorter request may end within the stem of the others.
        if isPath { stemCount = tokens.count }
    }

    /// Returns the nodes of a request's inputs, of which those behind the longest known beginning are new.
    private mutating func add(_ request: ScoringRequest, _ paths: [[Int]]) -> [Int] {
        var path: ArraySlice<Int> = []
        for known in paths {
            let count = zip(known, request.inputs).prefix { tokens[$0] == $1 }.count
            if count > path.count { path = known.prefix(count) }
        }
        if path.count < request.inputs.count, path.last ?? -1 != tokens.count - 1 { isPath = false }
        var result = Array(path)
        for token in request.inputs.dropFirst(result.count) {
            parents.append(result.last ?? -1)
            tokens.append(token)
            result.append(tokens.count - 1)
        }
        return result
    }

    /// What is scored among the first `count` nodes of the stem.
    func scores(before count: Int) -> [ScoringRow.Score] { scores.filter { $0.position < count } }

    /// Returns the tree without the first `count` nodes of its stem.
    func dropping(_ count: Int) -> ScoringTree {
        var rest = self
        rest.tokens.removeFirst(count)
        rest.parents = parents.dropFirst(count).map { $0 < count ? -1 : $0 - count }
        rest.scores = scores.compactMap { score in
            guard score.position >= count else { return nil }
            var score = score
            score.position -= count
            return score
        }
        rest.stemCount = max(0, stemCount - count)
        return rest
    }
}

/// Trees that run together in one pass without states behind it, after their beginnings.
struct TreeBatch {
    var trees: [ScoringTree]
    /// The number of first nodes that run in passes of their own, which leave a state for each tree.
    var prefixCount: Int
}

extension TreeBatch {
    /// A tree of more nodes is run in two parts: all pairs of nodes are scored.
    static let longestTree = 384
    /// Beginnings of long trees are cut at multiples of it, so that many have the same length.
    static let prefixStep = 64
    /// The largest number of pairs of nodes, and of nodes and tokens before them, of a pass.
    static let pairBudget = 1 << 22
    /// A pass of fewer nodes takes more, however much padding they bring.
    static let fewNodes = 512

    /// Returns the number of nodes to run before a tree, of which `skipped` run for all; nil if it is none for a forest.
    static func prefixCount(_ tree: ScoringTree, skipping skipped: Int) -> Int? {
        // Without branches there is nothing to share.
        guard !tree.isPath, tree.stemCount >= skipped else { return nil }
        if tree.tokens.count - skipped <= longestTree { return skipped }
        let count = skipped + (tree.stemCount - skipped) / prefixStep * prefixStep
        return tree.tokens.count - count <= longestTree ? count : nil
    }

    /// Returns batches of trees with the same number of nodes before them and about as many behind them.
    static func batches(
        _ trees: [(tree: ScoringTree, prefixCount: Int)], skipping skipped: Int, _ limits: ScoringPlan.Limits
    ) -> [TreeBatch] {
        var batches: [TreeBatch] = []
        let groups = Dictionary(grouping: trees, by: \.prefixCount).sorted { $0.key < $1.key }
        for (prefixCount, group) in groups {
            // Rows without a state of their own cost none.
            let rowCount = prefixCount > skipped ? limits.rowCount : .max
            var open = TreeBatch(trees: [], prefixCount: prefixCount)
            var longest = 0
            for (tree, _) in group.sorted(by: { $0.tree.tokens.count > $1.tree.tokens.count }) {
                let length = tree.tokens.count - prefixCount
                let count = open.trees.count
                let isFull =
                    count >= rowCount || (count + 1) * longest > limits.tokensPerPass
                    || (count + 1) * longest * (longest + prefixCount) > pairBudget
                let isPadded = count * longest >= fewNodes && longest - length > max(4, longest / 8)
                if count > 0, isFull || isPadded {
                    batches.append(open)
                    open.trees = []
                }
                if open.trees.isEmpty { longest = length }
                open.trees.append(tree)
            }
            if !open.trees.isEmpty { batches.append(open) }
        }
        return batches
    }
}
