import Foundation
import RetNetStorage
import RetNetStories
import RetNetText
import Testing

@Suite struct StoryGeneratorTests {
    private func stories(_ count: Int, seed: UInt64 = 1, level: StoryLevel = .standard) -> [Story] {
        var generator = StoryGenerator(seed: seed, level: level)
        return (0..<count).map { _ in generator.story() }
    }

    @Test func `the same seed tells the same stories and another seed others`() {
        #expect(stories(20) == stories(20))
        #expect(Set(stories(20) + stories(20, seed: 2)).count == 40)
    }

    @Test func `a restored generator tells the same stories on`() throws {
        var generator = StoryGenerator(seed: 8, fillerSentenceCount: 1...3)
        _ = generator.story()
        var copy = try JSONDecoder().decode(StoryGenerator.self, from: JSONEncoder().encode(generator))
        #expect((0..<5).allSatisfy { _ in copy.story() == generator.story() })
    }

    @Test func `stories of a seed stay as they are on every platform`() {
        var generator = StoryGenerator(seed: 1)
        let text = generator.corpus(byteCount: 20_000).text
        #expect(Checksum.crc32(Data(text.utf8)) == 1_815_582_916)
    }

    @Test(arguments: StoryLevel.allCases)
    func `every recall repeats exactly what the story told before`(level: StoryLevel) {
        var kinds: Set<Recall.Kind> = []
        for story in stories(400, level: level) {
            let bytes = Array(story.text.utf8)
            #expect(!story.recalls.isEmpty)
            for recall in story.recalls {
                #expect(recall.introduction.upperBound <= recall.range.lowerBound)
                #expect(recall.range.upperBound < bytes.count)
                #expect(!recall.range.isEmpty)
                #expect(bytes[recall.range].elementsEqual(bytes[recall.introduction]))
                #expect(recall.distance > (level == .standard ? 50 : 0))
                kinds.insert(recall.kind)
            }
            #expect(story.recalls.map(\.range.lowerBound) == story.recalls.map(\.range.lowerBound).sorted())
        }
        switch level {
        case .basic, .simple: #expect(kinds == [.person, .place, .thing, .color, .petName, .trade])
        case .mixed: #expect(kinds == Set(Recall.Kind.allCases).subtracting([.animal]))
        case .standard: #expect(kinds == Set(Recall.Kind.allCases))
        }
    }

    @Test(arguments: StoryLevel.allCases) func `stories are tidy English sentences`(level: StoryLevel) throws
    {
        let article = /\b[Aa] [aeiou]|\b[Aa]n [^aeiou]/
        let repeated = /\b(\w+) \1\b/
        for story in stories(level == .standard ? 600 : 200, level: level) {
            let text = story.text
            #expect(text.utf8.allSatisfy { $0 == 0x0A || (0x20...0x7E).contains($0) })
            #expect(!text.contains("  ") && !text.contains("\n\n") && !text.contains(" ."))
            #expect(!text.contains { "$^~".contains($0) })
            #expect(text.firstMatch(of: article) == nil)
            #expect(text.firstMatch(of: repeated) == nil)
            #expect(text.filter { $0 == "\"" }.count.isMultiple(of: 2))
            for paragraph in text.split(separator: "\n") {
                #expect(paragraph.first == "\"" || paragraph.first?.isUppercase == true)
                #expect(paragraph.last.map { ".!?\"".contains($0) } == true)
            }
        }
    }

    @Test func `every pattern has the words that it names`() {
        // Missing words stop debug builds; many stories use every pattern.
        #expect(stories(1_500, seed: 77).allSatisfy { $0.text.utf8.count > 200 })
        for level in [StoryLevel.basic, .simple, .mixed] {
            #expect(stories(500, seed: 77, level: level).allSatisfy { $0.text.utf8.count > 200 })
        }
    }

    @Test func `an answer could also be another one that the story names`() {
        // Facts asked for come from stories with at least two, so that guessing is poor.
        var places: Set<String> = []
        for story in stories(300) {
            for recall in story.recalls where recall.kind == .place {
                places.insert(String(decoding: Array(story.text.utf8)[recall.range], as: UTF8.self))
            }
        }
        #expect(places.count > 30)
    }

    @Test(arguments: [StoryLevel.basic, .simple, .mixed])
    func `easier stories ask for every fact several times`(level: StoryLevel) {
        var repeated = 0
        for story in stories(100, level: level) {
            #expect(story.recalls.count >= 2 * 2)
            // The same answer a second time is measured from the first one.
            let starts = Set(story.recalls.map(\.range.lowerBound))
            repeated += story.recalls.count { starts.contains($0.introduction.lowerBound) }
        }
        #expect(repeated > 200)
    }

    @Test func `the number of sentences in between sets the distance`() {
        var near = StoryGenerator(seed: 1, fillerSentenceCount: 0...0)
        var far = StoryGenerator(seed: 1, fillerSentenceCount: 60...60)
        for _ in 0..<20 {
            #expect(near.story().recalls.allSatisfy { $0.distance < 900 })
            #expect(far.story().recalls.allSatisfy { $0.distance > 1_200 })
        }
        var odd = StoryGenerator(seed: 1, fillerSentenceCount: Int.min...(-1))
        #expect(!odd.story().text.isEmpty)
    }

    @Test func `a corpus holds whole stories with ranges in its text`() throws {
        var generator = StoryGenerator(seed: 5)
        let corpus = generator.corpus(byteCount: 50_000)
        let bytes = Array(corpus.text.utf8)
        #expect((50_000..<55_000).contains(bytes.count))
        #expect(corpus.documentRanges.count > 50)
        for recall in corpus.recalls {
            #expect(bytes[recall.range].elementsEqual(bytes[recall.introduction]))
        }
        let stream = try corpus.tokenStream(tokenizer: ByteTokenizer())
        #expect(stream.documentCount == corpus.documentRanges.count)
        let first = try stream.tokens(in: stream.range(ofDocument: 0))
        #expect(first.dropFirst().elementsEqual(bytes[corpus.documentRanges[0]].map { Int32($0) }))
        #expect(generator.corpus(byteCount: 0).documentRanges.count == 1)
    }
}
