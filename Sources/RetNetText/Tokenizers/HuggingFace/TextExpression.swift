/// A regular expression of a tokenizer's file, matched as by the reference (Oniguruma): leftmost, first alternative first.
///
/// The syntax is what such files use: characters and classes (`[^\s\p{L}]`), `\p{…}`, `\s`, `\d`, `\w`, groups,
/// `(?i:…)`, alternatives, greedy, lazy and possessive repetitions, look-ahead, `^`, `$`, `\A`, `\Z` and `\z`. All else is
/// refused.
struct TextExpression: Sendable {
    /// An instruction of the matcher.
    enum Instruction: Sendable {
        case one(ScalarSet)
        /// From `least` to `most` characters of a set: as many as possible first.
        case run(ScalarSet, least: Int, most: Int, isPossessive: Bool)
        /// Go on here first, then there.
        case split(first: Int, second: Int)
        case jump(Int)
        /// The instructions up to `end` must match here, or must not.
        case look(end: Int, isNegative: Bool)
        /// The instructions up to `end` match in one way only.
        case atomic(end: Int)
        case at(Place)
        case accept
    }

    /// A condition on a place between characters.
    enum Place: Sendable {
        case lineBeginning, lineEnd
        /// The beginning of the text, not of a part that continues one.
        case beginning
        case end
        /// The end of the text or of a line that ends it.
        case lastLineEnd
    }

    /// The expression as written.
    let source: String
    let instructions: [Instruction]

    /// Compiles an expression; throws ``TextExpression/Refusal``.
    init(_ source: String) throws {
        self.source = source
        var parser = TextExpressionParser(source)
        let node = try parser.parse()
        guard !node.matchesNothing else { throw Refusal(reason: "matches the empty text") }
        var compiler = Compiler()
        try compiler.add(node)
        compiler.instructions.append(.accept)
        instructions = compiler.instructions
    }

    /// The reason why an expression is not supported.
    struct Refusal: Error { let reason: String }

    /// A part of an expression.
    indirect enum Node {
        case set(ScalarSet)
        case sequence([Node])
        case alternatives([Node])
        case repeated(Node, least: Int, most: Int, Mode)
        case look(Node, isNegative: Bool)
        case atomic(Node)
        case at(Place)

        enum Mode { case greedy, lazy, possessive }

        /// True if the part can match without any character.
        var matchesNothing: Bool {
            switch self {
            case .set: false
            case .sequence(let nodes): nodes.allSatisfy(\.matchesNothing)
            case .alternatives(let nodes): nodes.contains(where: \.matchesNothing)
            case .repeated(let node, let least, _, _): least == 0 || node.matchesNothing
            case .look, .at: true
            case .atomic(let node): node.matchesNothing
            }
        }

        /// True if the part contains a repetition without limit.
        var repeatsWithoutLimit: Bool {
            switch self {
            case .set, .at: false
            case .sequence(let nodes), .alternatives(let nodes): nodes.contains(where: \.repeatsWithoutLimit)
            case .repeated(let node, _, let most, _): most == .max || node.repeatsWithoutLimit
            case .look(let node, _), .atomic(let node): node.repeatsWithoutLimit
            }
        }
    }

    private struct Compiler {
        var instructions: [Instruction] = []

        mutating func add(_ node: Node) throws {
            guard instructions.count < 1 << 12 else { throw Refusal(reason: "is too long") }
            switch node {
            case .set(let set): instructions.append(.one(set))
            case .sequence(let nodes): for node in nodes { try add(node) }
            case .alternatives(let nodes): try add(alternatives: nodes)
            case .repeated(.set(let set), let least, let most, let mode) where mode != .lazy:
                instructions.append(.run(set, least: least, most: most, isPossessive: mode == .possessive))
            case .repeated(let node, let least, let most, .possessive):
                try add(.atomic(.repeated(node, least: least, most: most, .greedy)))
            case .repeated(let node, let least, let most, let mode):
                try add(node, least, most, isLazy: mode == .lazy)
            case .look(let node, let isNegative):
                let place = instructions.count
                instructions.append(.accept)
                try add(node)
                instructions.append(.accept)
                instructions[place] = .look(end: instructions.count, isNegative: isNegative)
            case .atomic(let node):
                let place = instructions.count
                instructions.append(.accept)
                try add(node)
                instructions.append(.accept)
                instructions[place] = .atomic(end: instructions.count)
            case .at(let place): instructions.append(.at(place))
            }
        }

        private mutating func add(alternatives nodes: [Node]) throws {
            var jumps: [Int] = []
            for (index, node) in nodes.enumerated() {
                guard index < nodes.count - 1 else {
                    try add(node)
                    break
                }
                let split = instructions.count
                instructions.append(.accept)
                try add(node)
                jumps.append(instructions.count)
                instructions.append(.accept)
                instructions[split] = .split(first: split + 1, second: instructions.count)
            }
            for jump in jumps { instructions[jump] = .jump(instructions.count) }
        }

        private mutating func add(_ node: Node, _ least: Int, _ most: Int, isLazy: Bool) throws {
            guard most == .max || most <= 1_000, least <= 1_000 else {
                throw Refusal(reason: "repeats a group more than 1,000 times")
            }
            // Two loops, one in the other, can take time without end.
            guard most != .max || !node.matchesNothing && !node.repeatsWithoutLimit else {
                throw Refusal(reason: "repeats a group with a repetition in it without limit")
            }
            for _ in 0..<least { try add(node) }
            func split(_ place: Int, inner: Int, outer: Int) {
                instructions[place] =
                    isLazy ? .split(first: outer, second: inner) : .split(first: inner, second: outer)
            }
            if most == .max {
                let place = instructions.count
                instructions.append(.accept)
                try add(node)
                instructions.append(.jump(place))
                split(place, inner: place + 1, outer: instructions.count)
                return
            }
            var places: [Int] = []
            for _ in least..<most {
                places.append(instructions.count)
                instructions.append(.accept)
                try add(node)
            }
            for place in places { split(place, inner: place + 1, outer: instructions.count) }
        }
    }
}

// MARK: Matching

extension TextExpression {
    /// A place to go back to: an instruction and a place in the text, or a run that can be shorter.
    fileprivate struct Choice {
        var instruction: Int
        var place: Int
        /// The shortest end of a run; -1 for other choices.
        var least = -1
    }

    /// The buffers of a matcher.
    struct Workspace {
        fileprivate var choices: [Choice] = []
        /// True while what is matched continues a text.
        var continues = false
    }

    /// Calls `body` with the bounds of each match in a part of a text, from left to right.
    func forEachMatch(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, isBytes: Bool, _ workspace: inout Workspace,
        _ body: (_ start: Int, _ end: Int) -> Void
    ) {
        let part = UnsafeBufferPointer(rebasing: text[range])
        var start = 0
        while start < part.count {
            let end = match(part, start, 0, isBytes, &workspace)
            if end > start {
                body(range.lowerBound + start, range.lowerBound + end)
                start = end
            } else {
                start += isBytes ? 1 : UTF8Character.leadLength(part[start])
            }
        }
    }

    /// Returns the end of the match of the instructions from one on at a place, or -1.
    private func match(
        _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ first: Int, _ isBytes: Bool,
        _ workspace: inout Workspace
    ) -> Int {
        let base = workspace.choices.count
        defer { workspace.choices.removeLast(workspace.choices.count - base) }
        var (place, instruction) = (start, first)
        @inline(__always) func scalar(_ index: Int) -> (value: UInt32, length: Int) {
            isBytes ? (ByteAlphabet.scalars[Int(text[index])], 1) : UTF8Reader.scalar(text, index)
        }
        while true {
            var isMatch = true
            switch instructions[instruction] {
            case .accept: return place
            case .one(let set):
                isMatch = false
                if place < text.count {
                    let (value, length) = scalar(place)
                    if set.contains(value) {
                        place += length
                        isMatch = true
                    }
                }
            case .run(let set, let least, let most, let isPossessive):
                var (end, count, shortest) = (place, 0, least == 0 ? place : -1)
                while end < text.count, count < most {
                    let (value, length) = scalar(end)
                    guard set.contains(value) else { break }
                    end += length
                    count += 1
                    if count == least { shortest = end }
                }
                isMatch = count >= least
                if isMatch {
                    place = end
                    if !isPossessive, end > shortest {
                        workspace.choices.append(
                            Choice(instruction: instruction + 1, place: end, least: shortest))
                    }
                }
            case .split(let first, let second):
                workspace.choices.append(Choice(instruction: second, place: place))
                instruction = first
                continue
            case .jump(let target):
                instruction = target
                continue
            case .look(let end, let isNegative):
                let found = match(text, place, instruction + 1, isBytes, &workspace) >= 0
                isMatch = found != isNegative
                if isMatch {
                    instruction = end
                    continue
                }
            case .atomic(let end):
                let found = match(text, place, instruction + 1, isBytes, &workspace)
                isMatch = found >= 0
                if isMatch {
                    (place, instruction) = (found, end)
                    continue
                }
            case .at(.lineBeginning): isMatch = place == 0 || text[place - 1] == 0x0A
            case .at(.lineEnd): isMatch = place == text.count || text[place] == 0x0A
            case .at(.beginning): isMatch = place == 0 && !workspace.continues
            case .at(.end): isMatch = place == text.count
            case .at(.lastLineEnd):
                isMatch = place == text.count || place == text.count - 1 && text[place] == 0x0A
            }
            if isMatch {
                instruction += 1
                continue
            }
            guard workspace.choices.count > base, let choice = workspace.choices.last else { return -1 }
            if choice.least < 0 {
                (place, instruction) = (choice.place, choice.instruction)
                workspace.choices.removeLast()
            } else {
                let shorter =
                    isBytes ? choice.place - 1 : UTF8Reader.characterStart(text, before: choice.place)
                (place, instruction) = (shorter, choice.instruction)
                if shorter <= choice.least {
                    workspace.choices.removeLast()
                } else {
                    workspace.choices[workspace.choices.count - 1].place = shorter
                }
            }
        }
    }
}

/// A finder of matches in text.
enum TextMatcher: Sendable {
    /// A known expression, which also covers all of a text, and its general form.
    case scanner(WordScanner, TextExpression)
    case expression(TextExpression)
    case literal([UInt8])
    /// Each character of a set.
    case characters(ScalarSet)

    /// Reads `{"String": …}` or `{"Regex": …}`.
    init(_ node: JSONNode) throws {
        let options = try PartOptions(node, "String", "Regex")
        if let text = options.optional("String") {
            guard options.optional("Regex") == nil else {
                throw node.fault("has both a text and an expression")
            }
            self = .literal(Array(try text.string().utf8))
            return
        }
        let source = try options.required("Regex").string()
        do {
            let expression = try TextExpression(source)
            self = WordScanner.known[source].map { .scanner($0, expression) } ?? .expression(expression)
        } catch let refusal as TextExpression.Refusal {
            throw node.unsupported(
                "has the regular expression '\(source)', which \(refusal.reason)")
        }
    }

    /// Calls `body` with the bounds of each match in a part of a text, from left to right.
    func forEachMatch(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, isBytes: Bool,
        _ workspace: inout TextExpression.Workspace, _ body: (_ start: Int, _ end: Int) -> Void
    ) {
        switch self {
        case .scanner(let scanner, let expression):
            if isBytes {
                expression.forEachMatch(text, range, isBytes: true, &workspace, body)
            } else {
                scanner.forEachWord(text, range, body)
            }
        case .expression(let expression):
            expression.forEachMatch(text, range, isBytes: isBytes, &workspace, body)
        case .literal(let literal):
            let literal = isBytes ? ByteAlphabet.decode(literal) ?? [] : literal
            guard let first = literal.first else { return }
            var index = range.lowerBound
            while index + literal.count <= range.upperBound {
                if text[index] == first, text[index..<index + literal.count].elementsEqual(literal) {
                    body(index, index + literal.count)
                    index += literal.count
                } else {
                    index += 1
                }
            }
        case .characters(let set):
            var index = range.lowerBound
            while index < range.upperBound {
                let (value, length) =
                    isBytes ? (ByteAlphabet.scalars[Int(text[index])], 1) : UTF8Reader.scalar(text, index)
                if set.contains(value) { body(index, index + length) }
                index += length
            }
        }
    }
}
