extension StoryPlot {
    /// Everybody makes a dish.
    static let cooking = StoryPlot(
        noun: .dish,
        beginnings: [
            "There was going to be a feast, so they all cooked something.",
            "They wanted to cook for the whole village.",
            "\"Let us cook today,\" said $p.", "The kitchen was warm, and there was plenty to do.",
        ],
        facts: [
            "^p made the ^o.", "^p made the ^o.", "^p made the ^o with great care.", "The ^o was made by ^p.",
            "^p washed $h hands and made the ^o.",
        ],
        laterFacts: ["Then ^p made the ^o.", "And ^p made the ^o.", "Only ^p knew how to make the ^o."],
        asides: [
            "It smelled very good.", "It was not easy.", "$S used a big spoon.",
            "\"Do not touch it yet,\" said $p.",
            "There was flour everywhere.",
        ],
        factEndings: [
            "Soon everything was ready.", "Then they had to wait.", "They put everything on a long table.",
        ],
        returns: [
            "In the evening, $w sat down at the table.", "Then $w came and tasted everything.",
            "At last the feast began, and $w was there too.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"Who made the $o?\" asked $w.", "\"It was ~p,\" said $q."),
                told: "Who made the $o? It was ~p."),
            StoryQuestion(
                spoken: ("\"What did $p make?\" asked $w.", "\"It was the ~o,\" said $q."),
                told: "What did $p make? It was the ~o."),
        ],
        closings: [
            "They ate until nothing was left.", "\"It is all very good,\" said $w.",
            "Everybody was full and happy.", "Then they washed the plates together.",
        ])

    /// Everybody paints something.
    static let painting = StoryPlot(
        noun: .painted,
        beginnings: [
            "They had found some pots of paint.", "The yard looked dull, so they began to paint it.",
            "\"Let us paint everything,\" said $p.", "They all put on old shirts and took brushes.",
        ],
        facts: [
            "^p painted the $y ^c.", "^p painted the $y ^c.", "^p took a brush and painted the $y ^c.",
            "With great care, ^p painted the $y ^c.",
        ],
        laterFacts: [
            "Then ^p painted the $y ^c.", "After that, ^p painted the $y ^c.", "And ^p painted the $y ^c.",
        ],
        asides: [
            "It took a long time.", "It looked very fine.", "$S had paint on $h nose.", "$S sang a song.",
            "\"I like it,\" said $p.",
        ],
        factEndings: ["Then the paint had to dry.", "It all looked new.", "They washed the brushes."],
        returns: [
            "In the evening, they told $w about it.", "Later, $w came to hear what they had done.",
            "At supper, $w wanted to know everything.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"What colour is the $y?\" asked $w.", "\"It is ~c,\" said $p."),
                told: "What colour was the $y? It was ~c."),
            StoryQuestion(
                spoken: ("\"Who painted the $y?\" asked $w.", "\"It was ~p,\" said $q."),
                told: "Who painted the $y? It was ~p."),
        ],
        closings: [
            "\"Well done,\" said $w.", "Now the whole yard was bright.", "They were proud of their work.",
            "Everybody came to look.",
        ])

    /// Everybody tells what they want to become.
    static let dreams = StoryPlot(
        noun: .trade, askers: StoryVocabulary.family,
        beginnings: [
            "They talked about what they wanted to be one day.",
            "\"What shall we be when we grow up?\" asked $p.",
            "They lay in the grass and talked about their dreams.",
        ],
        facts: [
            "^p wanted to be $a ^j.", "^p wanted to be $a ^j.", "^p dreamed of being $a ^j.",
            "The dream of ^p was to be $a ^j.",
        ],
        laterFacts: ["But ^p wanted to be $a ^j.", "And ^p wanted to be $a ^j."],
        asides: [
            "That sounded like fun.", "\"It is hard work,\" said $p, \"but I like it.\"",
            "$S had told nobody before.",
        ],
        factEndings: [
            "They were quiet for a while.", "\"We will all be busy,\" said $p.", "They had to laugh.",
        ],
        returns: [
            "That evening, they told $w about it.", "On the way home, they met $w.",
            "Later, $w heard about their dreams.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"Who wants to be $a $j?\" asked $w.", "\"It is ~p,\" said $q."),
                told: "Who wanted to be $a $j? It was ~p."),
            StoryQuestion(
                spoken: ("\"What does $p want to be?\" asked $w.", "\"$S wants to be $a ~j,\" said $q."),
                told: "What did $p want to be? $S wanted to be $a ~j."),
        ],
        closings: [
            "\"Those are good dreams,\" said $w.", "And many years later, it all came true.",
            "That night they all had sweet dreams.",
        ])
}
