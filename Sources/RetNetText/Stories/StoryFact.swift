/// Words that fill the places of sentence patterns, each under a letter.
///
/// The letters: `p` a person, with `s` she or he, `S` the same at the start of a sentence, `h` her or his;
/// `q` another person; `g` the whole group; `o` a thing or dish, `a` its article; `i` and `I`
/// the preposition of the place `l`; `n` and `v` animals, `k` a pet's name; `c` the colour of `y`; `j` a
/// trade; `w` who asks, `r` who helps, `t` the thief, `b` the birthday child; `d` the weather, `e` a feeling
/// or meeting place, `f` food, `u` a number, `x` how something looks.
struct StoryFact {
    struct Slot {
        let letter: UInt8
        let text: String
        /// Where the story told this word as part of the fact.
        var introduction: Range<Int>?
    }

    private(set) var slots: [Slot] = []

    subscript(letter: Character) -> String {
        get { slots.first { $0.letter == letter.asciiValue }?.text ?? "" }
        set {
            guard let code = letter.asciiValue else { return }
            slots.removeAll { $0.letter == code }
            slots.append(Slot(letter: code, text: newValue, introduction: nil))
        }
    }

    func index(of letter: UInt8) -> Int? {
        slots.firstIndex { $0.letter == letter }
    }

    mutating func introduce(at index: Int, range: Range<Int>) {
        slots[index].introduction = range
    }

    mutating func set(_ person: StoryPerson) {
        self["p"] = person.name
        self["s"] = person.isFemale ? "she" : "he"
        self["S"] = person.isFemale ? "She" : "He"
        self["h"] = person.isFemale ? "her" : "his"
    }

    mutating func set(_ place: StoryPlace) {
        self["i"] = place.preposition
        self["I"] = place.preposition.prefix(1).uppercased() + place.preposition.dropFirst()
        self["l"] = place.name
    }

    /// Sets a noun under a letter and its article under `a`.
    mutating func set(_ noun: String, as letter: Character) {
        self[letter] = noun
        self["a"] = noun.first.map { "aeiou".contains($0) } == true ? "an" : "a"
    }
}

/// Somebody in a story.
struct StoryPerson {
    let name: String
    let isFemale: Bool
}

/// Somewhere in a story.
struct StoryPlace {
    let preposition: String
    let name: String
    let isOutdoors: Bool
}

/// A question with its answer, in which `~` marks what is to be remembered.
struct StoryQuestion {
    /// The question as somebody says it and the answer of somebody else.
    let spoken: (question: String, answer: String)
    /// The same as the story tells it.
    let told: String
}
