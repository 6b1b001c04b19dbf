import Foundation
import Testing

@testable import RetNetStorage

/// Pickles that attack: none of them may run, trap, or take memory that the file does not warrant.
@Suite struct PickleTests {
    private static func run(_ pickle: [UInt8], limits: PickleMachine.Limits = .init()) throws -> PickleGraph {
        try pickle.withUnsafeBytes { bytes in
            var machine = PickleMachine(bytes, limits: limits)
            return try machine.run()
        }
    }

    private static func run(_ pickle: String, limits: PickleMachine.Limits = .init()) throws -> PickleGraph {
        try run(Array(pickle.utf8), limits: limits)
    }

    private static func plain(_ pickle: String) throws -> PlainValue {
        let graph = try run(pickle)
        var maker = PlainValueMaker(graph) { _ in false }
        return try maker.plain(graph.root)
    }

    @Test(arguments: [
        ("cos\nsystem\n(S'id'\ntR.", "os.system"), ("cposix\nsystem\n(S'id'\ntR.", "posix.system"),
        ("c__builtin__\neval\n(S'1'\ntR.", "builtins.eval"), ("cbuiltins\nexec\n(S'1'\ntR.", "builtins.exec"),
        ("c__builtin__\ngetattr\n(cos\nsystem\nS'x'\ntR.", "builtins.getattr"),
        ("(S'id'\nios\nsystem\n.", "os.system"), ("(cos\nsystem\nS'id'\no.", "os.system"),
        ("\u{80}\u{2}csubprocess\nPopen\n(S'id'\nt\u{81}.", "subprocess.Popen"),
        ("cbuiltins\nsetattr\n(NNNtR.", "builtins.setattr"),
        ("ctorch.hub\nload\n(S'x'\ntR.", "torch.hub.load"), ("ctorch\nload\n(S'x'\ntR.", "torch.load"),
        ("ctorch._utils\n_rebuild_sparse_tensor\n(NNtR.", "torch._utils._rebuild_sparse_tensor"),
        ("ccopy_reg\n_reconstructor\n(cos\n_wrap_close\nc__builtin__\nobject\nNtR.", "os._wrap_close"),
        ("cnumpy.testing._private.utils\nrunstring\n(NNtR.", "numpy.testing._private.utils.runstring"),
        ("ctorch.serialization\nload\n(NtR.", "torch.serialization.load"),
    ])
    func callsOfOtherFunctionsAreRefusedByName(pickle: String, name: String) {
        // Latin-1, since opcodes above 127 are one byte.
        let bytes = pickle.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
        #expect(throws: PyTorchFault.call(name: name)) { try Self.run(bytes) }
        #expect(PyTorchFault.call(name: name).description.contains("'\(name)'; this reader never runs code"))
    }

    @Test func aNameThatIsOnlyHeldIsHarmless() throws {
        #expect(try Self.plain("cos\nsystem\n.") == .other("os.system"))
    }

    @Test func earlyProtocolsAreRead() throws {
        let value = try Self.plain(
            "(dS'a'\nI1\nsS'b'\nI01\nsS'c'\nF2.5\nsS'd'\n(lp0\nI1\naL5L\nasS'e'\ng0\nsS'f'\nVx\\u20acy\nsS'g'\nS'q\\x41\\n'\nsS'h'\nNs."
        )
        #expect(value["a"] == .int(1) && value["b"] == .bool(true) && value["c"] == .double(2.5))
        #expect(value["d"] == .list([.int(1), .int(5)]) && value["e"] == value["d"])
        #expect(value["f"] == .string("x€y") && value["g"] == .string("qA\n") && value["h"] == .null)
    }

    @Test func hugeClaimsTakeNoMemory() {
        // A memo index, texts, bytes, integers and frames of sizes that the file has not.
        let pickles: [[UInt8]] = [
            [0x58, 0xFF, 0xFF, 0xFF, 0x7F, 0x61],
            [0x42, 0xFF, 0xFF, 0xFF, 0xFF], [0x8D, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            [0x8B, 0xFF, 0xFF, 0xFF, 0x7F], [0x95, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            [0x80, 0x09], [0x6A, 0x01, 0x00, 0x00, 0x00], [0x97], [0x82, 0x01], [0x50, 0x78, 0x0A], [0xFF],
        ]
        for pickle in pickles {
            #expect(throws: PyTorchFault.self, "\(pickle)") { try Self.run(pickle + [0x2E]) }
        }
        // An index that is large but holds one value is no more than an entry.
        #expect(throws: Never.self) { try Self.run([0x4E, 0x72, 0xFF, 0xFF, 0xFF, 0xFF, 0x2E]) }
    }

    @Test func limitsStopWhatGrows() {
        var limits = PickleMachine.Limits()
        limits.stackDepth = 100
        limits.memoCount = 100
        limits.opcodeCount = 2000
        limits.textByteCount = 100
        limits.units = 1000
        func refuses(_ pickle: String, _ what: String) {
            do {
                _ = try Self.run(pickle, limits: limits)
                Issue.record("nothing was thrown for \(what)")
            } catch {
                #expect("\(error)".contains("more than") && "\(error)".contains(what), "\(error)")
            }
        }
        refuses(String(repeating: "N", count: 101) + ".", "values on its stack")
        refuses(String(repeating: "(", count: 101) + ".", "values on its stack")
        refuses("N" + (0..<101).map { "p\($0)\n" }.joined() + ".", "values in its memo")
        refuses("N" + String(repeating: "N0", count: 1001) + ".", "instructions")
        refuses("S'" + String(repeating: "x", count: 101) + "'\n.", "bytes in a line")
        refuses("]" + String(repeating: "]0", count: 251) + ".", "values")
        // A list that is copied again and again from the memo.
        refuses(
            "(" + String(repeating: "N", count: 50) + "lp0\n0"
                + String(repeating: "c__builtin__\nlist\n(g0\ntR0", count: 30) + "N.", "values")
        #expect(throws: PyTorchFault.self) { try Self.run("L" + String(repeating: "9", count: 5000) + "\n.") }
    }

    @Test func containersInsideOfThemselvesAreNoEndlessTree() throws {
        #expect(
            throws: PyTorchFault.limit(what: "levels of containers", maximum: PlainValueMaker.maximumDepth)
        ) {
            try Self.plain("(lp0\ng0\na.")
        }
        // Thirty lists, each of the last one twice: a billion values as a tree.
        var doubling = "(lp0\n0"
        for index in 1...30 { doubling += "(g\(index - 1)\ng\(index - 1)\nlp\(index)\n0" }
        #expect(
            throws: PyTorchFault.limit(
                what: "values beside the tensors", maximum: PlainValueMaker.maximumCount)
        ) {
            try Self.plain(doubling + "g30\n.")
        }
        // Deep nesting neither recurses while it is read nor when it is released.
        let deep = String(repeating: "(", count: 200_000) + "N" + String(repeating: "l", count: 200_000) + "."
        #expect(try Self.run(deep).nodes.count == 200_000)
    }

    @Test func instructionsWithoutTheirValuesAreRefused() {
        let opcodes = (UInt8.min...UInt8.max).map { [$0, 0x2E] }
        for opcode in opcodes + opcodes.map({ [0x28] + $0 }) + opcodes.map({ [0x4E, 0x28] + $0 + [0x52] }) {
            // Only constants and empty containers end well.
            _ = try? Self.run(opcode)
            _ = try? Self.run([0x5D] + opcode)
            _ = try? Self.run([0x7D, 0x4E, 0x4E] + opcode)
            _ = try? Self.run([0x28, 0x4E] + opcode)
        }
        for pickle in [
            "", ".", "R.", "N(R.", "(.", "a.", "NNa.", "0.", "t.", "b.", "NNb.", "Ns.", "(NNu.", "2.",
        ] {
            #expect(throws: PyTorchFault.self, "\(pickle)") { try Self.run(pickle) }
        }
    }

    @Test(arguments: [
        // offset, sizes, strides of a storage of 4 floats
        "I0\n(I5\nt(I1\nt", "I1\n(I4\nt(I1\nt", "I0\n(I2\nI2\nt(I3\nI1\nt", "I-1\n(I1\nt(I1\nt",
        "I0\n(I-1\nt(I1\nt", "I0\n(I1\nt(I-1\nt",
        "I0\n(I9223372036854775807\nI9223372036854775807\nt(I0\nI0\nt",
        "I9223372036854775807\n(I2\nt(I1\nt", "I0\n(I2\nt(I9223372036854775807\nt", "I0\n(I1\nt(I1\nI1\nt",
        "I5\n(t(t", "I0\n(N(t",
    ])
    func viewsOutsideOfTheirStorageAreRefused(view: String) {
        let storage = "(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ"
        func pickle(_ view: String) -> String { "ctorch._utils\n_rebuild_tensor\n(" + storage + view + "tR." }
        #expect(throws: PyTorchFault.self) { try Self.run(pickle(view)) }
        #expect(throws: Never.self) { try Self.run(pickle("I0\n(I2\nI2\nt(I2\nI1\nt")) }
    }

    @Test func aSmallFileCannotAskForMuchMemory() throws {
        let storage = "(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI1\ntQ"
        let pickle =
            "(dS'w'\nctorch._utils\n_rebuild_tensor\n(\(storage)I0\n(I1000000000\nI1000\nt(I0\nI0\nttRs."
        try withTemporaryFolder { folder in
            try put(zip([("a/data.pkl", pickle), ("a/data/0", "abcd")]), at: folder + "/f.pt")
            expectStorageError("tensor 'w' repeats 4 bytes to 4000000000000") {
                _ = try PyTorchFile(path: folder + "/f.pt")
            }
            try put(zip([("a/data.pkl", pickle), ("a/data/0", "abc")]), at: folder + "/f.pt")
            expectStorageError("tensor 'w' needs 4 bytes, but its record '0' has 3") {
                _ = try PyTorchFile(path: folder + "/f.pt")
            }
            try put(zip([("a/data.pkl", pickle)]), at: folder + "/f.pt")
            expectStorageError("its record 'data/0' is missing") {
                _ = try PyTorchFile(path: folder + "/f.pt")
            }
        }
    }
}
