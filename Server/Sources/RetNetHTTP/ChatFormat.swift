import ChatTemplates
import Foundation
import RetNetServing
import RetNetStorage
import RetNetText

/// How a model's conversations become text: by a template of its folder, or by a plain one for models that have none.
struct ChatFormat: Sendable {
    private let template: ChatTemplate
    private let beginName: String
    private let endName: String
    /// True for the plain form, of which no model knows an end.
    let isPlain: Bool

    /// The plain form: names, messages, and the name of who answers.
    private static let plainTemplate = """
        {% for message in messages %}{{ message.role | capitalize }}: {{ message.content | trim }}
        {% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}
        """
    /// Where a text in the plain form ends: its model would go on with the next question.
    static let plainStops = ["\nUser:", "\nSystem:"]
    private static let byteLimit = 16 << 20

    /// Reads the template of a model folder, or of a file if one is given; throws ``TemplateError`` and ``Failure``.
    init(folder: String, file: String?, tokenizer: any Tokenizer) throws {
        let text = try file.map { try Self.read($0) } ?? Self.template(in: folder)
        isPlain = text == nil
        template = try ChatTemplate(text ?? Self.plainTemplate)
        func name(_ token: Int32?) -> String { token.flatMap { tokenizer.specialName(of: $0) } ?? "" }
        (beginName, endName) = (name(tokenizer.beginToken), name(tokenizer.endToken))
    }

    /// A file of a template that cannot be read.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static func read(_ path: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: path), data.count <= byteLimit,
            let text = String(data: data, encoding: .utf8)
        else {
            throw Failure(
                description:
                    "cannot read the chat template '\(path)': it must be a text of up to \(byteLimit) bytes")
        }
        return text
    }

    /// Returns the template of a model folder: a file of its own, or the one in `tokenizer_config.json`.
    private static func template(in folder: String) throws -> String? {
        let own = folder + "/chat_template.jinja"
        if FileManager.default.fileExists(atPath: own) { return try read(own) }
        let path = folder + "/tokenizer_config.json"
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        switch try JSONValue(reading: Array(try read(path).utf8))["chat_template"] {
        case .string(let text)?: return text
        case .array(let list)?:
            // Several templates with names; conversations without tools have the one named default.
            for element in list where element["name"] == "default" {
                if case .string(let text)? = element["template"] { return text }
            }
            throw Failure(
                description: "'\(path)' has several chat templates, but none with the name 'default'")
        case .null?, nil: return nil
        default:
            throw Failure(description: "'\(path)': 'chat_template' must be a text or a list of templates")
        }
    }

    /// A conversation as text.
    struct Text {
        let text: String
        /// The places in bytes at which other conversations may go on differently: behind the first messages if they are
        /// the system's, and in front of the last one.
        let marks: [Int]
    }

    /// Returns the text of a conversation; throws ``APIError`` for what the template refuses.
    func text(_ messages: [JSONValue], addsPrompt: Bool, _ more: [JSONValue.Member]) throws -> Text {
        func render(_ count: Int, _ addsPrompt: Bool) throws -> String {
            var names = TemplateDictionary([
                ("messages", .list(messages.prefix(count).map(Self.value))),
                ("add_generation_prompt", .bool(addsPrompt)),
                ("bos_token", .string(beginName)), ("eos_token", .string(endName)), ("tools", .none),
                ("documents", .none),
            ])
            for member in more { names[member.name] = Self.value(member.value) }
            return try template.render(names)
        }
        do {
            let text = try render(messages.count, addsPrompt)
            let systemCount = messages.prefix { $0["role"] == "system" || $0["role"] == "developer" }.count
            let marks = Set([systemCount, messages.count - 1]).compactMap { count -> Int? in
                // A template may refuse a conversation that ends there; then it has no such place.
                guard count > 0, count < messages.count, let beginning = try? render(count, false) else {
                    return nil
                }
                return zip(text.utf8, beginning.utf8).prefix { $0 == $1 }.count
            }
            return Text(text: text, marks: marks)
        } catch let error as TemplateError {
            throw APIError.invalid("messages", "\(error)", code: "chat_template")
        }
    }

    static func value(_ json: JSONValue) -> TemplateValue {
        switch json {
        case .null: .none
        case .bool(let value): .bool(value)
        case .int(let value): .int(value)
        case .double(let value): .double(value)
        case .string(let value): .string(value)
        case .array(let values): .list(values.map(value))
        case .object(let members): .dict(TemplateDictionary(members.map { ($0.name, value($0.value)) }))
        }
    }
}
