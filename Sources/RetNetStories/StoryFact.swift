/// Words for the places of sentence patterns, each identified by a letter.
///
/// The letters: `p` a person, with `s` she or he, `S` the same at the start of a sentence, `h` her or his;
/// `q` another person; `g` the whole group; `o` a thing or dish, `a` its article; `i` and `I`
/// the preposition of the place `l`, `m` a place in one word; `n` and `v` animals, `k` a pet's name; `c` the color of `y`; `j` a
/// trade; `w` the person who asks, `r` the helper, `t` the thief, `b` the birthday child; `d` the weather, `e` a feeling
/// or meeting place, `f` food, `u` a number, `x` the look of something.
struct StoryFact {
    struct Slot {
        let letter: UInt8
        let text: String
        /// Byte range at which the story stated this word as part of the fact.
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

    /// Sets the noun of a letter, and its article as letter `a`.
    mutating func set(_ noun: String, as letter: Character) {
        self[letter] = noun
        self["a"] = noun.first.map { "aeiou".contains($0) } == true ? "an" : "a"
    }
}

/// A person in a story.
struct StoryPerson {
    let name: String
    let isFemale: Bool
}

/// A place in a story.
struct StoryPlace {
    let preposition: String
    let name: String
    let isOutdoors: Bool
}

/// A question with its answer, in which `~` marks the words to recall.
struct StoryQuestion {
    /// The question in the words of one person and the answer in those of another.
    let spoken: (question: String, answer: String)
    /// Question and answer in the words of the narrator.
    let told: String
}
