/// What a tokenizer's file puts around a text when it is asked for special tokens, and how it trims offsets.
struct TextFrame: Sendable {
    /// A rule that takes white space at the ends of tokens out of their ranges.
    struct Trimming: Sendable, Hashable {
        var addsPrefixSpace: Bool
    }

    var before: [Int32] = []
    var after: [Int32] = []
    var trimmings: [Trimming] = []

    init() {}

    /// Reads the section of a file; throws ``TokenizerFault`` for unknown parts.
    init(_ node: JSONNode) throws { try add(node) }

    private mutating func add(_ node: JSONNode) throws {
        let type = try node.partType()
        switch type {
        case "Sequence":
            for part in try PartOptions(node, "processors").required("processors").elements() {
                try add(part)
            }
        case "ByteLevel":
            let options = try PartOptions(node, "add_prefix_space", "trim_offsets", "use_regex")
            if try options.bool("trim_offsets") {
                trimmings.append(Trimming(addsPrefixSpace: try options.bool("add_prefix_space")))
            }
        case "BertProcessing":
            let options = try PartOptions(node, "sep", "cls")
            before.insert(try Self.token(options.required("cls")), at: 0)
            after.append(try Self.token(options.required("sep")))
        case "RobertaProcessing":
            let options = try PartOptions(node, "sep", "cls", "trim_offsets", "add_prefix_space")
            before.insert(try Self.token(options.required("cls")), at: 0)
            after.append(try Self.token(options.required("sep")))
            if try options.bool("trim_offsets") {
                trimmings.append(Trimming(addsPrefixSpace: try options.bool("add_prefix_space")))
            }
        case "TemplateProcessing": try addTemplate(node)
        default: throw node.unsupported("has the type '\(type)', which is not supported")
        }
    }

    /// Reads `["[SEP]", 102]`.
    private static func token(_ node: JSONNode) throws -> Int32 {
        let parts = try node.elements()
        guard parts.count == 2, let number = Int32(exactly: try parts[1].integer()) else {
            throw node.fault("is not a token with its number")
        }
        return number
    }

    private mutating func addTemplate(_ node: JSONNode) throws {
        let options = try PartOptions(node, "single", "pair", "special_tokens")
        let special = try options.optional("special_tokens")?.members() ?? [:]
        var (head, tail, hasText): ([Int32], [Int32], Bool) = ([], [], false)
        for part in try options.required("single").elements() {
            if let token = try part.member("SpecialToken") {
                let name = try PartOptions(token, "id", "type_id").string("id")
                guard let entry = special[name] else {
                    throw token.fault("names '\(name)', which is not in 'special_tokens'")
                }
                for number in try PartOptions(entry, "id", "ids", "tokens").required("ids").elements() {
                    guard let number = Int32(exactly: try number.integer()) else {
                        throw number.fault("is too large")
                    }
                    if hasText { tail.append(number) } else { head.append(number) }
                }
            } else {
                guard try part.member("Sequence")?.member("id")?.string() == "A", !hasText else {
                    throw part.unsupported("is not a special token or the text 'A' once")
                }
                hasText = true
            }
        }
        guard hasText else { throw node.fault("has a template without the text") }
        before = head + before
        after += tail
    }
}
