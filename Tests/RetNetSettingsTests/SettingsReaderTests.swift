import Foundation
import RetNetSettings
import Testing

private enum Schedule: String, CaseIterable {
    case constant
    case linearDecay = "linear_decay"
    case cosine
}

struct SettingsReaderTests {
    private func error(_ yaml: String, _ read: (SettingsReader) -> Void) throws -> SettingsError? {
        let reader = try SettingsDocument(yaml: yaml, sourceName: "run.yaml").reader
        read(reader)
        do {
            try reader.finish()
            return nil
        } catch let error as SettingsError {
            return error
        }
    }

    @Test func `values of the right type are read`() throws {
        let text = """
            layers: 6
            steps: 1e3
            rate: 3e-4
            whole: 2
            flag: true
            name: run
            schedule: linear_decay
            betas: [0.9, 1]
            sizes: [1, 2]
            data: one.txt
            optimizer: {clip: 2.0}
            parts: [{x: 1}, {x: 2}]
            nothing: null
            """
        let error = try error(text) { reader in
            #expect(reader.int("layers", in: 1...10) == 6)
            #expect(reader.int("steps") == 1000)
            #expect(reader.double("rate", in: SettingsRange.positive) == 3e-4)
            #expect(reader.double("whole") == 2)
            #expect(reader.bool("flag"))
            #expect(reader.string("name") == "run")
            #expect(reader.enumeration("schedule", Schedule.self) == .linearDecay)
            #expect(reader.doubles("betas", in: 0...1, count: 2...2) == [0.9, 1])
            #expect(reader.ints("sizes") == [1, 2])
            #expect(reader.strings("data") == ["one.txt"])
            #expect(reader.object("optimizer").double("clip") == 2)
            #expect(reader.objects("parts").map { $0.int("x") } == [1, 2])
            #expect(reader.optionalObject("none") == nil)
            #expect(reader.int("nothing", default: 7) == 7)
            #expect(reader.optionalInt("absent") == nil)
            #expect(reader.enumeration("absent", default: Schedule.cosine) == .cosine)
        }
        #expect(error == nil)
    }

    @Test func `all problems are listed at once with their lines`() throws {
        let text = """
            layers: twelve
            rate: .nan
            optimizer:
              lerning_rate: 1
              schedule: linear_deacy
              betas: [0.9, 1.5]
            flag: yes
            """
        let error = try error(text) { reader in
            _ = reader.int("layers", in: 1...10_000)
            _ = reader.double("rate")
            _ = reader.bool("flag")
            _ = reader.string("name")
            let optimizer = reader.object("optimizer")
            _ = optimizer.double("learning_rate", in: SettingsRange.positive, default: 1e-3)
            _ = optimizer.enumeration("schedule", Schedule.self)
            _ = optimizer.doubles("betas", in: SettingsRange.belowOne)
        }
        let expected = """
            run.yaml: 7 problems
              line 1, column 1: layers: found the text 'twelve', but it must be an integer from 1 to 10000
              line 2, column 1: rate: found the number nan, but it must be a finite number
              line 7, column 1: flag: found the text 'yes', but it must be true or false
              name: missing; it must be a text
              line 5, column 3: optimizer.schedule: found the text 'linear_deacy', but it must be one of 'constant', \
            'linear_decay', 'cosine'; did you mean 'linear_decay'?
              line 6, column 16: optimizer.betas[1]: found the number 1.5, but it must be a number at least 0 and less \
            than 1
              line 4, column 3: optimizer.lerning_rate: unknown setting; did you mean 'learning_rate'?
            """
        #expect(error?.description == expected)
        #expect(error?.errorDescription == expected)
    }

    @Test(arguments: ["'12'", "1.5", "true", "[1]", "{a: 1}", "1e300", ".inf", "9223372036854775808", "x"])
    func `only integers count as integers`(value: String) throws {
        let error = try error("n: \(value)") { _ = $0.int("n") }
        #expect(error?.problems.count == 1)
        #expect(error?.problems.first?.kind == .wrongValue)
    }

    @Test func `a number in quotes is explained`() throws {
        let error = try error("n: '12'\nx: '1e-3'") { reader in
            _ = reader.int("n")
            _ = reader.double("x")
        }
        #expect(error?.problems.allSatisfy { $0.allowed.hasSuffix("without quotes") } == true)
    }

    @Test func `ranges are described in words`() throws {
        let error = try error("a: 0\nb: 0\nc: 1\nd: -1\ne: 9\nf: 5") { reader in
            _ = reader.double("a", in: SettingsRange.positive)
            _ = reader.double("b", in: SettingsRange.positiveFraction)
            _ = reader.double("c", in: SettingsRange.belowOne)
            _ = reader.double("d", in: SettingsRange.nonNegative)
            _ = reader.double("e", in: 0.5...2.5)
            _ = reader.int("f", in: 6...Int.max)
        }
        #expect(
            error?.problems.map(\.allowed) == [
                "a number greater than 0", "a number greater than 0 and at most 1",
                "a number at least 0 and less than 1", "a number at least 0",
                "a number at least 0.5 and at most 2.5", "an integer of at least 6",
            ])
    }

    @Test func `a missing or wrong object is one problem, not one for every setting in it`() throws {
        let error = try error("b: 3\nlist: 4\nitems: [1]") { reader in
            for name in ["a", "b"] {
                let inner = reader.object(name)
                #expect(inner.isAbsent)
                #expect(inner.int("x", in: 1...5) == 1)
                #expect(inner.enumeration("e", Schedule.self) == .constant)
                #expect(inner.object("deeper").string("y") == "")
                #expect(inner.hasProblems)
            }
            #expect(reader.objects("list").isEmpty)
            #expect(reader.objects("items").count == 1)
        }
        #expect(error?.problems.map(\.path) == ["a", "b", "list", "items[0]"])
    }

    @Test func `an object that is read twice is one object`() throws {
        let error = try error("a: {x: 1, y: 2}\nb: 3") { reader in
            _ = reader.object("a").int("x")
            _ = reader.object("a").int("y")
            _ = reader.object("b")
            _ = reader.optionalObject("b")
        }
        #expect(error?.problems.map(\.path) == ["b"])
    }

    @Test func `only objects with problems report them`() throws {
        _ = try error("good: {x: 1}\nbad: {x: y}\nbad2: {x: 1}") { reader in
            let good = reader.object("good")
            let bad = reader.object("bad")
            let similar = reader.object("bad2")
            for part in [good, bad, similar] { _ = part.int("x") }
            #expect(!good.hasProblems)
            #expect(bad.hasProblems)
            #expect(!similar.hasProblems)
            #expect(reader.hasProblems)
        }
    }

    @Test(arguments: [
        ("learning-rate", "learning_rate"), ("learningRate", "learning_rate"), ("warmpu", "warmup"),
        ("completely_different", nil), ("x", nil), ("---", nil),
    ])
    func `unknown names come with the name that was probably meant`(given: String, meant: String?) throws {
        let error = try error("\"\(given)\": 1") { reader in
            _ = reader.optionalDouble("learning_rate")
            _ = reader.optionalInt("warmup")
        }
        #expect(error?.problems.first?.kind == .unknownKey)
        #expect(error?.problems.first?.suggestion == meant)
        if meant == nil { #expect(error?.description.contains("known here: learning_rate, warmup") == true) }
    }

    @Test func `contradictions have a text of their own`() throws {
        let error = try error("a: 3") { reader in
            _ = reader.int("a")
            reader.reportContradiction("a", "4 heads cannot share 3 keys; choose 1, 2 or 4")
        }
        #expect(
            error?.description
                == "run.yaml: line 1, column 1: a: found the number 3, but 4 heads cannot share 3 keys;"
                + " choose 1, 2 or 4")
    }

    @Test func `an empty document reads like an empty object and a list does not`() throws {
        let empty = try error("") { _ = $0.int("a", default: 1) }
        #expect(empty == nil)
        let list = try error("[1]") { _ = $0.int("a", default: 1) }
        #expect(list?.problems.count == 1)
    }
}
