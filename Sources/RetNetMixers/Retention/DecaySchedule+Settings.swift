import RetNetSettings

extension DecaySchedule {
    /// The named schedules with the names that they have in configuration files.
    private static let named: [(name: String, schedule: DecaySchedule)] = [
        ("standard", .standard), ("experiment", .experiment), ("quarter_steps", .quarterSteps),
    ]

    /// Reads a name, one number for all heads, or a list with a number for every head.
    public init(reading reader: SettingsReader, _ key: String, default: DecaySchedule) {
        self = `default`
        let names = Self.named.map(\.name)
        switch reader.tree(key) {
        case nil: break
        case .string(let name)?:
            if let schedule = Self.named.first(where: { $0.name == name })?.schedule {
                self = schedule
            } else {
                reader.report(
                    key, allowed: Self.allowed, suggestion: NameMatcher.nearest(to: name, in: names))
            }
        case .array?:
            self = .list(reader.doubles(key, in: SettingsRange.positiveFraction))
        case .int?, .double?:
            self = .uniform(reader.double(key, in: SettingsRange.positiveFraction))
        case .bool?, .object?, .null?:
            reader.report(key, allowed: Self.allowed)
        }
    }

    /// A name, a number or a list, as ``init(reading:_:default:)`` reads it.
    public var settings: SettingsTree {
        switch self {
        case .uniform(let gamma): .double(gamma)
        case .list(let gammas): .array(gammas.map { .double($0) })
        case .standard, .experiment, .quarterSteps:
            .string(Self.named.first { $0.schedule == self }?.name ?? "standard")
        }
    }

    private static var allowed: String {
        "one of " + named.map { "'\($0.name)'" }.joined(separator: ", ")
            + ", a number greater than 0 and at most 1, or a list of such numbers, one for each head"
    }
}
