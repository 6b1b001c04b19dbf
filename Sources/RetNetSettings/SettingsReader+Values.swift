extension SettingsReader {
    // MARK: Numbers

    /// Reads an integer in a range; required unless there is a default.
    ///
    /// Numbers with point or exponent are accepted if their value is integral, such as 1e3; texts are not.
    public func int(_ key: String, in range: ClosedRange<Int> = Int.min...Int.max, default: Int? = nil) -> Int
    {
        optionalInt(key, in: range)
            ?? fallback(
                key, `default`, placeholder: range.lowerBound, allowed: SettingsRange.describe(range))
    }

    /// Reads an integer in a range; nil if it is not given.
    public func optionalInt(_ key: String, in range: ClosedRange<Int> = Int.min...Int.max) -> Int? {
        guard let found = value(key) else { return nil }
        if let number = found.int, range.contains(number) { return number }
        report(key, allowed: SettingsRange.describe(range) + Self.quotedHint(found))
        return nil
    }

    /// Reads a finite number in a range; required unless there is a default.
    public func double(
        _ key: String, in range: ClosedRange<Double> = SettingsRange.finite, default: Double? = nil
    ) -> Double {
        optionalDouble(key, in: range)
            ?? fallback(
                key, `default`, placeholder: range.lowerBound, allowed: SettingsRange.describe(range))
    }

    /// Reads a finite number in a range; nil if it is not given.
    public func optionalDouble(_ key: String, in range: ClosedRange<Double> = SettingsRange.finite) -> Double?
    {
        guard let found = value(key) else { return nil }
        if let number = found.double, number.isFinite, range.contains(number) { return number }
        report(key, allowed: SettingsRange.describe(range) + Self.quotedHint(found))
        return nil
    }

    // MARK: Truth values and texts

    /// Reads true or false; required unless there is a default.
    public func bool(_ key: String, default: Bool? = nil) -> Bool {
        optionalBool(key) ?? fallback(key, `default`, placeholder: false, allowed: "true or false")
    }

    /// Reads true or false; nil if neither is given.
    public func optionalBool(_ key: String) -> Bool? {
        guard let found = value(key) else { return nil }
        if case .bool(let value) = found { return value }
        report(key, allowed: "true or false")
        return nil
    }

    /// Reads a text; required unless there is a default.
    public func string(_ key: String, default: String? = nil) -> String {
        optionalString(key) ?? fallback(key, `default`, placeholder: "", allowed: "a text")
    }

    /// Reads a text; nil if it is not given.
    public func optionalString(_ key: String) -> String? {
        guard let found = value(key) else { return nil }
        if let text = found.string { return text }
        report(key, allowed: "a text; put it in quotes if it looks like something else")
        return nil
    }

    /// Reads a raw value of an enumeration; required unless there is a default.
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

    /// Reads a raw value of an enumeration; nil if it is not given.
    public func optionalEnumeration<Value>(_ key: String, _ type: Value.Type = Value.self) -> Value?
    where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
        guard let found = value(key) else { return nil }
        if let text = found.string, let value = Value(rawValue: text) { return value }
        // No raw value is a number or null, so only texts can match.
        report(
            key, allowed: Self.names(of: type),
            suggestion: found.string.flatMap {
                NameMatcher.nearest(to: $0, in: Value.allCases.map(\.rawValue))
            })
        return nil
    }

    // MARK: Lists

    /// Reads a list of finite numbers in a range; required unless there is a default.
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

    /// Reads a list of integers in a range; required unless there is a default.
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

    /// Reads a list of texts or a single text; required unless there is a default.
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

    /// Returns the default; without one, reports that the setting is missing and returns some allowed value.
    private func fallback<Value>(_ key: String, _ default: Value?, placeholder: Value, allowed: String)
        -> Value
    {
        if let value = `default` { return value }
        // Wrong values and missing objects have been reported before.
        if !isAbsent, value(key) == nil { report(key, allowed: allowed) }
        return placeholder
    }

    private static func quotedHint(_ found: SettingsTree) -> String {
        guard let text = found.string, Double(text) != nil else { return "" }
        return ", without quotes"
    }

    /// Returns the names of all cases as error messages show them: "one of 'a', 'b'".
    public static func names<Value>(of type: Value.Type) -> String
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

/// Common ranges of floating-point settings.
public enum SettingsRange {
    /// All finite numbers.
    public static let finite: ClosedRange<Double> =
        -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
    /// Finite numbers greater than 0.
    public static let positive: ClosedRange<Double> =
        Double.leastNonzeroMagnitude...Double.greatestFiniteMagnitude
    /// Finite numbers from 0.
    public static let nonNegative: ClosedRange<Double> = 0...Double.greatestFiniteMagnitude
    /// Numbers from 0 to below 1, such as dropout probabilities and the betas of Adam.
    public static let belowOne: ClosedRange<Double> = 0...1.0.nextDown
    /// Numbers from 0 to 1.
    public static let fraction: ClosedRange<Double> = 0...1
    /// Numbers greater than 0 and at most 1.
    public static let positiveFraction: ClosedRange<Double> = Double.leastNonzeroMagnitude...1

    /// Returns a description such as "a number greater than 0 and less than 1".
    static func describe(_ range: ClosedRange<Double>) -> String {
        var limits: [String] = []
        if range.lowerBound > -.greatestFiniteMagnitude {
            // A bound one step from a round number represents an open range.
            let open = range.lowerBound.nextDown
            let isOpen = open == open.rounded() && abs(open) < 0x1p52
            limits.append(isOpen ? "greater than \(short(open))" : "at least \(short(range.lowerBound))")
        }
        if range.upperBound < .greatestFiniteMagnitude {
            let open = range.upperBound.nextUp
            let isOpen = open == open.rounded() && abs(open) < 0x1p52
            limits.append(isOpen ? "less than \(short(open))" : "at most \(short(range.upperBound))")
        }
        return limits.isEmpty ? "a finite number" : "a number " + limits.joined(separator: " and ")
    }

    /// Returns a description such as "an integer from 1 to 10".
    static func describe(_ range: ClosedRange<Int>) -> String {
        switch (range.lowerBound > .min, range.upperBound < .max) {
        case (true, true): "an integer from \(range.lowerBound) to \(range.upperBound)"
        case (true, false): "an integer of at least \(range.lowerBound)"
        case (false, true): "an integer of at most \(range.upperBound)"
        case (false, false): "an integer"
        }
    }

    private static func short(_ value: Double) -> String {
        guard let whole = Int(exactly: value), abs(whole) < 1_000_000 else { return "\(value)" }
        return "\(whole)"
    }
}
