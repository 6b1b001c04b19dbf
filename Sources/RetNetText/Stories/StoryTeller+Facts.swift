extension StoryTeller {
    /// The facts of a plot, no two of which share a word that is asked for.
    mutating func makeFacts(_ plot: StoryPlot, count: Int) -> [StoryFact] {
        let owners = plot.heroTakesPart ? cast : Array(cast.dropFirst())
        let count = plot.isAboutEachPerson ? owners.count : count
        let places = StoryVocabulary.places.filter { !plot.needsOutdoors || $0.isOutdoors }
        let chosenPlaces = draw(count, from: places)
        let colours = draw(count, from: StoryVocabulary.colours)
        let nouns = draw(count, from: StoryVocabulary.nouns)
        let dishes = draw(count, from: StoryVocabulary.dishes)
        let animals = draw(count, from: StoryVocabulary.animals)
        let petNames = draw(count, from: StoryVocabulary.petNames)
        let trades = draw(count, from: StoryVocabulary.trades)
        let painted = draw(count, from: StoryVocabulary.paintedThings)
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
            fact["c"] = colours[index]
            fact["k"] = petNames[index]
            fact["y"] = painted[index]
            switch plot.noun {
            case .thing: fact.set(colours[index] + " " + nouns[index], as: "o")
            case .dish: fact.set(dishes[index], as: "o")
            case .animal: fact.set(animals[index], as: "n")
            case .trade: fact.set(trades[index], as: "j")
            case .painted: break
            }
            return fact
        }
    }

    /// The words of sentences about everybody.
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
