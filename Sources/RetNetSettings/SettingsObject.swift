/// A mapping from names to settings that keeps the order in which they were written.
public struct SettingsObject: Sendable {
    /// One name with its value.
    public struct Entry: Sendable, Equatable {
        /// The name.
        public var key: String
        /// The value.
        public var value: SettingsTree
    }

    /// All entries in order, each name once.
    public private(set) var entries: [Entry] = []
    private var indexes: [String: Int] = [:]

    /// No entries.
    public init() {}

    /// The names in order.
    public var keys: [String] { entries.map(\.key) }

    /// Whether there are no entries.
    public var isEmpty: Bool { entries.isEmpty }

    /// The value of a name; a new name is added at the end, and nil removes the name.
    public subscript(key: String) -> SettingsTree? {
        get { indexes[key].map { entries[$0].value } }
        set {
            switch (indexes[key], newValue) {
            case (let index?, let value?):
                entries[index].value = value
            case (nil, let value?):
                indexes[key] = entries.count
                entries.append(Entry(key: key, value: value))
            case (let index?, nil):
                entries.remove(at: index)
                indexes = [:]
                for (index, entry) in entries.enumerated() { indexes[entry.key] = index }
            case (nil, nil):
                break
            }
        }
    }
}

extension SettingsObject: ExpressibleByDictionaryLiteral {
    /// An object with the given entries; of a name given twice the last value counts.
    public init(dictionaryLiteral elements: (String, SettingsTree)...) {
        for (key, value) in elements { self[key] = value }
    }
}

extension SettingsObject: Equatable {
    /// Whether both have the same names with equal values, in whatever order.
    public static func == (left: Self, right: Self) -> Bool {
        left.entries.count == right.entries.count
            && left.entries.allSatisfy { right[$0.key] == $0.value }
    }
}
