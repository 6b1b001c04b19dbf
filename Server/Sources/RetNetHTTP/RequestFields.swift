import RetNetServing

/// The fields of a request's object, each of which is read once; what is left over is unknown.
struct RequestFields {
    private var members: [String: JSONValue] = [:]

    /// The fields of a body; throws ``APIError`` if it is no object.
    init(_ value: JSONValue) throws {
        guard case .object(let list) = value else {
            throw APIError.invalid(nil, "the body must be a JSON object, but it is \(value.kind)")
        }
        for member in list { members[member.name] = member.value }
    }

    /// Returns a field; null counts as absent.
    mutating func take(_ name: String) -> JSONValue? {
        guard let value = members.removeValue(forKey: name), value != .null else { return nil }
        return value
    }

    private func wrong(_ name: String, _ allowed: String, _ found: JSONValue) -> APIError {
        let shown =
            switch found {
            case .int(let value): "\(value)"
            case .double(let value): "\(value)"
            case .bool(let value): "\(value)"
            default: found.kind
            }
        return .invalid(name, "'\(name)' must be \(allowed), but it is \(shown)")
    }

    mutating func string(_ name: String) throws -> String? {
        guard let value = take(name) else { return nil }
        guard case .string(let text) = value else { throw wrong(name, "a text", value) }
        return text
    }

    mutating func bool(_ name: String) throws -> Bool? {
        guard let value = take(name) else { return nil }
        guard case .bool(let result) = value else { throw wrong(name, "true or false", value) }
        return result
    }

    mutating func integer(_ name: String, _ range: ClosedRange<Int>) throws -> Int? {
        guard let value = take(name) else { return nil }
        let allowed =
            range.upperBound == .max
            ? "a whole number from \(range.lowerBound)"
            : "a whole number from \(range.lowerBound) to \(range.upperBound)"
        guard case .int(let number) = value, range.contains(number) else { throw wrong(name, allowed, value) }
        return number
    }

    mutating func number(_ name: String, _ range: ClosedRange<Double>) throws -> Double? {
        guard let value = take(name) else { return nil }
        let allowed =
            range.upperBound == .infinity
            ? "a number from \(range.lowerBound)" : "a number from \(range.lowerBound) to \(range.upperBound)"
        let number: Double? =
            switch value {
            case .int(let number): Double(number)
            case .double(let number): number
            default: nil
            }
        guard let number, range.contains(number) else { throw wrong(name, allowed, value) }
        return number
    }

    /// Returns a seed: any whole number of 64 bits.
    mutating func seed(_ name: String) throws -> UInt64? {
        guard let value = take(name) else { return nil }
        switch value {
        case .int(let number): return UInt64(bitPattern: Int64(number))
        // Numbers above those of Int come as floating-point numbers that may have been rounded: refused.
        default: throw wrong(name, "a whole number of 64 bits", value)
        }
    }

    /// Returns a text, or a list of texts.
    mutating func strings(_ name: String, limit: Int) throws -> [String]? {
        guard let value = take(name) else { return nil }
        let allowed = "a text that is not empty, or a list of up to \(limit)"
        let elements: [JSONValue] = if case .array(let elements) = value { elements } else { [value] }
        let texts: [String] = elements.compactMap { if case .string(let text) = $0 { text } else { nil } }
        guard texts.count == elements.count, texts.count <= limit, !texts.contains("") else {
            throw wrong(name, allowed, value)
        }
        return texts
    }

    /// Returns a list of tokens.
    mutating func tokens(_ name: String) throws -> [Int32]? {
        guard let value = take(name) else { return nil }
        guard let tokens = Self.tokens(value) else { throw wrong(name, "a list of tokens", value) }
        return tokens
    }

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

    /// Refuses fields that nothing has read.
    func finish() throws {
        guard let name = members.keys.sorted().first else { return }
        let names = members.keys.sorted().map { "'\($0)'" }.joined(separator: ", ")
        throw APIError.invalid(
            name,
            members.count == 1
                ? "this endpoint has no field \(names)" : "this endpoint has none of the fields \(names)",
            code: "unknown_field")
    }
}
