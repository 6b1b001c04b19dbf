// MARK: Numbers

extension Setting {
    /// An integer.
    public static func int(
        _ key: String, _ path: WritableKeyPath<Root, Int>, in range: ClosedRange<Int> = Int.min...Int.max,
        isRequired: Bool = false, _ help: String
    ) -> Setting {
        value(
            key, path, SettingsRange.describe(range), help, isRequired,
            { $0.int(key, in: range, default: $1) }, { .int($0) })
    }

    /// An integer whose default depends on the settings before it.
    public static func int(
        _ key: String, _ path: WritableKeyPath<Root, Int>, in range: ClosedRange<Int> = Int.min...Int.max,
        default: @escaping (Root) -> Int, _ help: String
    ) -> Setting {
        var setting = Setting(
            key, values: SettingsRange.describe(range), help,
            read: { $1[keyPath: path] = $0.int(key, in: range, default: `default`($1)) },
            write: { .int($0[keyPath: path]) })
        setting.hasFixedDefault = false
        return setting
    }

    /// An integer that may be absent.
    public static func int(
        _ key: String, _ path: WritableKeyPath<Root, Int?>, in range: ClosedRange<Int> = Int.min...Int.max,
        _ help: String
    ) -> Setting {
        optional(
            key, path, SettingsRange.describe(range), help, { $0.optionalInt(key, in: range) }, { .int($0) })
    }

    /// A finite number.
    public static func double(
        _ key: String, _ path: WritableKeyPath<Root, Double>,
        in range: ClosedRange<Double> = SettingsRange.finite, isRequired: Bool = false, _ help: String
    ) -> Setting {
        value(
            key, path, SettingsRange.describe(range), help, isRequired,
            { $0.double(key, in: range, default: $1) }, { .double($0) })
    }

    /// A finite number that may be absent.
    public static func double(
        _ key: String, _ path: WritableKeyPath<Root, Double?>,
        in range: ClosedRange<Double> = SettingsRange.finite, _ help: String
    ) -> Setting {
        optional(
            key, path, SettingsRange.describe(range), help, { $0.optionalDouble(key, in: range) },
            { .double($0) })
    }

    /// A list of finite numbers.
    public static func doubles(
        _ key: String, _ path: WritableKeyPath<Root, [Double]>,
        in range: ClosedRange<Double> = SettingsRange.finite, count: ClosedRange<Int> = 0...Int.max,
        _ help: String
    ) -> Setting {
        value(
            key, path, "a list: " + SettingsRange.describe(range), help, false,
            { $0.doubles(key, in: range, count: count, default: $1) }, { .array($0.map { .double($0) }) })
    }

    /// A list of integers.
    public static func ints(
        _ key: String, _ path: WritableKeyPath<Root, [Int]>, in range: ClosedRange<Int> = Int.min...Int.max,
        count: ClosedRange<Int> = 0...Int.max, _ help: String
    ) -> Setting {
        value(
            key, path, "a list: " + SettingsRange.describe(range), help, false,
            { $0.ints(key, in: range, count: count, default: $1) }, { .array($0.map { .int($0) }) })
    }
}

// MARK: Truth values, texts and choices

extension Setting {
    /// True or false.
    public static func bool(_ key: String, _ path: WritableKeyPath<Root, Bool>, _ help: String) -> Setting {
        value(key, path, "true or false", help, false, { $0.bool(key, default: $1) }, { .bool($0) })
    }

    /// True, false or absent.
    public static func bool(_ key: String, _ path: WritableKeyPath<Root, Bool?>, _ help: String) -> Setting {
        optional(key, path, "true or false", help, { $0.optionalBool(key) }, { .bool($0) })
    }

    /// A text.
    public static func string(
        _ key: String, _ path: WritableKeyPath<Root, String>, isRequired: Bool = false, _ help: String
    ) -> Setting {
        value(key, path, "a text", help, isRequired, { $0.string(key, default: $1) }, { .string($0) })
    }

    /// A text that may be absent.
    public static func string(_ key: String, _ path: WritableKeyPath<Root, String?>, _ help: String)
        -> Setting
    {
        optional(key, path, "a text", help, { $0.optionalString(key) }, { .string($0) })
    }

    /// A list of texts, or a single text.
    public static func strings(
        _ key: String, _ path: WritableKeyPath<Root, [String]>, count: ClosedRange<Int> = 0...Int.max,
        _ help: String
    ) -> Setting {
        value(
            key, path, "a list of texts", help, false, { $0.strings(key, count: count, default: $1) },
            { .array($0.map { .string($0) }) })
    }

    /// One of the cases of an enumeration.
    public static func choice<Value>(
        _ key: String, _ path: WritableKeyPath<Root, Value>, isRequired: Bool = false, _ help: String
    ) -> Setting where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
        value(
            key, path, SettingsReader.names(of: Value.self), help, isRequired,
            { $0.enumeration(key, default: $1) }, { .string($0.rawValue) })
    }

    /// One of the cases of an enumeration, or absent.
    public static func choice<Value>(_ key: String, _ path: WritableKeyPath<Root, Value?>, _ help: String)
        -> Setting where Value: RawRepresentable & CaseIterable, Value.RawValue == String
    {
        optional(
            key, path, SettingsReader.names(of: Value.self), help,
            { $0.optionalEnumeration(key, Value.self) },
            { .string($0.rawValue) })
    }

    /// A value with a text form, as in `chunkwise:128`; `values` completes "must be".
    public static func parsed<Value>(
        _ key: String, _ path: WritableKeyPath<Root, Value>, values: String, _ help: String,
        parse: @escaping (String) -> Value?, text: @escaping (Value) -> String
    ) -> Setting {
        Setting(
            key, values: values, help,
            read: { reader, root in
                guard let found = reader.optionalString(key) else { return }
                if let value = parse(found) {
                    root[keyPath: path] = value
                } else {
                    reader.report(key, allowed: values)
                }
            }, write: { .string(text($0[keyPath: path])) })
    }
}

// MARK: Objects

extension Setting {
    /// An object with declared settings, read over its current value.
    public static func object<Value: DeclaredSettings>(_ key: String, _ path: WritableKeyPath<Root, Value>)
        -> Setting
    {
        Setting(
            key, values: "an object", "", nestedRows: Value.settingsRows,
            read: { reader, root in
                root[keyPath: path] = Value(reader.optionalObject(key), over: root[keyPath: path])
            }, write: { $0[keyPath: path].settings })
    }

    /// An object that may be absent.
    public static func object<Value: SettingsRepresentable & SettingsDocumented>(
        _ key: String, _ path: WritableKeyPath<Root, Value?>
    ) -> Setting {
        Setting(
            key, values: "an object", "", nestedRows: Value.settingsRows,
            read: { reader, root in
                if let inner = reader.optionalObject(key) { root[keyPath: path] = Value(reading: inner) }
            }, write: { $0[keyPath: path]?.settings })
    }

    /// An object that must be given.
    public static func requiredObject<Value: SettingsRepresentable & SettingsDocumented>(
        _ key: String, _ path: WritableKeyPath<Root, Value>
    ) -> Setting {
        Setting(
            key, values: "an object", "", nestedRows: Value.settingsRows,
            read: { $1[keyPath: path] = Value(reading: $0.object(key)) },
            write: { $0[keyPath: path].settings })
    }

    /// A list of objects.
    public static func objects<Value: SettingsRepresentable & SettingsDocumented>(
        _ key: String, _ path: WritableKeyPath<Root, [Value]>
    ) -> Setting {
        Setting(
            key, values: "a list of objects", "",
            nestedRows: Value.settingsRows.map {
                var row = $0
                row.path = "[]." + row.path
                return row
            },
            read: { reader, root in
                if reader.has(key) { root[keyPath: path] = reader.objects(key).map { Value(reading: $0) } }
            }, write: { .array($0[keyPath: path].map(\.settings)) })
    }
}

// MARK: Common parts

extension Setting {
    private static func value<Value>(
        _ key: String, _ path: WritableKeyPath<Root, Value>, _ values: String, _ help: String,
        _ isRequired: Bool,
        _ read: @escaping (SettingsReader, Value?) -> Value, _ tree: @escaping (Value) -> SettingsTree
    ) -> Setting {
        var setting = Setting(
            key, values: values, help,
            read: { $1[keyPath: path] = read($0, isRequired ? nil : $1[keyPath: path]) },
            write: { tree($0[keyPath: path]) })
        setting.hasFixedDefault = !isRequired
        return setting
    }

    private static func optional<Value>(
        _ key: String, _ path: WritableKeyPath<Root, Value?>, _ values: String, _ help: String,
        _ read: @escaping (SettingsReader) -> Value?, _ tree: @escaping (Value) -> SettingsTree
    ) -> Setting {
        Setting(
            key, values: values, help, read: { $1[keyPath: path] = read($0) ?? $1[keyPath: path] },
            write: { $0[keyPath: path].map(tree) })
    }
}

// MARK: Parts

extension Setting where Root: DeclaredSettings {
    /// An object whose settings are properties of `Root` itself.
    public static func group(_ key: String, _ settings: [Setting]) -> Setting {
        Setting(
            key, values: "an object", "", nestedRows: settings.flatMap { $0.rows(Root.standard) },
            read: { reader, root in
                guard let inner = reader.optionalObject(key) else { return }
                for setting in settings { setting.read(inner, &root) }
            },
            write: { tree(settings, of: $0) })
    }
}

extension Setting {
    /// The settings of a part, as settings of `Root`.
    public static func inline<Part: DeclaredSettings>(_ path: WritableKeyPath<Root, Part>) -> [Setting] {
        Part.declarations.map { inner in
            var setting = Setting(
                inner.key, values: inner.values, inner.help, nestedRows: inner.nestedRows(),
                read: { inner.readValue($0, &$1[keyPath: path]) },
                write: { inner.writeValue($0[keyPath: path]) })
            setting.hasFixedDefault = inner.hasFixedDefault
            setting.omittedValue = inner.omittedValue
            if let condition = inner.condition {
                setting = setting.when(
                    condition.text, { condition.holds($0[keyPath: path]) }, otherwise: condition.refusal)
            }
            return setting
        }
    }
}
