/// One tensor of a safetensors file: its name, type, shape and place.
public struct SafetensorsEntry: Equatable, Sendable {
    /// The tensor's name, unique within the file.
    public let name: String
    /// The type of the elements.
    public let elementType: StoredElementType
    /// The dimensions, outermost first; empty for a scalar.
    public let shape: [Int]
    /// The bytes of the tensor, counted from the start of the file; possibly not aligned.
    public let byteRange: Range<Int>

    /// Describes a tensor; nothing is checked.
    public init(name: String, elementType: StoredElementType, shape: [Int], byteRange: Range<Int>) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
        self.byteRange = byteRange
    }

    /// The number of bytes of the tensor.
    public var byteCount: Int { byteRange.count }

    /// The number of elements of the tensor.
    public var elementCount: Int { byteRange.count / elementType.byteCount }
}
