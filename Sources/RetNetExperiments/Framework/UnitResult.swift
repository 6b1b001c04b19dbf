/// What a finished unit found; one file of the experiment's folder.
public struct UnitResult: Sendable, Equatable, Codable {
    /// The unit's name.
    public var id: String
    /// Whose result it is.
    public var contender: String
    /// The seed of everything random in it.
    public var seed: Int
    /// The numbers by name.
    public var values: [String: Double]
    /// How long it took.
    public var seconds: Double

    /// A result of given parts.
    public init(id: String, contender: String, seed: Int, values: [String: Double], seconds: Double) {
        self.id = id
        self.contender = contender
        self.seed = seed
        self.values = values
        self.seconds = seconds
    }
}

extension [UnitResult] {
    /// The values of one name over all units of a contender: one for every seed.
    public func sample(_ contender: String, _ name: String) -> Sample {
        Sample(filter { $0.contender == contender }.compactMap { $0.values[name] })
    }

    /// The contenders in the order of their first result.
    public var contenders: [String] {
        reduce(into: []) { if !$0.contains($1.contender) { $0.append($1.contender) } }
    }
}
