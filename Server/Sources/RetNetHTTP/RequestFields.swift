import RetNetServing
import RetNetStorage

/// The fields of a request's object, each of which is read once; what is left over is unknown.
struct RequestFields {
    /// The largest nesting of objects and lists in a body.
    private static let depthLimit = 32

    private var members: [String: JSONValue] = [:]

    /// Reads a body; throws ``APIError`` for what is not exactly one JSON value, and for names given twice.
    static func json(_ body: [UInt8]) throws -> JSONValue {
        do {
            return try JSONValue(reading: body, depth: depthLimit)
        } catch let fault as JSONFault {
            throw APIError.invalid(nil, "cannot read the body: \(fault)", code: "invalid_json")
        }
    }

    /// The fields of a body; throws ``APIError`` if it is no object.
    init(_ value: JSONValue) throws {
        guard case .object(let list) = value else {
            throw APIError.invalid(nil, "the body must be a JSON object, but it is \(value.kind)")
        }
        for member in list { members[member.name] = member.value }
    }

    /// Returns a field; null counts as absent.
    private mutating func take(_ name: String) -> JSONValue? {
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

    /// Returns the value of a field; nil if it is absent.
    ///
    /// Throws ``APIError`` for what may not stand there.
    mutating func read<Value>(_ field: Field<Value>) throws -> Value? {
        guard let found = take(field.name) else { return nil }
        guard let value = field.value(found) else { throw wrong(field.name, field.allowed, found) }
        return value
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

extension JSONValue {
    /// What kind of value this is, for messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .int: "a whole number"
        case .double: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}
