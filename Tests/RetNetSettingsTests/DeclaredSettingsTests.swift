import RetNetSettings
import Testing

private enum Kind: String, CaseIterable {
    case adam
    case adafactor
}

private struct Bounds: DeclaredSettings, Equatable {
    var low = 0.0
    var high = 1.0
    static let standard = Bounds()
    static var declarations: [Setting<Self>] {
        [
            .double("low", \.low, "Lower bound."),
            .double("high", \.high, in: SettingsRange.positive, "Upper bound."),
        ]
    }
    func reportContradictions(to reader: SettingsReader) {
        if low > high { reader.reportContradiction("low", "it must not exceed 'high'") }
    }
}

private struct Part: DeclaredSettings, Equatable {
    var name = ""
    static let standard = Part()
    static var declarations: [Setting<Self>] { [.string("name", \.name, isRequired: true, "Name.")] }
}

private struct Recipe: DeclaredSettings, Equatable {
    var steps = 100
    var seed: Int?
    var rate = 3e-4
    var limit: Double?
    var isFast = false
    var isLoud: Bool?
    var title = "run"
    var note: String?
    var kind = Kind.adam
    var fallback: Kind?
    var betas = [0.9, 0.98]
    var sizes = [1, 2]
    var files: [String] = []
    var epsilon = 1e-8
    var clip = 1.0
    var chunk: Int? = 64
    var bounds = Bounds()
    var extra: Bounds?
    var parts: [Part] = []

    static let standard = Recipe()
    static var declarations: [Setting<Self>] {
        [
            .int("steps", \.steps, in: 1...1000, isRequired: true, "Steps."),
            .int("seed", \.seed, in: 0...Int.max, "Seed."),
            .double("rate", \.rate, in: SettingsRange.positive, "Learning rate."),
            .double("limit", \.limit, "Limit."),
            .bool("fast", \.isFast, "Speed."),
            .bool("loud", \.isLoud, "Volume."),
            .string("title", \.title, "Title."),
            .string("note", \.note, "Note."),
            .choice("kind", \.kind, "Optimizer."),
            .choice("fallback", \.fallback, "Second optimizer."),
            .doubles("betas", \.betas, in: SettingsRange.belowOne, count: 2...2, "Betas."),
            .ints("sizes", \.sizes, in: 1...9, "Sizes."),
            .strings("files", \.files, "Files."),
            Setting.double("epsilon", \.epsilon, "Epsilon.").when("kind: adam", { $0.kind == .adam }),
            Setting.double("clip", \.clip, "Clipping.")
                .when("kind: adafactor", { $0.kind == .adafactor }, otherwise: "only 'adafactor' clips"),
            .parsed(
                "form", \.chunk, values: "'whole' or 'chunk:N'", "Form.",
                parse: { text in
                    if text == "whole" { return .some(nil) }
                    guard text.hasPrefix("chunk:") else { return nil }
                    return Int(text.dropFirst(6)).map { .some($0) }
                }, text: { $0.map { "chunk:\($0)" } ?? "whole" }),
            .object("bounds", \.bounds),
            .object("extra", \.extra),
            .objects("parts", \.parts),
        ]
    }
}

private struct Composite: DeclaredSettings, Equatable {
    var bounds = Bounds()
    var width = 4
    var doubled = 8
    var unit = "s"

    static let standard = Composite()
    static var declarations: [Setting<Self>] {
        Setting.inline(\.bounds) + [
            .int("width", \.width, in: 1...9, "Width."),
            .int("doubled", \.doubled, default: { 2 * $0.width }, "Twice the width."),
            .group("time", [Setting.string("unit", \.unit, "Unit.").writtenWhen { $0.unit != "s" }]),
        ]
    }
}

struct DeclaredSettingsTests {
    private func read(_ yaml: String) throws -> Recipe {
        let reader = try SettingsDocument(yaml: yaml, sourceName: "run.yaml").reader
        let recipe = Recipe(reading: reader)
        try reader.finish()
        return recipe
    }

    private func problems(_ yaml: String) -> [String] {
        do {
            _ = try read(yaml)
            return []
        } catch let error as SettingsError {
            return error.problems.map(\.description)
        } catch {
            return ["\(error)"]
        }
    }

    @Test func `settings that are not given keep their defaults`() throws {
        #expect(try read("steps: 100") == Recipe())
    }

    @Test func `all kinds of settings are read`() throws {
        let recipe = try read(
            """
            steps: 1e2
            seed: 7
            rate: 1
            limit: -2.5
            fast: true
            loud: false
            title: other
            note: text
            kind: adafactor
            fallback: adam
            betas: [0, 0.5]
            sizes: [9]
            files: one.txt
            clip: 2
            form: whole
            bounds: {low: 0.5}
            extra: {high: 3}
            parts: [{name: a}, {name: b}]
            """)
        var expected = Recipe()
        (expected.seed, expected.rate, expected.limit) = (7, 1, -2.5)
        (expected.isFast, expected.isLoud, expected.title, expected.note) = (true, false, "other", "text")
        (expected.kind, expected.fallback) = (.adafactor, .adam)
        (expected.betas, expected.sizes, expected.files) = ([0, 0.5], [9], ["one.txt"])
        (expected.clip, expected.chunk) = (2, nil)
        expected.bounds.low = 0.5
        expected.extra = Bounds(low: 0, high: 3)
        expected.parts = [Part(name: "a"), Part(name: "b")]
        #expect(recipe == expected)
        // What is written reads back as the same value.
        let reader = SettingsReader(recipe.settings)
        #expect(Recipe(reading: reader) == recipe)
        try reader.finish()
        #expect(recipe.problems().isEmpty)
    }

    @Test func `settings are read over a given base`() throws {
        var base = Recipe()
        (base.rate, base.bounds.low) = (0.5, -1)
        let reader = try SettingsDocument(yaml: "steps: 3\nbounds: {high: 2}").reader
        let recipe = Recipe(reader, over: base)
        try reader.finish()
        #expect(recipe.steps == 3)
        #expect(recipe.rate == 0.5)
        #expect(recipe.bounds == Bounds(low: -1, high: 2))
        #expect(Recipe(nil, over: base) == base)
    }

    @Test func `null reads like a setting that is not given`() throws {
        #expect(try read("steps: 100\nseed: null\nrate: ~\nextra: null\nparts: null") == Recipe())
    }

    @Test(arguments: [
        ("", "steps: missing; it must be an integer from 1 to 1000"),
        ("steps: 0", "steps: found the number 0, but it must be an integer from 1 to 1000"),
        ("steps: x", "steps: found the text 'x', but it must be an integer from 1 to 1000"),
        ("steps: '3'", "steps: found the text '3', but it must be an integer from 1 to 1000, without quotes"),
        ("steps: 1\nrate: 0", "rate: found the number 0, but it must be a number greater than 0"),
        ("steps: 1\nfast: 1", "fast: found the number 1, but it must be true or false"),
        (
            "steps: 1\ntitle: 3",
            "title: found the number 3, but it must be a text; put it in quotes if it looks like something else"
        ),
        (
            "steps: 1\nkind: adm",
            "kind: found the text 'adm', but it must be one of 'adam', 'adafactor'; did you mean 'adam'?"
        ),
        ("steps: 1\nbetas: [0.9]", "betas: found a list of 1, but it must be a list of 2 numbers"),
        (
            "steps: 1\nbetas: [0.9, 1]",
            "betas[1]: found the number 1, but it must be a number at least 0 and less than 1"
        ),
        ("steps: 1\nsizes: [10]", "sizes[0]: found the number 10, but it must be an integer from 1 to 9"),
        ("steps: 1\nform: half", "form: found the text 'half', but it must be 'whole' or 'chunk:N'"),
        ("steps: 1\nstep: 1", "step: unknown setting; did you mean 'steps'?"),
        ("steps: 1\nbounds: 3", "bounds: found the number 3, but it must be an object"),
        ("steps: 1\nbounds: {lwo: 3}", "bounds.lwo: unknown setting; did you mean 'low'?"),
        ("steps: 1\nbounds: {low: 3}", "bounds.low: found the number 3, but it must not exceed 'high'"),
        ("steps: 1\nparts: {}", "parts: found an empty object, but it must be a list of objects"),
        ("steps: 1\nparts: [{}]", "parts[0].name: missing; it must be a text"),
    ])
    func `wrong settings are refused with what is allowed`(yaml: String, problem: String) {
        #expect(problems(yaml) == [problem])
    }

    @Test func `a condition makes a name unknown, or a contradiction where there is a refusal`() throws {
        let unknown = problems("steps: 1\nkind: adafactor\nepsilon: 1")
        #expect(unknown.count == 1)
        #expect(unknown.first?.hasPrefix("epsilon: unknown setting") == true)
        #expect(problems("steps: 1\nclip: 2") == ["clip: found the number 2, but only 'adafactor' clips"])
        #expect(try read("steps: 1\nkind: adam\nepsilon: 1").epsilon == 1)
        #expect(Recipe().settings.object?["epsilon"] != nil)
        #expect(Recipe().settings.object?["clip"] == nil)
    }

    @Test func `contradictions are reported only where each setting alone is right`() {
        #expect(
            problems("steps: 1\nbounds: {low: 3, high: 0}") == [
                "bounds.high: found the number 0, but it must be a number greater than 0"
            ])
    }

    @Test func `settings are written in the order of their declarations`() {
        let keys = Recipe().settings.object?.keys
        #expect(
            keys == [
                "steps", "rate", "fast", "title", "kind", "betas", "sizes", "files", "epsilon", "form",
                "bounds", "parts",
            ])
    }

    @Test func `the reference has one row per setting`() {
        let rows = Recipe.settingsRows
        #expect(
            rows.map(\.path) == [
                "steps", "seed", "rate", "limit", "fast", "loud", "title", "note", "kind", "fallback",
                "betas", "sizes", "files", "epsilon", "clip", "form", "bounds.low", "bounds.high",
                "extra.low", "extra.high", "parts[].name",
            ])
        #expect(rows[0].defaultText == nil)
        #expect(rows[1].defaultText == nil)
        #expect(
            rows[2]
                == SettingsRow(
                    path: "rate", values: "a number greater than 0", defaultText: "0.0003",
                    help: "Learning rate."))
        #expect(rows[8].values == "one of 'adam', 'adafactor'")
        #expect(rows[10].defaultText == "[0.9, 0.98]")
        #expect(rows[13].condition == "kind: adam")
        #expect(rows[15].defaultText == "\"chunk:64\"")
        #expect(rows[17].path == "bounds.high")
    }

    @Test func `parts, groups and dependent defaults are read, written and listed`() throws {
        func read(_ yaml: String) throws -> Composite {
            let reader = try SettingsDocument(yaml: yaml).reader
            let value = Composite(reading: reader)
            try reader.finish()
            return value
        }
        let value = try read("low: 0.5\nwidth: 3\ntime: {unit: min}")
        #expect(value == Composite(bounds: Bounds(low: 0.5, high: 1), width: 3, doubled: 6, unit: "min"))
        #expect(try read("width: 3\ndoubled: 5").doubled == 5)
        #expect(
            Composite().settings == ["low": 0.0, "high": 1.0, "width": 4, "doubled": 8, "time": [:]])
        #expect(value.settings.value(at: "time.unit") == "min")
        #expect(Composite.settingsRows.map(\.path) == ["low", "high", "width", "doubled", "time.unit"])
        #expect(Composite.settingsRows[3].defaultText == nil)
        #expect(Composite.settingsRows[4].defaultText == nil)
        let error = #expect(throws: SettingsError.self) { try read("time: {unti: x}") }
        #expect(error?.problems.map(\.description) == ["time.unti: unknown setting; did you mean 'unit'?"])
    }
}
