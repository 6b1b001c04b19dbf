/// The sentence patterns of one kind of story; `StoryFact` explains their letters.
struct StoryPlot {
    /// The kind of noun in the facts, in addition to a person and a place.
    enum Noun {
        /// A thing with its color.
        case thing
        /// A thing in one word.
        case plainThing
        case dish
        /// A dish in one word.
        case plainDish
        case animal
        case trade
        case painted
    }

    var noun = Noun.thing
    /// True if each person who takes part has one fact; otherwise two to four facts.
    var isAboutEachPerson = true
    /// True if the first person has a fact as well.
    var heroTakesPart = true
    var needsOutdoors = false
    var usesOpenings = true
    var castSizes = [2, 3, 3, 3, 4]
    var askers = StoryVocabulary.neighbors
    var beginnings: [String]
    var facts: [String]
    /// Patterns for facts that follow another.
    var laterFacts: [String]
    /// Short remarks after a fact, which may use its words but not change it.
    var asides: [String]
    /// Sentences after the last fact.
    var factEndings: [String]
    /// Sentences before the questions.
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
