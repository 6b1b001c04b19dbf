extension StoryPlot {
    /// Everybody hides a thing.
    static let hiding = StoryPlot(
        beginnings: [
            "They wanted to play a hiding game.",
            "Each of them had brought a treasure.",
            "\"Let us hide our treasures,\" said $p.",
            "$p had a good idea: a game of hiding things.",
            "Each of them had one thing to hide.",
        ],
        facts: [
            "^p hid the ^o $i the ^l.", "^p hid the ^o $i the ^l.", "^p put the ^o $i the ^l.",
            "^p left the ^o $i the ^l.", "^p had $a ^o and hid it $i the ^l.",
            "^p took $h ^o and hid it $i the ^l.", "$I the ^l, ^p hid $a ^o.",
        ],
        laterFacts: [
            "Then ^p hid the ^o $i the ^l.", "After that, ^p put $a ^o $i the ^l.",
            "Next, ^p ran away and hid the ^o $i the ^l.", "But ^p hid the ^o $i the ^l.",
        ],
        asides: [
            "Nobody was looking.", "It was a very good place.", "\"Nobody will find it,\" said $p.",
            "$S smiled.",
            "That did not take long.", "$S came back with dirty hands.",
        ],
        factEndings: [
            "Now everything was hidden.", "\"I will remember it all,\" said $p.", "What a good game it was!",
        ],
        returns: [
            "In the evening, it was time to look for everything.", "When the sun went down, $w came by.",
            "At last it was time to go home.", "After the game, they sat down with $w.",
            "Later that day, $w wanted to know about the game.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"Where is the $o?\" asked $w.", "\"It is $i the ~l,\" said $p."),
                told: "Where was the $o? It was $i the ~l."),
            StoryQuestion(
                spoken: ("\"Where is the $o?\" asked $w.", "\"It is $i the ~l,\" said $p."),
                told: "Where was the $o? It was $i the ~l, said $p."),
            StoryQuestion(
                spoken: ("\"Who hid the $o?\" asked $w.", "\"It was ~p,\" said $q."),
                told: "Who hid the $o? It was ~p."),
            StoryQuestion(
                spoken: ("\"What is $i the $l?\" asked $w.", "\"It is the ~o,\" said $q."),
                told: "What was $i the $l? It was the ~o."),
        ],
        closings: [
            "They found everything again and laughed.", "Everything was still there, and they were glad.",
            "Then they all went home for supper.", "It had been a lovely day.",
            "They played the game again the next day.",
        ])

    /// A thief carries things off, and a helper has seen where.
    static let thief = StoryPlot(
        beginnings: [
            "A $t lived near the village and loved shiny things.",
            "But a $t was watching them from the roof.", "That day, a $t came to the village.",
        ],
        facts: [
            "The $t took the ^o from ^p and left it $i the ^l.",
            "The $t took the ^o from ^p and dropped it $i the ^l.",
            "When ^p turned around, the $t took the ^o and hid it $i the ^l.",
        ],
        laterFacts: [
            "Then it took the ^o from ^p and left it $i the ^l.",
            "After that, it took the ^o from ^p and hid it $i the ^l.",
            "It came back, took the ^o from ^p and dropped it $i the ^l.",
        ],
        asides: [
            "\"Stop!\" cried $p.", "$p was very cross.", "$p ran after it, but it was too fast.",
            "How $p cried!",
        ],
        factEndings: [
            "Then the $t was gone.", "The $t thought that this was very funny.",
            "\"We must find our things,\" said $p.",
        ],
        returns: [
            "At last they asked $r for help.", "In the evening, they met $r.",
            "Then $r came to them, and they talked about it all.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"Where is the $o?\" asked $p.", "\"It is $i the ~l,\" said $r."),
                told: "Where was the $o? It was $i the ~l."),
            StoryQuestion(
                spoken: ("\"Who lost the $o?\" asked $r.", "\"It was ~p,\" said $q."),
                told: "Who had lost the $o? It was ~p."),
            StoryQuestion(
                spoken: ("\"What is $i the $l?\" asked $q.", "\"It is the ~o,\" said $r."),
                told: "What was $i the $l? It was the ~o."),
        ],
        closings: [
            "So everybody got everything back.", "They thanked $r and went home.",
            "The $t said sorry and never did it again.", "From then on, they took good care of their things.",
        ])

    /// Guests bring presents for the first person.
    static let birthday = StoryPlot(
        heroTakesPart: false, usesOpenings: false, castSizes: [3, 3, 4, 4, 5],
        askers: StoryVocabulary.family,
        beginnings: [
            "It was the birthday of $b, and $g came to the party.",
            "One $d day, $b had a birthday party. The guests were $g.",
            "$b was very happy, because it was $h birthday and $g were there.",
            "On $h birthday, $b woke up early. Soon $g came to the house.",
        ],
        facts: [
            "^p gave $b $a ^o.", "^p gave $b $a ^o.", "^p had brought $a ^o for $b.",
            "The present from ^p was $a ^o.", "$b opened a box from ^p and found $a ^o.",
        ],
        laterFacts: ["Then ^p gave $b $a ^o.", "And ^p came with $a ^o."],
        asides: [
            "\"Thank you!\" said $b.", "$b had always wanted one.", "It was wrapped in paper.",
            "\"How pretty!\" said $b.",
        ],
        factEndings: ["What fine presents they were!", "Now all the presents were on the table."],
        returns: [
            "In the evening, when the guests had gone, $w came to look at the presents.",
            "After the party, $b sat down with $w.", "Later, $w wanted to hear all about it.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"Who gave you the $o?\" asked $w.", "\"It was ~p,\" said $b."),
                told: "Who gave $b the $o? It was ~p."),
            StoryQuestion(
                spoken: ("\"What did $p give you?\" asked $w.", "\"It was the ~o,\" said $b."),
                told: "What did $p give $b? It was the ~o."),
        ],
        closings: [
            "$b fell asleep with a smile.", "It was the best birthday of all.",
            "$b said thank you to everybody.",
            "Then $b blew out the last candle.",
        ])

    /// Somebody old tells where things are hidden.
    static let secret = StoryPlot(
        isAboutEachPerson: false, castSizes: [2, 2, 3],
        beginnings: [
            "That day an old sailor told them where his treasures were.",
            "They met an old woman who knew where lost things were.",
            "In an old book they found a list of lost treasures.",
            "A letter full of secrets came for them, and $p read it out.",
        ],
        facts: ["The ^o was $i the ^l.", "The ^o was hidden $i the ^l.", "The ^o lay $i the ^l."],
        laterFacts: [
            "And the ^o was $i the ^l.", "But the ^o was $i the ^l.", "The ^o, though, was $i the ^l.",
        ],
        asides: ["They listened well.", "\"Remember that,\" said $p.", "$p nodded."],
        factEndings: [
            "That was all.", "\"Do not forget it,\" said $q.", "They said it over and over again.",
        ],
        returns: [
            "At last they began to search.", "In the evening, they tried to remember the secret.",
            "The next day, they went out to find the treasures.", "Then $p tried to remember everything.",
        ],
        questions: [
            StoryQuestion(
                spoken: ("\"Where is the $o?\" asked $q.", "\"It is $i the ~l,\" said $p."),
                told: "Where was the $o? It was $i the ~l."),
            StoryQuestion(
                spoken: ("\"What is $i the $l?\" asked $q.", "\"It is the ~o,\" said $p."),
                told: "What was $i the $l? It was the ~o."),
        ],
        closings: [
            "And there it was!", "They found it all, just as they had been told.",
            "They kept the secret for ever.",
            "$p and all the others danced with joy.",
        ])
}
