/// The words that fill the places of sentence patterns.
enum StoryVocabulary {
    static let people: [StoryPerson] =
        words(
            """
            Mira Anna Lily Rosa Ella Nora Ivy Ada Mia Tess June Clara Ruth Zoe Emma Hana Lucy Kate Alma Vera
            """
        ).map { StoryPerson(name: $0, isFemale: true) }
        + words(
            """
            Tom Ben Sam Max Leo Jack Finn Oscar Hugo Noah Adam Theo Luke Omar Peter Karl Nils Toby Amir Dan
            """
        ).map { StoryPerson(name: $0, isFemale: false) }

    static let colors = words(
        "red blue green yellow white black silver golden orange purple pink brown")

    /// Colors that follow the article "a".
    static let consonantColors = colors.filter { $0 != "orange" }

    static let nouns = words(
        """
        key ball kite drum lantern whistle book cup hat shell bell button coin mirror map boat doll flute
        box ring feather scarf spoon basket umbrella mask
        """)

    static let places: [StoryPlace] =
        list(
            """
            hollow tree, garden shed, hay loft, tall grass, secret cave, boat house, wheat field, wood pile,
            horse stable, rose garden
            """, "in", isOutdoors: true)
        + list("old well, toy box, flower pot, dark cellar, clay jar, attic room", "in", isOutdoors: false)
        + list(
            "stone bridge, apple tree, wooden steps, big rock, park bench, holly bush", "under",
            isOutdoors: true)
        + list("kitchen table, straw mat", "under", isOutdoors: false)
        + list(
            "big barn, garden wall, water mill, school gate, church tower, village shop, tall fence",
            "behind",
            isOutdoors: true)
        + list("duck pond, mill stream, iron pump, old oak, lighthouse", "beside", isOutdoors: true)
        + list("sandy beach, high hill, flat roof", "on", isOutdoors: true)
        + list("window sill, top shelf", "on", isOutdoors: false)

    /// Places in one word, all of which things can be in.
    static let shortPlaces = words(
        """
        barn well cave shed cellar tower mill forest garden attic kitchen stable meadow harbor tent cabin tunnel castle
        chapel barrel chest oven nest wagon
        """)

    /// Dishes in one word.
    static let shortDishes = words(
        "soup cake bread pie jam stew salad jelly pudding porridge tart omelet sauce butter cheese toast")

    static let animals = words(
        """
        fox hen goat duck cat pony owl hedgehog rabbit goose lamb frog mouse squirrel crow swan donkey turtle
        otter badger
        """)

    /// Animals that no fact is about.
    static let passers = words("puppy kitten sheep cow calf dog piglet chicken")
    static let smallAnimals = words("pigeon sparrow butterfly snail robin bee beetle ladybird kitten dog")

    static let petNames = words(
        """
        Dot Pip Bramble Snowy Biscuit Tiger Pepper Daisy Bubbles Socks Ginger Moss Sunny Clover Patch Nibbles
        Rusty Toffee Shadow Plum
        """)

    static let dishes = phrases(
        """
        plum cake, bean soup, apple pie, carrot stew, honey bread, cherry tart, potato salad, pea soup,
        nut cake, lemon jelly, corn bread, fish pie, berry jam, cheese tart, onion soup, rice pudding,
        pear tart, mushroom pie
        """)

    static let paintedThings = words(
        "gate door fence boat chair table bench bridge wall roof cart box bed swing ladder cupboard")

    static let trades = words(
        """
        baker sailor farmer doctor painter teacher singer gardener pilot builder dancer shepherd miller
        fisher tailor clown
        """)

    static let family = phrases("Grandma, Grandpa, Mother, Father, Aunt Polly, Uncle Fred")
    static let neighbors = family + phrases("the teacher, the farmer, the postman, the gardener")

    static let weather = words("sunny windy cold warm bright quiet cloudy misty fine grey")
    static let feelings = phrases(
        "happy, sleepy, brave, proud, a little tired, very hungry, curious, calm, lucky, cheerful")
    static let looks = words("small fat brown sleepy funny noisy happy shy curious tiny")
    static let snacks = phrases(
        """
        bread and cheese, warm buns, cold milk, ripe pears, sweet grapes, crackers, nuts and raisins,
        pancakes, fresh cherries, roast chestnuts
        """)
    static let numbers = words("two three four five six seven eight nine ten twelve")
    static let meetingPlaces = phrases(
        "village square, park, yard, lane, meadow, kitchen, market, school hall")

    private static func words(_ text: String) -> [String] {
        text.split { $0 == " " || $0 == "\n" }.map(String.init)
    }

    private static func phrases(_ text: String) -> [String] {
        text.split(separator: ",").map { $0.split { $0 == " " || $0 == "\n" }.joined(separator: " ") }
    }

    private static func list(_ names: String, _ preposition: String, isOutdoors: Bool) -> [StoryPlace] {
        phrases(names).map { StoryPlace(preposition: preposition, name: $0, isOutdoors: isOutdoors) }
    }
}

/// The sentence patterns that any story may use.
enum StorySentences {
    static let openings = [
        "One $d morning, $g went out together.",
        "One $d afternoon, $g met in the $e.",
        "It was a $d day, and $g were together.",
        "Once upon a time there were $u friends called $g.",
        "$g were good friends.",
        "Long ago, $g lived in a little village by the sea.",
        "$g had a whole day with nothing to do.",
        "It was a $d Sunday, and $g were awake early.",
        "On a $d day in spring, $g sat on the steps.",
        "$g lived in the same street.",
    ]

    /// Sentences between facts and questions, without influence on any fact.
    static let fillers = [
        "A soft rain began to fall, but it soon stopped.",
        "The wind blew, and the clouds moved fast.",
        "The sun came out, and everything was warm.",
        "It grew a little colder.",
        "A rainbow stood over the hills.",
        "Far away, a clock struck $u.",
        "The leaves moved in the wind.",
        "Then it was quiet for a while.",
        "They shared some $f.",
        "$p ate some $f and felt better.",
        "$p was hungry, so they had some $f.",
        "\"I am hungry,\" said $p. \"Me too,\" said $q.",
        "\"Would you like some $f?\" asked $p. \"Yes, please,\" said $q.",
        "A $x $n ran past.",
        "A $x $n came up to $p and looked at $h shoes.",
        "A $x $n walked right behind them.",
        "They watched a $x $v for a while.",
        "\"Look at that $x $v!\" said $p.",
        "\"That cloud looks like a $v,\" said $p.",
        "$p sang a song about a $x $v.",
        "$p told a long story about a $v, and everybody laughed.",
        "$p counted $u birds in the sky.",
        "$p ran so fast that $q could not keep up.",
        "\"Wait for me!\" called $q, and $p waited.",
        "\"Let us have a race,\" said $p, and off they ran.",
        "$p fell over, but $s did not cry.",
        "$p felt $e.",
        "$p felt $e, and so did $q.",
        "\"I feel $e today,\" said $p.",
        "\"Are you $e?\" asked $q. \"Yes, I am,\" said $p.",
        "$q laughed so much that $p had to laugh too.",
        "$p and $q jumped over puddles.",
        "$p and $q sat side by side and did not say a word.",
        "$p threw a stone into the water, and it made a big splash.",
        "$p looked at the sky and thought about the sea.",
        "$p took off $h shoes and walked in the grass.",
        "$q knew a joke about a $v, but $p knew it already.",
        "They picked $u flowers by the path.",
        "They made $u boats out of paper.",
        "They danced until they were out of breath.",
        "They played tag, and $p won $u times.",
        "They sang all the songs they knew.",
        "A man came by with a cart and waved.",
        "A woman on a bicycle said hello.",
        "An old man asked them the way, and $p showed him.",
        "Because the day was so long, $p had a short sleep.",
        "When $p yawned, $q yawned too.",
        "Although $p was tired, $s wanted to go on.",
        "\"What is that noise?\" asked $q. It was only a $v.",
        "\"I like days like this,\" said $p.",
    ]
}
