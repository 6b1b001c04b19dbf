/// The place and reason of a JSON text's refusal; the offset counts from the start of the text.
enum JSONFault: Error, Equatable {
    /// The text is not JSON.
    case syntax(byteOffset: Int, reason: String)
    /// The text is JSON but has another kind of value than wanted.
    case wrongKind(byteOffset: Int, reason: String)
    /// An object has the same key twice.
    case duplicateKey(key: String, byteOffset: Int)
}
