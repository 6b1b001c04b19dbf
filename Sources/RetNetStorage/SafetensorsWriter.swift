import Foundation

/// Writes safetensors files atomically, one tensor at a time.
///
/// Within a file the tensors are laid out by decreasing element size, otherwise in the order given, so
/// that each is aligned to its element. The header is padded with spaces to a multiple of eight bytes.
public struct SafetensorsWriter {
    /// One tensor to be written.
    public struct Tensor {
        /// The tensor's name.
        public let name: String
        /// The type of the elements.
        public let elementType: StoredElementType
        /// The dimensions, outermost first; empty for a scalar.
        public let shape: [Int]
        let provide: (FileSink) throws -> Void

        /// Describes a tensor whose little-endian bytes `provide` writes to the sink when asked.
        public init(
            name: String, elementType: StoredElementType, shape: [Int],
            provide: @escaping (FileSink) throws -> Void
        ) {
            self.name = name
            self.elementType = elementType
            self.shape = shape
            self.provide = provide
        }

        /// Describes a tensor with its little-endian bytes.
        public init(name: String, elementType: StoredElementType, shape: [Int], data: Data) {
            self.init(name: name, elementType: elementType, shape: shape) { try $0.write(data) }
        }
    }

    /// The tensors to be written.
    public let tensors: [Tensor]
    /// The texts for `__metadata__`; left out of the file when empty.
    public let metadata: [String: String]

    /// Prepares a writer; the tensors are checked when written.
    public init(_ tensors: [Tensor], metadata: [String: String] = [:]) {
        self.tensors = tensors
        self.metadata = metadata
    }

    /// Writes all tensors to one file at `path`, atomically.
    ///
    /// Throws `StorageError`, `invalidSafetensors` among them if a name occurs twice or is reserved, a
    /// shape is impossible, or a tensor's bytes are not as many as its shape and type need; then nothing
    /// is left behind and an earlier file is untouched.
    public func write(to path: String) throws {
        do {
            try Self.checkNames(tensors)
            let laidOut = try Self.laidOut(tensors)
            let header = try Self.header(laidOut, metadata: metadata)
            try AtomicFile.write(to: path) { sink in
                try sink.write(header)
                for (tensor, byteCount) in laidOut {
                    let start = sink.byteCount
                    try tensor.provide(sink)
                    let found = sink.byteCount - start
                    guard found == byteCount else {
                        throw SafetensorsFault.byteCountMismatch(
                            name: tensor.name, expected: byteCount, found: found)
                    }
                }
            }
        } catch let fault as SafetensorsFault {
            throw StorageError.invalidSafetensors(path: path, fault: fault)
        }
    }

    /// The byte count of a tensor; throws `SafetensorsFault`.
    static func byteCount(of tensor: Tensor) throws -> Int {
        if tensor.shape.contains(where: { $0 < 0 }) {
            throw SafetensorsFault.negativeDimension(name: tensor.name, byteOffset: 0)
        }
        guard let byteCount = tensor.elementType.byteCount(shape: tensor.shape) else {
            throw SafetensorsFault.shapeOverflow(name: tensor.name)
        }
        return byteCount
    }

    /// Refuses names that occur twice or are reserved; throws `SafetensorsFault`.
    static func checkNames(_ tensors: [Tensor]) throws {
        var names: Set<String> = []
        for tensor in tensors {
            guard tensor.name != "__metadata__" else {
                throw SafetensorsFault.reservedName(name: tensor.name)
            }
            guard names.insert(tensor.name).inserted else {
                throw SafetensorsFault.duplicateName(name: tensor.name)
            }
        }
    }

    private static func laidOut(_ tensors: [Tensor]) throws -> [(tensor: Tensor, byteCount: Int)] {
        let order = tensors.indices.sorted { left, right in
            let (a, b) = (tensors[left].elementType.byteCount, tensors[right].elementType.byteCount)
            return a == b ? left < right : a > b
        }
        return try order.map { (tensors[$0], try byteCount(of: tensors[$0])) }
    }

    private static func header(
        _ laidOut: [(tensor: Tensor, byteCount: Int)], metadata: [String: String]
    ) throws -> Data {
        var members: [String] = []
        if !metadata.isEmpty {
            let texts = metadata.sorted { $0.key < $1.key }
                .map { UTF8Text.quoted($0.key) + ":" + UTF8Text.quoted($0.value) }
            members.append("\"__metadata__\":{" + texts.joined(separator: ",") + "}")
        }
        var begin = 0
        for (tensor, byteCount) in laidOut {
            let (end, overflows) = begin.addingReportingOverflow(byteCount)
            guard !overflows else { throw SafetensorsFault.shapeOverflow(name: tensor.name) }
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            members.append(
                UTF8Text.quoted(tensor.name)
                    + ":{\"dtype\":\"\(tensor.elementType.rawValue)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(begin),\(end)]}")
            begin = end
        }
        var text = Data(("{" + members.joined(separator: ",") + "}").utf8)
        text.append(Data(repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8))
        guard text.count <= SafetensorsHeader.maximumByteCount else {
            throw SafetensorsFault.headerTooLong(byteCount: UInt64(text.count))
        }
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) }
        return length + text
    }
}
