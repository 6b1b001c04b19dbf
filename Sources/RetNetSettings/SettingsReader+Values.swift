extension SettingsReader {
    // MARK: Numbers

    /// An integer in the range; it must be given unless there is a default.
    ///
    /// A number with point or exponent counts if it is an integer, such as 1e3; a text never does.
    public func int(_ key: String, in range: ClosedRange<Int> = Int.min...Int.max, default: Int? = nil) -> Int
    {
        optionalInt(key, in: range)
            ?? fallback(
                key, `default`, placeholder: range.lowerBound, allowed: SettingsRange.describe(range))
    }

    /// An integer in the range, or nil where none is given.
    public func optionalInt(_ key: String, in range: ClosedRange<Int> = Int.min...Int.max) -> Int? {
        guard let found = value(key) else { return nil }
        if let number = found.int, range.contains(number) { return number }
        report(key, allowed: SettingsRange.describe(range) + Self.quotedHint(found))
        return nil
    }

    /// A finite number in the range, integers too; it must be given unless there is a default.
    public func double(
        _ key: String, in range: ClosedRange<Double> = SettingsRange.finite, default: Double? = nil
    ) -> Double {
        optionalDouble(key, in: range)
            ?? fallback(
                key, `default`, placeholder: range.lowerBound, allowed: SettingsRange.describe(range))
    }

    /// A finite number in the range, or nil where none is given.
    public func optionalDouble(_ key: String, in range: ClosedRange<Double> = SettingsRange.finite) -> Double?
    {
        guard let found = value(key) else { return nil }
        if let number = found.double, number.isFinite, range.contains(number) { return number }
        report(key, allowed: SettingsRange.describe(range) + Self.quotedHint(found))
        return nil
    }

    // MARK: Truth values and texts

    /// True or false; it must be given unless there is a default.
    public func bool(_ key: String, default: Bool? = nil) -> Bool {
        optionalBool(key) ?? fallback(key, `default`, placeholder: false, allowed: "true or false")
    }

    /// True or false, or nil where neither is given.
    public func optionalBool(_ key: String) -> Bool? {
        guard let found = value(key) else { return nil }
        if case .bool(let value) = found { return value }
        report(key, allowed: "true or false")
        return nil
    }

    /// A text; it must be given unless there is a default.
    public func string(_ key: String, default: String? = nil) -> String {
        optionalString(key) ?? fallback(key, `default`, placeholder: "", allowed: "a text")
    }

    /// A text, or nil where none is given.
    public func optionalString(_ key: String) -> String? {
        guard let found = value(key) else { return nil }
        if let text = found.string { return text }
        report(key, allowed: "a text; put it in quotes if it looks like something else")
        return nil
    }

    /// One of the raw values of an enumeration; it must be given unless there is a default.
    ///
    /// The type must have at least one case.
    public func enumeration<Value>(_ key: String, _ type: Value.Type = Value.self, default: Value? = nil)
        -> Value
    where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
        if let value = optionalEnumeration(key, type) { return value }
        let allowed = Self.names(of: type)
        guard let placeholder = `default` ?? Value.allCases.first else {
            preconditionFailure("an enumeration without cases cannot be read")
        }
        return fallback(key, `default`, placeholder: placeholder, allowed: allowed)
    }

    /// One of the raw values of an enumeration, or nil where none is given.
    public func optionalEnumeration<Value>(_ key: String, _ type: Value.Type = Value.self) -> Value?
    where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
        guard let found = value(key) else { return nil }
        if let text = found.string, let value = Value(rawValue: text) { return value }
        // An unquoted null or number may be a name as well, but no name here is one.
        report(
            key, allowed: Self.names(of: type),
            suggestion: found.string.flatMap {
                NameMatcher.nearest(to: $0, in: Value.allCases.map(\.rawValue))
            })
        return nil
    }

    // MARK: Lists

    /// A list of finite numbers in the range; it must be given unless there is a default.
    public func doubles(
        _ key: String, in range: ClosedRange<Double> = SettingsRange.finite,
        count: ClosedRange<Int> = 0...Int.max,
        default: [Double]? = nil
    ) -> [Double] {
        list(key, "numbers", count, `default`) { element in
            guard let number = element.double, number.isFinite, range.contains(number) else {
                return .failure(SettingsRange.describe(range))
            }
            return .success(number)
        }
    }

    /// A list of integers in the range; it must be given unless there is a default.
    public func ints(
        _ key: String, in range: ClosedRange<Int> = Int.min...Int.max, count: ClosedRange<Int> = 0...Int.max,
        default: [Int]? = nil
    ) -> [Int] {
        list(key, "integers", count, `default`) { element in
            guard let number = element.int, range.contains(number) else {
                return .failure(SettingsRange.describe(range))
            }
            return .success(number)
        }
    }

    /// A list of texts, or one text alone; it must be given unless there is a default.
    public func strings(_ key: String, count: ClosedRange<Int> = 0...Int.max, default: [String]? = nil)
        -> [String]
    {
        if count.contains(1), let text = value(key)?.string { return [text] }
        return list(key, "texts", count, `default`) { $0.string.map { .success($0) } ?? .failure("a text") }
    }

    // MARK: Common parts

    private enum Element<Value> {
        case success(Value)
        case failure(String)
    }

    private func list<Value>(
        _ key: String, _ noun: String, _ count: ClosedRange<Int>, _ default: [Value]?,
        _ read: (SettingsTree) -> Element<Value>
    ) -> [Value] {
        let allowed = "a list of \(Self.describe(count))\(noun)"
        guard let found = value(key) else {
            return fallback(key, `default`, placeholder: [], allowed: allowed)
        }
        guard let elements = found.array, count.contains(elements.count) else {
            report(key, allowed: allowed)
            return `default` ?? []
        }
        var values: [Value] = []
        for (index, element) in elements.enumerated() {
            switch read(element) {
            case .success(let value): values.append(value)
            case .failure(let allowed):
                report(
                    SettingsProblem(
                        kind: .wrongValue, path: path(of: key) + "[\(index)]", found: element.summary,
                        allowed: allowed))
            }
        }
        return values
    }

    /// The default or, after a note that the setting is missing, some allowed value.
    private func fallback<Value>(_ key: String, _ default: Value?, placeholder: Value, allowed: String)
        -> Value
    {
        if let value = `default` { return value }
        // A wrong value has been reported already, and so has a missing object.
        if !isAbsent, value(key) == nil { report(key, allowed: allowed) }
        return placeholder
    }

    private static func quotedHint(_ found: SettingsTree) -> String {
        guard let text = found.string, Double(text) != nil else { return "" }
        return ", without quotes"
    }

    static func names<Value>(of type: Value.Type) -> String
    where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
        let names = Value.allCases.map { "'\($0.rawValue)'" }
        return (names.count > 1 ? "one of " : "") + names.joined(separator: ", ")
    }

    private static func describe(_ count: ClosedRange<Int>) -> String {
        if count.lowerBound == count.upperBound { return "\(count.lowerBound) " }
        if count.upperBound < .max { return "\(count.lowerBound) to \(count.upperBound) " }
        return count.lowerBound > 0 ? "at least \(count.lowerBound) " : ""
    }
}
