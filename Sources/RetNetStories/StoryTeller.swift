import RetNetText

/// Writes one story, sentence by sentence, and records where facts are stated and asked for.
struct StoryTeller {
    /// The text so far.
    private(set) var bytes: [UInt8] = []
    /// The answers so far.
    private(set) var recalls: [Recall] = []
    var generator: SeededGenerator
    /// The people of the story, in the order of their facts.
    var cast: [StoryPerson] = []
    /// The person who asks the questions.
    var asker = ""
    /// The person who gives the answers, in plots that have such a helper.
    var helper = ""
    /// The animal that takes things away, in plots that have a thief.
    var thief = ""
    private var startsParagraph = false

    /// The share of questions that the narrator asks and answers; the others are spoken by the people of the story.
    private static let toldShare = 0.3

    init(generator: SeededGenerator) {
        self.generator = generator
        bytes.reserveCapacity(1_024)
    }

    /// Writes the story.
    mutating func tell(_ level: StoryLevel, fillerSentenceCount: Int) {
        guard !level.plots.isEmpty else {
            return tellOfOne(level, fillerSentenceCount: fillerSentenceCount)
        }
        let plot = pick(level.plots)
        cast = draw(pick(plot.castSizes), from: StoryVocabulary.people)
        asker = pick(plot.askers)
        helper = pick(StoryPlot.helpers)
        thief = pick(StoryPlot.thieves)
        let factCount = plot.isAboutEachPerson ? cast.count : 2 + generator.integer(below: 3)
        var facts = makeFacts(plot, count: factCount)
        var scene = plot.heroTakesPart ? groupFact() : groupFact(leavingOutFirst: true)
        if plot.usesOpenings { say(pick(StorySentences.openings), &scene) }
        say(pick(plot.beginnings), &scene)
        var asides = draw(plot.asides.count, from: plot.asides)
        for index in facts.indices {
            say(pick(index == 0 ? plot.facts : plot.facts + plot.laterFacts), &facts[index])
            if generator.chance(0.3), let aside = asides.popLast() { say(aside, &facts[index]) }
        }
        say(pick(plot.factEndings), &scene)
        let rounds = level.questionRounds
        let last = rounds.count > 1 ? generator.integer(in: rounds) : rounds.lowerBound
        for round in 1...last {
            tellFiller(
                count: round == last
                    ? fillerSentenceCount : generator.integer(in: 0...min(2, fillerSentenceCount)))
            startParagraph()
            say(pick(plot.returns), &scene)
            generator.shuffle(&facts)
            let questionCount =
                level.asksForEverything ? facts.count : 1 + generator.integer(below: facts.count)
            for index in 0..<questionCount { ask(plot, &facts[index]) }
        }
        say(pick(plot.closings), &scene)
    }

    /// Makes the next sentence begin a new paragraph.
    mutating func startParagraph() {
        startsParagraph = !bytes.isEmpty
    }

    /// Writes a pattern: `$x` inserts the word of letter x, `^x` also records a statement, `~x` an answer.
    mutating func say(_ pattern: String, _ fact: inout StoryFact) {
        if startsParagraph { bytes.append(0x0A) } else if !bytes.isEmpty { bytes.append(0x20) }
        startsParagraph = false
        var mark: UInt8?
        for byte in pattern.utf8 {
            if let kind = mark {
                write(byte, as: kind, &fact)
                mark = nil
            } else if byte == UInt8(ascii: "$") || byte == UInt8(ascii: "^") || byte == UInt8(ascii: "~") {
                mark = byte
            } else {
                bytes.append(byte)
            }
        }
    }

    private mutating func write(_ letter: UInt8, as mark: UInt8, _ fact: inout StoryFact) {
        guard let index = fact.index(of: letter) else {
            assertionFailure("a pattern uses a letter that its fact does not have")
            return
        }
        let start = bytes.count
        bytes.append(contentsOf: fact.slots[index].text.utf8)
        let range = start..<bytes.count
        if mark == UInt8(ascii: "^") { fact.introduce(at: index, range: range) }
        if mark == UInt8(ascii: "~"), let introduction = fact.slots[index].introduction,
            let kind = Self.kind(of: letter)
        {
            recalls.append(Recall(kind: kind, range: range, introduction: introduction))
            // When it is asked for again, this answer is the nearest statement.
            fact.introduce(at: index, range: range)
        }
    }

    private mutating func ask(_ plot: StoryPlot, _ fact: inout StoryFact) {
        let question = pick(plot.questions)
        if generator.chance(1 - Self.toldShare) {
            say(question.spoken.question, &fact)
            say(question.spoken.answer, &fact)
        } else {
            say(question.told, &fact)
        }
    }

    private mutating func tellFiller(count: Int) {
        let people = cast
        var inParagraph = 0
        startParagraph()
        var patterns: [String] = []
        for index in 0..<count {
            if inParagraph >= 4, count - index > 1 {
                startParagraph()
                inParagraph = 0
            }
            // Nothing is said twice before everything has been said once.
            if patterns.isEmpty {
                patterns = draw(StorySentences.fillers.count, from: StorySentences.fillers)
            }
            let pattern = patterns.removeLast()
            var fact = fillerFact(people)
            say(pattern, &fact)
            inParagraph += 1
        }
    }

    private mutating func fillerFact(_ people: [StoryPerson]) -> StoryFact {
        let pair = draw(2, from: people)
        var fact = StoryFact()
        fact.set(pair[0])
        fact["q"] = pair[1].name
        fact["n"] = pick(StoryVocabulary.passers)
        fact["v"] = pick(StoryVocabulary.smallAnimals)
        fact["e"] = pick(StoryVocabulary.feelings)
        fact["x"] = pick(StoryVocabulary.looks)
        fact["f"] = pick(StoryVocabulary.snacks)
        fact["u"] = pick(StoryVocabulary.numbers)
        return fact
    }

    /// Returns one of the elements, which must not be empty.
    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[generator.integer(below: elements.count)]
    }

    /// Returns up to `count` different elements in random order.
    mutating func draw<Element>(_ count: Int, from elements: [Element]) -> [Element] {
        var elements = elements
        let count = min(count, elements.count)
        for index in 0..<count {
            elements.swapAt(index, index + generator.integer(below: elements.count - index))
        }
        return Array(elements.prefix(count))
    }

    private static func kind(of letter: UInt8) -> Recall.Kind? {
        switch letter {
        case UInt8(ascii: "p"), UInt8(ascii: "q"): .person
        case UInt8(ascii: "o"), UInt8(ascii: "f"): .thing
        case UInt8(ascii: "l"), UInt8(ascii: "m"): .place
        case UInt8(ascii: "c"): .color
        case UInt8(ascii: "n"): .animal
        case UInt8(ascii: "k"): .petName
        case UInt8(ascii: "j"): .trade
        default: nil
        }
    }
}

// MARK: Facts

extension StoryTeller {
    /// Returns the facts of a plot, no two of which share a word that is asked for.
    mutating func makeFacts(_ plot: StoryPlot, count: Int) -> [StoryFact] {
        let owners = plot.heroTakesPart ? cast : Array(cast.dropFirst())
        let count = plot.isAboutEachPerson ? owners.count : count
        let places = StoryVocabulary.places.filter { !plot.needsOutdoors || $0.isOutdoors }
        let chosenPlaces = draw(count, from: places)
        let colors = draw(count, from: StoryVocabulary.colors)
        let nouns = draw(count, from: StoryVocabulary.nouns)
        let dishes = draw(count, from: StoryVocabulary.dishes)
        let animals = draw(count, from: StoryVocabulary.animals)
        let petNames = draw(count, from: StoryVocabulary.petNames)
        let trades = draw(count, from: StoryVocabulary.trades)
        let painted = draw(count, from: StoryVocabulary.paintedThings)
        let isPlain = plot.noun == .plainThing || plot.noun == .plainDish
        let shortPlaces = isPlain ? draw(count, from: StoryVocabulary.shortPlaces) : []
        let shortDishes = isPlain ? draw(count, from: StoryVocabulary.shortDishes) : []
        return (0..<count).map { index in
            var fact = StoryFact()
            let owner = owners[index % owners.count]
            fact.set(owner)
            let others = cast.filter { $0.name != owner.name }
            fact["q"] = pick(others).name
            fact["b"] = cast[0].name
            fact["w"] = asker
            fact["r"] = helper
            fact["t"] = thief
            fact.set(chosenPlaces[index])
            fact["c"] = colors[index]
            fact["k"] = petNames[index]
            fact["y"] = painted[index]
            switch plot.noun {
            case .thing: fact.set(colors[index] + " " + nouns[index], as: "o")
            case .plainThing:
                fact.set(nouns[index], as: "o")
                fact["m"] = shortPlaces[index]
            case .dish: fact.set(dishes[index], as: "o")
            case .plainDish: fact.set(shortDishes[index], as: "o")
            case .animal: fact.set(animals[index], as: "n")
            case .trade: fact.set(trades[index], as: "j")
            case .painted: break
            }
            return fact
        }
    }

    /// Returns the words of sentences about everybody.
    mutating func groupFact(leavingOutFirst: Bool = false) -> StoryFact {
        var fact = StoryFact()
        let group = leavingOutFirst ? Array(cast.dropFirst()) : cast
        fact.set(cast[0])
        fact["q"] = cast[1].name
        fact["b"] = cast[0].name
        fact["g"] = Self.enumeration(group.map(\.name))
        fact["u"] = StoryVocabulary.numbers[max(0, min(group.count - 2, 3))]
        fact["d"] = pick(StoryVocabulary.weather)
        fact["e"] = pick(StoryVocabulary.meetingPlaces)
        fact["w"] = asker
        fact["r"] = helper
        fact["t"] = thief
        return fact
    }

    private static func enumeration(_ names: [String]) -> String {
        guard names.count > 1, let last = names.last else { return names.first ?? "" }
        return names.dropLast().joined(separator: ", ") + " and " + last
    }
}
