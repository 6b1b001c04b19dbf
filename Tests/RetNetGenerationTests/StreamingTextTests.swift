import Foundation
import RetNetGeneration
import RetNetText
import Testing

@Suite struct StreamingTextTests {
    @Test("characters come out whole, whatever the pieces", arguments: 1...5)
    func wholeCharacters(pieceLength: Int) {
        let text = "a\u{e9}\u{20ac}\u{1f600}z"
        let bytes = Array(text.utf8)
        var stream = StreamingText()
        var result = ""
        for start in stride(from: 0, to: bytes.count, by: pieceLength) {
            let piece = stream.append(bytes[start..<min(bytes.count, start + pieceLength)])
            #expect(!piece.unicodeScalars.contains("\u{fffd}"))
            result += piece
        }
        #expect(result + stream.finish() == text)
    }

    @Test("an incomplete character at the end becomes the replacement character")
    func incomplete() {
        var stream = StreamingText()
        #expect(stream.append([0x61, 0xE2, 0x82]) == "a")
        #expect(stream.heldBytes == [0xE2, 0x82])
        #expect(stream.finish() == "\u{fffd}")
        #expect(stream.heldBytes.isEmpty)
    }

    @Test("a stop string is found across pieces and never given out", arguments: 1...6)
    func stopAcrossPieces(pieceLength: Int) {
        let bytes = Array("one STO two STOP three".utf8)
        var stream = StreamingText(stopStrings: ["STOP", "never"])
        var result = ""
        for start in stride(from: 0, to: bytes.count, by: pieceLength) {
            result += stream.append(bytes[start..<min(bytes.count, start + pieceLength)])
        }
        #expect(result + stream.finish() == "one STO two ")
        #expect(stream.stopString == "STOP")
    }

    @Test("only what may become a stop string is held back")
    func holdsLittle() {
        var stream = StreamingText(stopStrings: ["\n\n"])
        #expect(stream.append(Array("a\n".utf8)) == "a")
        #expect(stream.append(Array("b".utf8)) == "\nb")
        #expect(stream.append(Array("\n".utf8)) == "")
        #expect(stream.finish() == "\n")
        #expect(stream.stopString == nil)
    }

    @Test("the stop string that is complete first wins, and overlapping starts are not lost")
    func earliest() {
        var stream = StreamingText(stopStrings: ["cd", "bcx", "aab"])
        #expect(stream.append(Array("aaab rest".utf8)) == "a")
        #expect(stream.stopString == "aab")
        #expect(stream.append(Array("more".utf8)) == "")
        var other = StreamingText(stopStrings: ["cd", "bcx"])
        #expect(other.append(Array("abcd".utf8)) == "ab")
        #expect(other.stopString == "cd")
    }

    @Test("a stop string of several bytes a character is found")
    func wideStop() {
        var stream = StreamingText(stopStrings: ["\u{20ac}"])
        var result = ""
        for byte in Array("5\u{20ad}7\u{20ac}9".utf8) { result += stream.append([byte]) }
        #expect(result == "5\u{20ad}7")
    }

    @Test("a stream that is given the held bytes goes on as the first would have")
    func resuming() {
        let stops = ["STOP", "\u{20ac}\u{20ac}"]
        let bytes = Array("x\u{20ac}y\u{e9}ST\u{20ac}\u{1f600}STOP!".utf8)
        for cut in 0...bytes.count {
            var first = StreamingText(stopStrings: stops)
            var text = first.append(bytes[..<cut])
            guard first.stopString == nil else { continue }
            var second = StreamingText(stopStrings: stops)
            text += second.append(first.heldBytes)
            text += second.append(bytes[cut...])
            #expect(text == "x\u{20ac}y\u{e9}ST\u{20ac}\u{1f600}")
            #expect(second.stopString == "STOP")
        }
    }

    @Test("random texts come out as searching the whole text says")
    func randomTexts() {
        var generator = SeededGenerator(seed: 9)
        let alphabet = Array("ab\u{e9}".utf8)
        for _ in 0..<500 {
            let bytes = (0..<generator.integer(in: 0...30)).map { _ in
                alphabet[generator.integer(below: alphabet.count)]
            }
            let stops = (0..<2).map { _ in
                String((0..<generator.integer(in: 1...4)).map { _ in generator.chance(0.5) ? "a" : "b" })
            }
            var stream = StreamingText(stopStrings: stops)
            var text = ""
            for byte in bytes { text += stream.append([byte]) }
            text += stream.finish()
            var kept = bytes[...]
            search: for end in 0...bytes.count {
                for stop in stops.map({ Array($0.utf8) }).sorted(by: { $0.count > $1.count })
                where bytes[..<end].suffix(stop.count).elementsEqual(stop) {
                    kept = bytes[..<(end - stop.count)]
                    break search
                }
            }
            #expect(text == String(decoding: kept, as: UTF8.self))
        }
    }
}
