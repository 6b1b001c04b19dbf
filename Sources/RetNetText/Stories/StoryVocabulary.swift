/// The words of the stories, other than those of the sentence patterns.
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

    static let colours = words(
        "red blue green yellow white black silver golden orange purple pink brown")

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

    static let animals = words(
        """
        fox hen goat duck cat pony owl hedgehog rabbit goose lamb frog mouse squirrel crow swan donkey turtle
        otter badger
        """)

    /// Animals that only pass by, so that they are never asked for.
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
    static let neighbours = family + phrases("the teacher, the farmer, the postman, the gardener")

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
