extension StoryPlot {
    /// The animals of a farm and where they live.
    static let farm = StoryPlot(
        noun: .animal, isAboutEachPerson: false, needsOutdoors: true, castSizes: [2, 2, 3],
        beginnings: [
            "They went to a farm to see the animals.", "An old man had a farm with many animals.",
            "There was a small farm at the end of the lane.",
        ],
        facts: [
            "The ^n lived $i the ^l.", "The ^n lived $i the ^l.",
            "$I the ^l lived $a ^n.", "The ^n had its home $i the ^l.",
        ],
        laterFacts: ["And the ^n lived $i the ^l.", "But the ^n lived $i the ^l."],
        asides: [
            "It was very shy.", "It looked at $p.", "It liked to sleep there.",
            "\"Hello, little $n,\" said $p.",
            "It was dry and warm there.",
        ],
        factEndings: [
            "They liked all the animals.", "Each animal had its own place.", "They did not want to leave.",
        ],
        returns: [
            "In the evening, $w asked about the farm.", "When they came home, $w was waiting.",
            "At supper, $w wanted to hear about the animals.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"Where does the $n live?\" asked $w.", "\"It lives $i the ~l,\" said $p."),
                told: "Where did the $n live? It lived $i the ~l."),
            StoryQuestion(
                spoken: ("\"Who lives $i the $l?\" asked $w.", "\"It is the ~n,\" said $q."),
                told: "Who lived $i the $l? It was the ~n."),
        ],
        closings: [
            "\"I want to go there again,\" said $p.", "That night they dreamed of the animals.",
            "Soon they went to the farm again.",
        ])

    /// A walk on which animals are seen.
    static let walk = StoryPlot(
        noun: .animal, isAboutEachPerson: false, needsOutdoors: true, castSizes: [2, 2, 3],
        beginnings: [
            "They went for a long walk.", "They took a basket with food and went out.",
            "They wanted to see the wide world.",
        ],
        facts: [
            "$I the ^l they saw $a ^n.", "They saw $a ^n $i the ^l.", "^p saw $a ^n $i the ^l.",
            "First they met $a ^n $i the ^l.",
        ],
        laterFacts: ["Then they saw $a ^n $i the ^l.", "A little later, they saw $a ^n $i the ^l."],
        asides: [
            "It ran away.", "It did not move at all.", "\"Oh, look!\" said $p.", "It was not afraid.",
            "They stood very still.",
        ],
        factEndings: [
            "Then they turned back.", "It was a long way home.", "They sat down on a log for a rest.",
        ],
        returns: [
            "At home, $w asked about the walk.", "In the evening, they told $w about the walk.",
            "When they were back, $w made tea and listened.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"Where was the $n?\" asked $w.", "\"It was $i the ~l,\" said $p."),
                told: "Where was the $n? It was $i the ~l."),
            StoryQuestion(
                spoken: ("\"What did you see $i the $l?\" asked $w.", "\"It was the ~n,\" said $q."),
                told: "What was $i the $l? It was the ~n."),
        ],
        closings: [
            "\"What a fine walk,\" said $w.", "They were tired and went to bed early.",
            "\"Next time I will come too,\" said $w.",
        ])

    /// Everybody has a pet with a name.
    static let pets = StoryPlot(
        noun: .animal,
        beginnings: [
            "It was the day of the pet show.", "Each of them had a pet.", "They had all brought their pets.",
        ],
        facts: [
            "^p had $a ^n called ^k.", "^p had $a ^n called ^k.", "^p came with $a ^n called ^k.",
            "^k was the ^n of ^p.",
        ],
        laterFacts: ["And ^p had $a ^n called ^k.", "Then ^p came with $a ^n called ^k."],
        asides: [
            "$k liked to be stroked.", "$k was still very young.", "$k never made a sound.",
            "Everybody liked $k.",
            "$k was always hungry.",
        ],
        factEndings: [
            "All the pets were good friends.", "The pets slept in the shade.", "What a noise they made!",
        ],
        returns: [
            "In the afternoon, $w came to see the pets.", "Later, they told $w about the pets.",
            "Then it was time to give out the prizes, and $w had some questions.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"What is the $n called?\" asked $w.", "\"It is called ~k,\" said $p."),
                told: "What was the $n called? It was called ~k."),
            StoryQuestion(
                spoken: ("\"Who has the $n?\" asked $w.", "\"It is ~p,\" said $q."),
                told: "Who had the $n? It was ~p."),
            StoryQuestion(
                spoken: ("\"Who is $k?\" asked $w.", "\"It is the ~n,\" said $p."),
                told: "Who was $k? It was the ~n."),
        ],
        closings: [
            "Every pet got a prize.", "\"They are all lovely,\" said $w.",
            "Then the pets were fed and went to sleep.",
        ])
}
