import RetNetStorage

/// A field of a request's object, declared once: reading requests and `/openapi.json` go by the same declaration.
struct Field<Value: Sendable>: DeclaredField {
    let name: String
    let summary: String
    /// What may stand there, for messages.
    let allowed: String
    /// What may stand there, as JSON Schema.
    let schema: JSONValue
    /// True if an endpoint needs it.
    var isRequired = false
    /// The value; nil for one that may not stand there.
    let value: @Sendable (JSONValue) -> Value?
}

/// A field without the type of its value.
protocol DeclaredField: Sendable {
    var name: String { get }
    var summary: String { get }
    var schema: JSONValue { get }
    var isRequired: Bool { get }
}

// MARK: Kinds

extension Field where Value == String {
    static func text(_ name: String, _ summary: String, pattern: String? = nil) -> Field {
        Field(
            name: name, summary: summary, allowed: "a text",
            schema: .schema("string", [("pattern", pattern.map { .string($0) })])
        ) { if case .string(let text) = $0 { text } else { nil } }
    }
}

extension Field where Value == Bool {
    static func flag(_ name: String, _ summary: String) -> Field {
        Field(name: name, summary: summary, allowed: "true or false", schema: .schema("boolean")) {
            if case .bool(let value) = $0 { value } else { nil }
        }
    }
}

extension Field where Value == Int {
    /// A whole number; the range may end at `Int.max`, which stands for no end.
    static func integer(_ name: String, _ range: ClosedRange<Int>, _ summary: String) -> Field {
        let isOpen = range.upperBound == .max
        return Field(
            name: name, summary: summary,
            allowed: "a whole number from \(range.lowerBound)" + (isOpen ? "" : " to \(range.upperBound)"),
            schema: .schema(
                "integer",
                [("minimum", .int(range.lowerBound)), ("maximum", .int(range.upperBound))])
        ) {
            let number: Int? =
                switch $0 {
                case .int(let number): number
                // 3.0 is a whole number, too.
                case .double(let number): Int(exactly: number)
                default: nil
                }
            return number.flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

extension Field where Value == Double {
    static func number(
        _ name: String, _ range: ClosedRange<Double>, _ summary: String, isOpenBelow: Bool = false
    )
        -> Field
    {
        Field(
            name: name, summary: summary,
            allowed: isOpenBelow
                ? "a number above \(range.lowerBound) and at most \(range.upperBound)"
                : "a number from \(range.lowerBound) to \(range.upperBound)",
            schema: .schema(
                "number",
                [
                    (isOpenBelow ? "exclusiveMinimum" : "minimum", .double(range.lowerBound)),
                    ("maximum", .double(range.upperBound)),
                ])
        ) {
            let number: Double? =
                switch $0 {
                case .int(let number): Double(number)
                case .double(let number): number
                default: nil
                }
            guard let number, range.contains(number), !(isOpenBelow && number == range.lowerBound) else {
                return nil
            }
            return number
        }
    }
}

extension Field where Value == UInt64 {
    /// A seed: any whole number of 64 bits with a sign.
    static func seed(_ name: String, _ summary: String) -> Field {
        Field(
            name: name, summary: summary, allowed: "a whole number of 64 bits",
            schema: .schema("integer", [("minimum", .int(.min)), ("maximum", .int(.max))])
        ) {
            // Larger numbers come as floating-point numbers that may have been rounded: refused.
            if case .int(let number) = $0 { UInt64(bitPattern: Int64(number)) } else { nil }
        }
    }
}

extension Field where Value == [String] {
    /// A text that is not empty, or a list of up to so many.
    static func texts(_ name: String, limit: Int, _ summary: String) -> Field {
        let text: JSONValue = ["type": "string", "minLength": 1]
        return Field(
            name: name, summary: summary, allowed: "a text that is not empty, or a list of up to \(limit)",
            schema: [
                "anyOf": [
                    text, ["type": "array", "items": text, "maxItems": .int(limit)], ["type": "null"],
                ]
            ]
        ) {
            let elements: [JSONValue] = if case .array(let elements) = $0 { elements } else { [$0] }
            let texts: [String] = elements.compactMap { if case .string(let text) = $0 { text } else { nil } }
            guard texts.count == elements.count, texts.count <= limit, !texts.contains("") else { return nil }
            return texts
        }
    }
}

extension Field where Value == [Int32] {
    static func tokens(_ name: String, _ summary: String) -> Field {
        Field(
            name: name, summary: summary, allowed: "a list of tokens",
            schema: .schema("array", [("items", Self.token)]), value: { Self.tokens($0) })
    }

    /// The schema of a token.
    static var token: JSONValue { ["type": "integer", "minimum": 0, "maximum": .int(Int(Int32.max))] }

    /// Returns the tokens of a list; nil if it is none.
    static func tokens(_ value: JSONValue) -> [Int32]? {
        guard case .array(let elements) = value else { return nil }
        var tokens: [Int32] = []
        tokens.reserveCapacity(elements.count)
        for element in elements {
            guard case .int(let number) = element, let token = Int32(exactly: number) else { return nil }
            tokens.append(token)
        }
        return tokens
    }
}

extension Field where Value == JSONValue {
    /// A value that its reader checks itself, with a schema of its own.
    static func any(_ name: String, _ summary: String, schema: JSONValue) -> Field {
        Field(name: name, summary: summary, allowed: "", schema: schema) { $0 }
    }
}

extension Field {
    /// The same field for an endpoint that needs it.
    var required: Field {
        var field = self
        field.isRequired = true
        return field
    }
}

extension JSONValue {
    /// A schema of a type or null, which counts as absent.
    static func schema(_ type: JSONValue, _ more: [(String, JSONValue?)] = []) -> JSONValue {
        .object(
            [(name: "type", value: [type, "null"])]
                + more.compactMap { name, value in value.map { (name: name, value: $0) } })
    }
}
