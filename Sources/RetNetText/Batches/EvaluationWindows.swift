/// A single pass over a stream, from front to back, in windows, at constant memory.
///
/// Every token but the first is a target exactly once. Either one row carries its state from window to
/// window, or each window is independent.
public struct EvaluationWindows: Sendable {
    /// The dependence of windows on each other.
    public enum Mode: Hashable, Sendable {
        /// One row; the state is carried from window to window and reset only at the start of the stream.
        case carried
        /// One row whose windows end where documents end; the state is reset at the start of each document,
        /// and the target after a document's end is `<bos>` or ignored.
        case carriedWithinDocuments
        /// Up to `rowCount` independent windows per batch.
        ///
        /// Every window but the first begins with `overlap` tokens of context, whose targets are ignored
        /// because they belong to the window before.
        case independent(rowCount: Int, overlap: Int)

        /// True if the state goes on from window to window.
        public var carriesState: Bool {
            switch self {
            case .carried, .carriedWithinDocuments: true
            case .independent: false
            }
        }
    }

    /// The windows that one of several processes reads.
    ///
    /// Together they read every window once: whole documents where states end with them, about as many tokens each, and every
    /// n-th batch of independent windows.
    public struct Share: Hashable, Sendable {
        /// The number of this process, from 0.
        public var rank: Int
        /// The number of processes.
        public var count: Int

        /// The share of one of several processes.
        public init(rank: Int, count: Int) {
            self.rank = rank
            self.count = max(1, count)
        }

        /// Everything.
        public static let whole = Share(rank: 0, count: 1)
    }

    /// The tokens to read.
    public let stream: TokenStream
    /// The largest number of inputs of a window.
    public let length: Int
    /// The dependence of windows on each other.
    public let mode: Mode
    /// The windows that are read.
    public let share: Share
    /// The position of the first input whose target no window has contained yet.
    public private(set) var position = 0
    private var batchCount = 0
    /// True for every document that is read; nil for all.
    private let ownDocuments: [Bool]?

    /// Creates a reader at the start of the stream.
    ///
    /// Throws `TextError.invalidArgument` for invalid shapes (`overlap` must be less than `length`) and for a share of a state
    /// that is carried through the whole stream, and `TextError.corpusTooShort` if the stream has only one token.
    public init(stream: TokenStream, length: Int, mode: Mode = .carried, share: Share = .whole) throws {
        if case .independent(let rowCount, let overlap) = mode {
            try BatchBuilder.check(rowCount: rowCount, length: length)
            guard overlap >= 0, overlap < length else {
                throw TextError.invalidArgument(
                    name: "overlap",
                    reason:
                        "\(overlap) is out of range; use at least 0 and less than the window length \(length)"
                )
            }
        } else {
            try BatchBuilder.check(rowCount: 1, length: length)
        }
        guard stream.tokenCount > 1 else {
            throw TextError.corpusTooShort(tokenCount: stream.tokenCount, neededTokenCount: 2)
        }
        guard share.count == 1 || mode != .carried else {
            throw TextError.invalidArgument(
                name: "share", reason: "a state that is carried through the whole stream cannot be divided")
        }
        self.stream = stream
        self.length = length
        self.mode = mode
        self.share = share
        ownDocuments =
            share.count > 1 && mode == .carriedWithinDocuments ? Self.documents(of: share, in: stream) : nil
    }

    /// Returns for every document whether it belongs to a share: the longest first, each to who has least.
    private static func documents(of share: Share, in stream: TokenStream) -> [Bool] {
        let lengths = (0..<stream.documentCount).map { stream.starts[$0 + 1] - stream.starts[$0] }
        var loads = [Int](repeating: 0, count: share.count)
        var isOwn = [Bool](repeating: false, count: lengths.count)
        for index in lengths.indices.sorted(by: { (lengths[$1], $0) < (lengths[$0], $1) }) {
            let rank = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
            loads[rank] += lengths[index]
            isOwn[index] = rank == share.rank
        }
        return isOwn
    }

    /// The number of targets of all batches together, those of all shares.
    public var targetCount: Int {
        if case .carriedWithinDocuments = mode, stream.beginToken != nil { return stream.tokenCount }
        if case .carriedWithinDocuments = mode { return stream.tokenCount - stream.documentCount }
        return stream.tokenCount - 1
    }

    /// The fraction of the stream already read, from 0 to 1.
    public var fractionCompleted: Double { min(1, Double(position) / Double(inputEnd)) }

    /// Returns the next batch, or `nil` after the last; throws `TextError` if a token is outside the vocabulary.
    ///
    /// In the carried modes the last window may be shorter; independent windows are padded to the longest of
    /// their batch.
    public mutating func next() throws -> Batch? {
        skipOthers()
        guard position < inputEnd else { return nil }
        switch mode {
        case .carried: return try carriedWindow(end: min(position + length, inputEnd), target: nil)
        case .carriedWithinDocuments:
            let documentEnd = stream.starts[stream.documentIndex(at: position) + 1]
            let end = min(position + length, documentEnd)
            let target = end == documentEnd ? stream.beginToken ?? Batch.ignoredTarget : nil
            return try carriedWindow(end: end, target: target)
        case .independent(let rowCount, let overlap):
            return try independentWindows(rowCount: rowCount, overlap: overlap)
        }
    }

    /// Moves behind documents or batches of other shares.
    private mutating func skipOthers() {
        guard share.count > 1 else { return }
        if let ownDocuments {
            while position < inputEnd {
                let document = stream.documentIndex(at: position)
                guard !ownDocuments[document] else { return }
                position = stream.starts[document + 1]
            }
        } else if case .independent(let rowCount, let overlap) = mode {
            while position < inputEnd, batchCount % share.count != share.rank {
                position = independentPlaces(rowCount: rowCount, overlap: overlap).next
                batchCount += 1
            }
            batchCount += 1
        }
    }

    /// The end of the inputs: the last token has a target only if the ends of documents have one.
    private var inputEnd: Int {
        mode == .carriedWithinDocuments ? stream.tokenCount : stream.tokenCount - 1
    }

    /// Returns the window up to `end`; its last target is the given one or the token at `end`.
    private mutating func carriedWindow(end: Int, target: Int32?) throws -> Batch {
        let first = position
        let tokens = try stream.tokens(in: first..<(target == nil ? end + 1 : end))
        let starts = try stream.documentStarts(in: first..<end).map { $0 - first }
        let isReset = first == 0 || mode == .carriedWithinDocuments && starts.first == 0
        var builder = BatchBuilder(rowCount: 1, length: end - first, paddingToken: stream.paddingToken)
        let targets = Array(tokens.dropFirst()) + (target.map { [$0] } ?? [])
        // The given target is no text.
        let byteCount = try stream.byteCount(in: (first + 1)..<(target == nil ? end + 1 : end))
        builder.add(
            tokens: tokens.prefix(end - first), targets: targets, resets: isReset, documentStarts: starts,
            byteCount: byteCount)
        position = end
        return builder.batch()
    }

    /// Returns the places of the next windows, and the position behind them.
    private func independentPlaces(rowCount: Int, overlap: Int) -> (
        windows: [(first: Int, scored: Int, end: Int)], next: Int
    ) {
        var windows: [(first: Int, scored: Int, end: Int)] = []
        var next = position
        while windows.count < rowCount, next < inputEnd {
            let first = max(0, next - overlap)
            let end = min(first + length, inputEnd)
            windows.append((first, next, end))
            next = end
        }
        return (windows, next)
    }

    private mutating func independentWindows(rowCount: Int, overlap: Int) throws -> Batch {
        let (windows, next) = independentPlaces(rowCount: rowCount, overlap: overlap)
        let longest = windows.reduce(0) { max($0, $1.end - $1.first) }
        var builder = BatchBuilder(
            rowCount: windows.count, length: longest, paddingToken: stream.paddingToken)
        for window in windows {
            let tokens = try stream.tokens(in: window.first..<(window.end + 1))
            var targets = Array(tokens.dropFirst())
            for index in 0..<(window.scored - window.first) { targets[index] = Batch.ignoredTarget }
            let starts = try stream.documentStarts(in: window.first..<window.end).map { $0 - window.first }
            builder.add(
                tokens: tokens.dropLast(), targets: targets, resets: true, documentStarts: starts,
                byteCount: try stream.byteCount(in: (window.scored + 1)..<(window.end + 1)))
        }
        position = next
        return builder.batch()
    }
}
