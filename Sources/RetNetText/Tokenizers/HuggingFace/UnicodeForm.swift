import Foundation

/// A normalization form of Unicode (Unicode Standard Annex 15), applied with the places of characters kept.
enum UnicodeForm: String, Sendable {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"

    private var composes: Bool { self == .nfc || self == .nfkc }
    private var isCompatible: Bool { self == .nfkc || self == .nfkd }

    /// Decompositions and compositions that were looked up before.
    struct Workspace {
        fileprivate var decompositions: [UInt32: [UInt32]] = [:]
        fileprivate var compositions: [UInt64: UInt32] = [:]
        fileprivate var pending: [Character] = []
        fileprivate var held: [Character] = []
        fileprivate var composer = Composer()
    }

    /// A character of a decomposed text, with the change of the text that it is (see ``TextTransform/put(_:change:)``).
    fileprivate struct Character {
        var value: UInt32
        var change: Int
        var combiningClass: UInt8
    }

    fileprivate struct Composer {
        var base: Character?
        var lastClass: UInt8?
        var held: [Character] = []
    }

    /// Returns true if a text certainly is in this form.
    func keeps(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        inertEnd(text, from: 0) == text.count
    }

    /// Returns the end of the characters from an index on that stay as they are, whatever is around them.
    private func inertEnd(_ text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        let bytes = UnsafeRawBufferPointer(text)
        return ScalarTable.withTable { table in
            var index = start
            while true {
                while index &+ 8 <= bytes.count,
                    bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
                {
                    index &+= 8
                }
                guard index < text.count else { return text.count }
                let (value, length) = UTF8Reader.scalar(text, index)
                if value >= 0x80 {
                    guard self == .nfc, table.facts(value) & ScalarTable.composingBit == 0 else {
                        return index
                    }
                }
                index &+= length
            }
        }
    }

    /// Puts the normalized form of the rest of a text.
    func apply(
        _ transform: inout TextTransform, _ text: UnsafeBufferPointer<UInt8>, _ workspace: inout Workspace
    ) {
        while transform.offset < text.count {
            let end = inertEnd(text, from: transform.offset)
            // The last of them may be changed by what follows it.
            let kept =
                end < text.count && end > transform.offset && composes
                ? UTF8Reader.characterStart(text, before: end) : end
            transform.keep(kept - transform.offset)
            var index = transform.offset
            var isFirst = true
            while index < text.count {
                let (value, length) = UTF8Reader.scalar(text, index)
                // A second inert character closes the stretch.
                if !isFirst, isInert(value) { break }
                add(value, &workspace, &transform)
                isFirst = false
                index += length
            }
            flush(&workspace, &transform)
        }
    }

    private func isInert(_ value: UInt32) -> Bool {
        value < 0x80 || self == .nfc && ScalarTable.facts(value) & ScalarTable.composingBit == 0
    }

    // MARK: Decomposition

    private func add(_ value: UInt32, _ workspace: inout Workspace, _ transform: inout TextTransform) {
        for (index, part) in decomposition(value, &workspace).enumerated() {
            var combiningClass = Unicode.Scalar(part)?.properties.canonicalCombiningClass.rawValue ?? 0
            if combiningClass != 0, !ScalarTable.isNormalized(part) { combiningClass = 0 }
            if combiningClass == 0 { passPending(&workspace, &transform) }
            workspace.pending.append(
                Character(value: part, change: index > 0 ? 1 : 0, combiningClass: combiningClass))
        }
    }

    private func decomposition(_ value: UInt32, _ workspace: inout Workspace) -> [UInt32] {
        if value < 0x80 { return [value] }
        if (0xAC00..<0xD7A4).contains(value) {
            let index = value - 0xAC00
            let final = index % 28
            return [0x1100 + index / 588, 0x1161 + index % 588 / 28] + (final > 0 ? [0x11A7 + final] : [])
        }
        if let known = workspace.decompositions[value] { return known }
        guard let scalar = Unicode.Scalar(value), ScalarTable.isNormalized(value) else { return [value] }
        let text = String(scalar)
        let result =
            isCompatible
            ? text.decomposedStringWithCompatibilityMapping : text.decomposedStringWithCanonicalMapping
        let parts = result.unicodeScalars.map(\.value)
        workspace.decompositions[value] = parts
        return parts
    }

    /// Passes on the characters that wait for their order: by combining class.
    private func passPending(_ workspace: inout Workspace, _ transform: inout TextTransform) {
        guard !workspace.pending.isEmpty else { return }
        var pending = workspace.pending
        workspace.pending.removeAll(keepingCapacity: true)
        if pending.count > 1 {
            // Stable: insertion moves only behind smaller or equal classes.
            let sorted = pending.enumerated().sorted {
                ($0.element.combiningClass, $0.offset) < ($1.element.combiningClass, $1.offset)
            }
            pending = sorted.map(\.element)
        }
        for character in pending {
            if composes {
                compose(character, &workspace, &transform)
            } else {
                transform.put(character.value, change: character.change)
            }
        }
    }

    private func flush(_ workspace: inout Workspace, _ transform: inout TextTransform) {
        passPending(&workspace, &transform)
        putComposed(&workspace, &transform)
    }

    // MARK: Composition

    private func putComposed(_ workspace: inout Workspace, _ transform: inout TextTransform) {
        if let base = workspace.composer.base { transform.put(base.value, change: base.change) }
        for character in workspace.composer.held { transform.put(character.value, change: character.change) }
        workspace.composer.base = nil
        workspace.composer.lastClass = nil
        workspace.composer.held.removeAll(keepingCapacity: true)
    }

    private func compose(
        _ character: Character, _ workspace: inout Workspace, _ transform: inout TextTransform
    ) {
        guard let base = workspace.composer.base else {
            if character.combiningClass != 0 {
                transform.put(character.value, change: character.change)
            } else {
                workspace.composer.base = character
            }
            return
        }
        let isBlocked = workspace.composer.lastClass.map { $0 >= character.combiningClass } ?? false
        if !isBlocked, let composed = composition(base.value, character.value, &workspace) {
            workspace.composer.base = Character(
                value: composed, change: base.change + character.change - 1, combiningClass: 0)
            return
        }
        if character.combiningClass == 0 {
            putComposed(&workspace, &transform)
            workspace.composer.base = character
        } else {
            workspace.composer.held.append(character)
            workspace.composer.lastClass = character.combiningClass
        }
    }

    private func composition(_ first: UInt32, _ second: UInt32, _ workspace: inout Workspace) -> UInt32? {
        if (0x1100..<0x1113).contains(first), (0x1161..<0x1176).contains(second) {
            return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
        }
        if (0xAC00..<0xD7A4).contains(first), (first - 0xAC00) % 28 == 0, (0x11A8..<0x11C3).contains(second) {
            return first + second - 0x11A7
        }
        // Nothing in ASCII is the second part of a composition.
        guard second >= 0x80, let a = Unicode.Scalar(first), let b = Unicode.Scalar(second) else {
            return nil
        }
        let key = UInt64(first) << 32 | UInt64(second)
        if let known = workspace.compositions[key] { return known == 0 ? nil : known }
        var text = ""
        text.unicodeScalars.append(a)
        text.unicodeScalars.append(b)
        let composed = text.precomposedStringWithCanonicalMapping.unicodeScalars
        let result =
            composed.count == 1
            ? composed.first.flatMap { ScalarTable.isNormalized($0.value) ? $0.value : nil } : nil
        workspace.compositions[key] = result ?? 0
        return result
    }
}
