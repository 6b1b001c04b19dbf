import Foundation
import RetNetModels
import RetNetSettings
import RetNetStorage
import RetNetTestSupport
import RetNetText
import RetNetTorch
import Testing

@testable import RetNetCheckpoints

/// Whatever happens to a folder of another project, it loads and runs, or is refused with a message.
///
/// `RETNET_FUZZ_ROUNDS` changes the number of rounds for each folder.
@Suite struct ForeignFolderFuzzTests {
    private static let rounds =
        ProcessInfo.processInfo.environment["RETNET_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 8

    /// A kind of error that a user can act on; others are mistakes of this package.
    private static func isExpected(_ error: any Error) -> Bool {
        switch error {
        case DialectError.incomplete: false
        case is DialectError, is SettingsError, is CheckpointError, is StorageError: true
        default: false
        }
    }

    @Test(arguments: DialectFixture.all)
    func `Damaged folders are loaded and run, or refused`(name: String) throws {
        let folder = try TemporaryFolder()
        let path = folder.path("source")
        try FileManager.default.copyItem(atPath: DialectFixture.path(name), toPath: path)
        try FileManager.default.removeItem(atPath: path + "/expected.safetensors")
        let original = try DamagedFolder(path)
        var generator = SeededGenerator(seed: UInt64(name.utf8.reduce(7) { $0 &* 31 &+ Int($1) }.magnitude))
        var refused = 0
        for round in 0..<Self.rounds {
            var damaged = original
            var done = [damaged.damage(&generator)]
            if generator.integer(below: 3) == 0 { done.append(damaged.damage(&generator)) }
            try damaged.write(to: path)
            do {
                let model = try ModelFolder.load(path, sharesFiles: round % 2 == 0).model
                try run(model)
                try CheckpointConversion(path: path).check()
            } catch {
                refused += 1
                #expect(
                    Self.isExpected(error) && !"\(error)".isEmpty,
                    "round \(round), \(done): \(type(of: error)) \(error)")
            }
        }
        // A few rounds may all hit what has no effect.
        #expect(refused >= Self.rounds / 16)
        try original.write(to: path)
        _ = try ModelFolder.load(path)
    }

    /// Computes a few logits, where the sizes are still small.
    private func run(_ model: LanguageModel) throws {
        let c = model.configuration
        guard model.parameters.parameterCount < 1 << 16, c.positionCount != 1 else {
            return
        }
        try withoutGradients {
            let tokens = try Tensor.from([Int64(0), Int64(c.vocabularySize - 1)], [1, 2])
            let logits = try model(
                tokens, form: model.unsupportedReason(for: .parallel) == nil ? .parallel : .recurrent
            )
            .logits
            #expect(logits.shape == [1, 2, c.vocabularySize])
        }
    }

    @Test func `Damaged files of PyTorch are loaded or refused`() throws {
        let folder = try TemporaryFolder()
        let original = try readBytes(DialectFixture.folder + "/../dialects-pytorch/torchscale-fairseq.pt")
        var generator = SeededGenerator(seed: 77)
        for round in 0..<4 * Self.rounds {
            let bytes = DamagedFolder.damaged(original, &generator)
            // The directory of the archive and the pickle lie at the ends.
            try writeBytes(bytes, to: folder.path("model.pt"))
            do {
                _ = try ModelFolder.load(folder.path("model.pt"), sharesFiles: round % 2 == 0)
            } catch {
                #expect(Self.isExpected(error), "round \(round): \(type(of: error)) \(error)")
            }
        }
    }
}

/// The files of a checkpoint in memory, to be damaged.
private struct DamagedFolder {
    private var fields: SettingsObject
    private var config: [UInt8]?
    private var files: [String: [UInt8]] = [:]

    init(_ path: String) throws {
        fields = try #require(
            SettingsTree(json: String(contentsOfFile: path + "/config.json", encoding: .utf8)).object)
        for name in try FileManager.default.contentsOfDirectory(atPath: path) where name != "config.json" {
            files[name] = try readBytes(path + "/" + name)
        }
    }

    func write(to path: String) throws {
        for (name, bytes) in files { try writeBytes(bytes, to: path + "/" + name) }
        try writeBytes(
            config ?? Array(SettingsTree.object(fields).jsonText().utf8), to: path + "/config.json")
    }

    /// Makes one change and says what it was.
    mutating func damage(_ generator: inout SeededGenerator) -> String {
        switch generator.integer(below: 10) {
        case 0...5: return damageField(&generator)
        case 6, 7: return damageHeader(&generator)
        case 8:
            let name = anyFile(&generator)
            files[name] = Self.damaged(files[name] ?? [], &generator)
            return "bytes of \(name)"
        default:
            var text = Array(((try? SettingsTree.object(fields).jsonText()) ?? "").utf8)
            text = Self.damaged(text, &generator)
            config = text
            return "bytes of config.json"
        }
    }

    private func anyFile(_ generator: inout SeededGenerator) -> String {
        let names = files.keys.sorted()
        return names[generator.integer(below: names.count)]
    }

    // MARK: Fields

    private mutating func damageField(_ generator: inout SeededGenerator) -> String {
        let keys = fields.keys
        guard !keys.isEmpty else { return "no field is left" }
        let key = keys[generator.integer(below: keys.count)]
        switch generator.integer(below: 6) {
        case 0:
            fields[key] = nil
            return "without \(key)"
        case 1:
            let other = keys[generator.integer(below: keys.count)]
            (fields[key], fields[other]) = (fields[other], fields[key])
            return "\(key) and \(other) swapped"
        default:
            fields[key] = Self.damaged(fields[key] ?? .null, &generator)
            return "\(key) = \((try? fields[key]?.jsonText()) ?? "nothing")"
        }
    }

    private static let values: [SettingsTree] = [
        .null, true, false, 0, 1, -1, 2, 3, 5, 64, 4097, .int(1 << 20), .int(1 << 31), .int(1 << 40),
        .int(.max), .int(.min), 0.0, 0.5, -0.5, 1e-30, 1e30, 1e300, "", "x", "gelu", "relu", "-1", [], [1],
        [1, 2], [[]],
        ["x"], [:], ["a": 1], ["rope_type": "linear", "factor": 2.0], [1e300, -1.0],
    ]

    private static func damaged(_ value: SettingsTree, _ generator: inout SeededGenerator) -> SettingsTree {
        if let number = value.int, generator.integer(below: 2) == 0 {
            return [
                .int(number &+ 1), .int(number &- 1), .int(number &* 2), .int(number / 2), .int(-number),
            ][
                generator.integer(below: 5)]
        }
        if var object = value.object, !object.isEmpty, generator.integer(below: 2) == 0 {
            let key = object.keys[generator.integer(below: object.keys.count)]
            object[key] = damaged(object[key] ?? .null, &generator)
            return .object(object)
        }
        if var list = value.array, !list.isEmpty, generator.integer(below: 2) == 0 {
            let place = generator.integer(below: list.count)
            list[place] = damaged(list[place], &generator)
            return .array(list)
        }
        return values[generator.integer(below: values.count)]
    }

    // MARK: Tensors

    /// Changes an entry of the header of a safetensors file, which stays whole.
    private mutating func damageHeader(_ generator: inout SeededGenerator) -> String {
        let names = files.keys.filter { $0.hasSuffix(".safetensors") }.sorted()
        let name = names[generator.integer(below: names.count)]
        guard let bytes = files[name], bytes.count > 8 else { return "nothing is left of \(name)" }
        let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1 & 0x7F) }
        guard length <= bytes.count - 8,
            var header = (try? SettingsTree(json: String(decoding: bytes[8..<8 + length], as: UTF8.self)))?
                .object
        else { return "\(name) is damaged already" }
        let keys = header.keys.filter { $0 != "__metadata__" }
        guard !keys.isEmpty else { return "\(name) has no tensors" }
        let key = keys[generator.integer(below: keys.count)]
        var entry = header[key]?.object ?? [:]
        let shape = entry["shape"]?.array ?? []
        var change = ""
        switch generator.integer(below: 7) {
        case 0:
            header[key] = nil
            change = "removed"
        case 1:
            let other = keys[generator.integer(below: keys.count)]
            (header[key], header[other]) = (header[other], header[key])
            change = "swapped with \(other)"
        case 2:
            header[key + "x"] = header[key]
            header[key] = nil
            change = "renamed"
        case 3:
            entry["shape"] = .array(shape.reversed())
            change = "shape reversed"
        case 4:
            entry["shape"] = .array([1] + shape)
            change = "one more axis"
        case 5:
            let product = shape.reduce(1) { $0 &* ($1.int ?? 1) }
            entry["shape"] = [.int(product)]
            change = "flat"
        default:
            entry["dtype"] = .string(
                ["F16", "BF16", "I32", "F64", "U8", "F8_E4M3", "X"][generator.integer(below: 7)])
            change = "another type"
        }
        if header[key] != nil,
            change.contains("shape") || change.contains("axis") || change == "flat" || change.contains("type")
        {
            header[key] = .object(entry)
        }
        guard let text = try? SettingsTree.object(header).jsonText() else { return "nothing" }
        let padded = Array(text.utf8) + [UInt8](repeating: 0x20, count: (8 - text.utf8.count % 8) % 8)
        let prefix = (0..<8).map { UInt8(truncatingIfNeeded: padded.count >> (8 * $0)) }
        files[name] = prefix + padded + bytes[(8 + length)...]
        return "\(key) in \(name): \(change)"
    }

    // MARK: Bytes

    /// Overwrites, removes, inserts or cuts off some bytes.
    static func damaged(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        guard !bytes.isEmpty else { return [0] }
        var bytes = bytes
        // Headers and directories, at the ends, matter most.
        let window = min(bytes.count, 3000)
        let place =
            generator.integer(below: 3) == 0
            ? generator.integer(below: bytes.count)
            : generator.integer(below: 2) == 0
                ? generator.integer(below: window) : bytes.count - 1 - generator.integer(below: window)
        switch generator.integer(below: 6) {
        case 0: bytes[place] ^= 1 << UInt8(generator.integer(below: 8))
        case 1: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
        case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + generator.integer(below: 8)))
        case 3: bytes.insert(UInt8(ascii: "0") + UInt8(generator.integer(below: 10)), at: place)
        case 4: bytes.removeLast(bytes.count - place)
        default:
            for index in place..<min(bytes.count, place + 4) { bytes[index] = 0xFF }
        }
        return bytes
    }
}
