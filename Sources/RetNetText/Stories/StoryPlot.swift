/// The sentence patterns of one kind of story; `StoryFact` explains their letters.
struct StoryPlot {
    /// What the facts are about, beside a person and a place.
    enum Noun {
        case thing
        case dish
        case animal
        case trade
        case painted
    }

    var noun = Noun.thing
    /// Whether there is one fact for each person who takes part, rather than a free number.
    var isAboutEachPerson = true
    /// Whether the first person has a fact as well.
    var heroTakesPart = true
    var needsOutdoors = false
    var usesOpenings = true
    var castSizes = [2, 3, 3, 3, 4]
    var askers = StoryVocabulary.neighbours
    var beginnings: [String]
    var facts: [String]
    /// Patterns for facts that follow another.
    var laterFacts: [String]
    /// Short remarks after a fact, which may use its words but not change it.
    var asides: [String]
    /// What ends the facts.
    var factEndings: [String]
    /// What leads to the questions.
    var returns: [String]
    var questions: [StoryQuestion]
    var closings: [String]

    static let all: [StoryPlot] = [
        hiding, hiding, thief, birthday, farm, walk, cooking, painting, pets, secret, dreams,
    ]

    static let helpers = [
        "the old owl", "the wise tortoise", "the shepherd", "the little wren", "the grey heron",
        "the night watchman",
    ]
    static let thieves = ["magpie", "monkey", "jackdaw", "young fox", "naughty goat", "raven"]
}
