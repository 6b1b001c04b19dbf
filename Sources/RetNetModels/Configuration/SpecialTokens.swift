import RetNetSettings

/// The ids of tokens that are not text, as far as the vocabulary has them.
public struct SpecialTokens: Sendable, Equatable {
    /// The token before every sequence.
    public var begin: Int?
    /// The token after every text.
    public var end: Int?
    /// The token that fills short rows.
    public var padding: Int?

    /// No special tokens, unless told otherwise.
    public init(begin: Int? = nil, end: Int? = nil, padding: Int? = nil) {
        self.begin = begin
        self.end = end
        self.padding = padding
    }
}

extension SpecialTokens: SettingsRepresentable {
    /// Reads `begin`, `end` and `padding`, none of which must be given.
    public init(reading reader: SettingsReader) {
        self.init(
            begin: reader.optionalInt("begin", in: 0...Int.max),
            end: reader.optionalInt("end", in: 0...Int.max),
            padding: reader.optionalInt("padding", in: 0...Int.max))
    }

    /// The ids that there are, under their names in configuration files.
    public var settings: SettingsTree {
        var object = SettingsObject()
        for (name, id) in named { object[name] = id.map { .int($0) } }
        return .object(object)
    }

    /// All ids with their names in configuration files.
    var named: [(name: String, id: Int?)] { [("begin", begin), ("end", end), ("padding", padding)] }
}
