/// Stories about one child, in short words: each states a few facts of different kinds and comes back to them again and again.
///
/// No two facts of a story are of the same kind, so that the kind alone tells which word is needed: a model learns these
/// recalls in minutes. Words that are needed again have sentences of their own before them, which no other kind has.
struct HeroStory {
    /// The sentence patterns of one kind of fact.
    struct Subject {
        /// States the fact.
        let statement: String
        /// Come back to the fact.
        let mentions: [String]
        /// Ask for the fact at the end.
        let questions: [String]
    }

    static let subjects = [
        Subject(
            statement: "$S had a pet $n called ^k.",
            mentions: [
                "\"Come here, ~k!\" said $p.", "$p called the $n. \"Good $n! Good ~k!\"",
                "The $n was hungry. \"Eat this, ~k!\" said $p.",
            ],
            questions: ["What was the name of the $n? It was ~k.", "Who ran home with $p? The $n called ~k."]),
        Subject(
            statement: "$S had hidden the $o in the ^m.",
            mentions: [
                "$p went to the ~m to look for the $o.", "$p thought of the $o in the ~m.",
                "\"My $o is in the ~m,\" said $p.",
            ],
            questions: ["Where was the $o? It was in the ~m.", "Where did $p find the $o? In the ~m."]),
        Subject(
            statement: "$S had a new ^c coat.",
            mentions: [
                "$p put on the ~c coat.", "\"Look at my ~c coat!\" said $p.",
                "It was cold, but the ~c coat was warm.",
            ],
            questions: ["What colour was the coat? It was ~c.", "What did $p wear? A ~c coat."]),
        Subject(
            statement: "$S liked ^f best of all.",
            mentions: [
                "\"I want some ~f,\" said $p.", "They had some ~f.", "$p ate a lot of ~f.",
            ],
            questions: ["What did $p like best? It was ~f.", "What was for supper? There was ~f."]),
        Subject(
            statement: "$S had a good friend. The friend was ^q.",
            mentions: [
                "\"Hello, ~q!\" said $p.", "$p played with ~q.", "It was fun to be with ~q.",
            ],
            questions: ["Who was the friend? It was ~q.", "Who played with $p? The friend called ~q."]),
        Subject(
            statement: "$S wanted to be a ^j.",
            mentions: [
                "\"I will be a ~j one day,\" said $p.", "$p dreamed of the life of a ~j.",
                "$p had a book about a ~j.",
            ],
            questions: ["What did $p want to be? A ~j.", "What was the dream of $p? To be a ~j."]),
    ]

    static let openings = [
        "Once upon a time there was a $g called $p.", "One day, a $g called $p went out to play.",
        "$p was a little $g.", "There was a $g called $p.",
    ]

    /// Sentences without influence on any fact.
    static let fillers = [
        "The wind blew.", "The sun came out.", "It was a warm day.", "The leaves moved in the wind.",
        "Then it was quiet for a while.", "A small bee flew past.", "$p sang a song.", "$p felt happy.",
        "$p counted the birds in the sky.", "$p picked flowers by the path.",
        "A soft rain began to fall, but it soon stopped.", "\"I like days like this,\" said $p.",
        "$p sat down and did not say a word.", "\"What is that noise?\" asked $p. It was only a bee.",
    ]

    static let returns = [
        "Then the sun went down.", "In the evening, $p went home.", "At night, $p could not sleep.",
        "The next day, $p told everything.",
    ]

    static let closings = [
        "It had been a lovely day.", "$p was very happy.", "Then $p slept all night.",
    ]

    /// Returns so many words from all over a list.
    static func some<Word>(_ count: Int, of words: [Word]) -> [Word] {
        (0..<min(count, words.count)).map { words[$0 * words.count / count] }
    }
}

extension StoryTeller {
    /// Writes a story about one child, with so many sentences before the last questions.
    mutating func tellOfOne(_ level: StoryLevel, fillerSentenceCount: Int) {
        let people = draw(2, from: HeroStory.some(level.wordsPerKind, of: StoryVocabulary.people))
        var fact = StoryFact()
        fact.set(people[0])
        fact["g"] = people[0].isFemale ? "girl" : "boy"
        fact["q"] = people[1].name
        fact["n"] = pick(HeroStory.some(level.wordsPerKind, of: StoryVocabulary.animals))
        fact["k"] = pick(HeroStory.some(level.wordsPerKind, of: StoryVocabulary.petNames))
        fact["o"] = pick(HeroStory.some(level.wordsPerKind, of: StoryVocabulary.nouns))
        fact["m"] = pick(HeroStory.some(level.wordsPerKind, of: StoryVocabulary.shortPlaces))
        fact["c"] = pick(HeroStory.some(level.wordsPerKind, of: StoryVocabulary.consonantColors))
        fact["f"] = pick(HeroStory.some(level.wordsPerKind, of: StoryVocabulary.shortDishes))
        fact["j"] = pick(HeroStory.some(level.wordsPerKind, of: StoryVocabulary.trades))
        var subjects = draw(3 + generator.integer(below: 3), from: HeroStory.subjects)
        say(pick(HeroStory.openings), &fact)
        for subject in subjects { say(subject.statement, &fact) }
        let rounds = generator.integer(in: level.questionRounds)
        for round in 1...rounds {
            let count =
                round == rounds
                ? fillerSentenceCount : generator.integer(in: 0...min(4, fillerSentenceCount))
            // Some facts are not mentioned in between, so that they are needed from far.
            let mentioned = draw(1 + generator.integer(below: subjects.count), from: subjects)
            startParagraph()
            for index in 0..<count {
                if index > 0, index.isMultiple(of: 5) { startParagraph() }
                say(
                    generator.chance(level.neutralShare)
                        ? pick(HeroStory.fillers) : pick(pick(mentioned).mentions), &fact)
            }
            generator.shuffle(&subjects)
            if round == rounds { say(pick(HeroStory.returns), &fact) }
            startParagraph()
            for subject in subjects {
                say(pick(round == rounds ? subject.questions : subject.mentions), &fact)
            }
        }
        say(pick(HeroStory.closings), &fact)
    }
}
