extension StoryPlot {
    /// Everybody hides a thing; all words that are asked for are single words.
    static let simpleHiding = StoryPlot(
        noun: .plainThing, castSizes: [2, 3, 3, 4],
        beginnings: [
            "They wanted to play a hiding game.", "Each of them had one thing to hide.",
            "\"Let us hide something,\" said $p.",
        ],
        facts: ["^p hid the ^o in the ^m."],
        laterFacts: ["Then ^p hid the ^o in the ^m."],
        asides: ["Nobody was looking.", "$S smiled.", "It was a very good place."],
        factEndings: ["Now everything was hidden.", "What a good game it was!"],
        returns: [
            "Then $w came by.", "Later, they sat down with $w.", "After a while, $w came to see them.",
            "In the evening, they told $w about the game.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"Where is the $o?\" asked $w.", "\"The $o is in the ~m,\" said $p."),
                told: "Where was the $o? The $o was in the ~m."),
            StoryQuestion(
                spoken: ("\"Where is the $o?\" asked $w.", "\"The $o is in the ~m,\" said $p."),
                told: "Where was the $o? The $o was in the ~m."),
            StoryQuestion(
                spoken: ("\"Who hid the $o?\" asked $w.", "\"The $o was hidden by ~p,\" said $q."),
                told: "Who hid the $o? The $o was hidden by ~p."),
        ],
        closings: [
            "They found everything again and laughed.", "Then they all went home for supper.",
            "It had been a lovely day.",
        ])

    /// Everybody makes a dish.
    static let simpleCooking = StoryPlot(
        noun: .plainDish, castSizes: [2, 3, 3, 4],
        beginnings: [
            "There was going to be a feast, so they all cooked something.",
            "\"Let us cook today,\" said $p.",
        ],
        facts: ["^p made the ^o."], laterFacts: ["Then ^p made the ^o."],
        asides: ["It smelled very good.", "$S used a big spoon.", "It was not easy."],
        factEndings: ["Soon everything was ready.", "They put everything on a long table."],
        returns: [
            "Then $w came by.", "Later, $w sat down at the table.",
            "After a while, $w came and tasted everything.",
            "In the evening, $w was hungry too.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"Who made the $o?\" asked $w.", "\"The $o was made by ~p,\" said $q."),
                told: "Who made the $o? The $o was made by ~p."),
            StoryQuestion(
                spoken: ("\"What did $p make?\" asked $w.", "\"$p made the ~o,\" said $q."),
                told: "What did $p make? $p made the ~o."),
        ],
        closings: ["They ate until nothing was left.", "Everybody was full and happy."])

    /// Everybody paints something.
    static let simplePainting = StoryPlot(
        noun: .painted, castSizes: [2, 3, 3, 4],
        beginnings: [
            "They had found some pots of paint.", "\"Let us paint everything,\" said $p.",
        ],
        facts: ["^p painted the $y ^c."], laterFacts: ["Then ^p painted the $y ^c."],
        asides: ["It looked very fine.", "$S sang a song.", "It took a long time."],
        factEndings: ["Then the paint had to dry.", "It all looked new."],
        returns: [
            "Then $w came by.", "Later, $w came to see the paint.", "After a while, $w came to see them.",
            "In the evening, they told $w about it.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"What colour is the $y?\" asked $w.", "\"The $y is ~c,\" said $p."),
                told: "What colour was the $y? The $y was ~c."),
            StoryQuestion(
                spoken: ("\"Who painted the $y?\" asked $w.", "\"The $y was painted by ~p,\" said $q."),
                told: "Who painted the $y? The $y was painted by ~p."),
        ],
        closings: ["They were proud of their work.", "Now the whole yard was bright."])

    /// Everybody has an animal with a name.
    static let simplePets = StoryPlot(
        noun: .animal, castSizes: [2, 3, 3, 4],
        beginnings: ["Each of them had an animal at home.", "They talked about their animals."],
        facts: ["The $n of ^p was called ^k."], laterFacts: ["And the $n of ^p was called ^k."],
        asides: ["Everybody liked the name.", "$S was very proud.", "It was a good animal."],
        factEndings: ["They all loved animals.", "\"Animals are our friends,\" said $p."],
        returns: [
            "Then $w came by.", "Later, they met $w.", "After a while, $w came to see them.",
            "In the evening, $w wanted to hear about the animals.",
        ],
        questions: [
            StoryQuestion(
                spoken: (
                    "\"What is the name of the $n?\" asked $w.", "\"The name of the $n is ~k,\" said $p."
                ),
                told: "What was the name of the $n? The name of the $n was ~k."),
            StoryQuestion(
                spoken: ("\"Who has the $n?\" asked $w.", "\"The owner of the $n is ~p,\" said $q."),
                told: "Who had the $n? The owner of the $n was ~p."),
        ],
        closings: ["\"Those are good animals,\" said $w.", "Then they all went home for supper."])

    /// Everybody tells what they want to become.
    static let simpleDreams = StoryPlot(
        noun: .trade, castSizes: [2, 3, 3, 4], askers: StoryVocabulary.family,
        beginnings: [
            "They talked about what they wanted to be one day.",
            "They lay in the grass and talked about their dreams.",
        ],
        facts: ["^p wanted to be $a ^j."], laterFacts: ["And ^p wanted to be $a ^j."],
        asides: ["That sounded like fun.", "$S had told nobody before."],
        factEndings: ["They were quiet for a while.", "They had to laugh."],
        returns: [
            "Then $w came by.", "Later, they met $w.", "After a while, $w came to see them.",
            "In the evening, they told $w about their dreams.",
        ],
        questions: [
            StoryQuestion(
                spoken: (
                    "\"Who wants to be $a $j?\" asked $w.", "\"To be $a $j is the dream of ~p,\" said $q."
                ),
                told: "Who wanted to be $a $j? To be $a $j was the dream of ~p."),
            StoryQuestion(
                spoken: ("\"What does $p want to be?\" asked $w.", "\"$p wants to be $a ~j,\" said $q."),
                told: "What did $p want to be? $p wanted to be $a ~j."),
        ],
        closings: ["\"Those are good dreams,\" said $w.", "That night they all had sweet dreams."])
}
