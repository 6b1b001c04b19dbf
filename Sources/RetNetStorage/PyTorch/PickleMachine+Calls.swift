extension PickleMachine {
    /// Returns what a call of a known function gives, as a description; refuses all others by name.
    ///
    /// Making an object is a call of its class.
    mutating func result(of function: PickleValue, _ arguments: PickleValue) throws -> PickleValue {
        guard let name = graph.name(function) else { throw fault("something that is no function is called") }
        guard let arguments = graph.tuple(arguments) else { throw damaged() }
        return try result(of: name, arguments)
    }

    private mutating func result(of name: String, _ arguments: [PickleValue]) throws -> PickleValue {
        switch name {
        case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2",
            "torch._utils._rebuild_tensor_v3":
            return try tensor(name, arguments)
        case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state",
            "torch.nn.parameter.Parameter":
            guard let data = arguments.first, graph.tensor(data) != nil else { throw damaged() }
            return data
        case "torch._tensor._rebuild_from_type_v2":
            return try tensorOfClass(arguments)
        case "collections.OrderedDict", "builtins.dict", "collections.Counter":
            return try dictionary(arguments.first)
        case "collections.defaultdict":
            return try dictionary(arguments.dropFirst().first)
        case "builtins.list", "collections.deque":
            return try made(.list, items(arguments.first))
        case "builtins.tuple", "torch.Size":
            return try made(.tuple, items(arguments.first))
        case "builtins.set", "builtins.frozenset":
            return try made(.set, items(arguments.first))
        case "builtins.str", "torch.serialization._get_layout":
            guard let text = arguments.first.flatMap(graph.string) else { throw damaged() }
            return .string(text)
        case "builtins.int", "builtins.float", "builtins.bool":
            guard arguments.count == 1, let value = arguments.first else { throw damaged() }
            if case .node = value { throw damaged() }
            return value
        case "builtins.complex":
            return try made(.object(name), arguments)
        case "builtins.bytes", "builtins.bytearray":
            return try bytes(arguments)
        case "_codecs.encode":
            return try encoded(arguments)
        case "torch.device":
            guard let type = arguments.first.flatMap(graph.string) else { throw damaged() }
            try charge(type.utf8.count / 16)
            return .string(type + (arguments.dropFirst().first.flatMap(graph.int).map { ":\($0)" } ?? ""))
        case "pathlib.PosixPath", "pathlib.PurePosixPath", "pathlib.WindowsPath", "pathlib.PureWindowsPath",
            "pathlib._local.PosixPath", "pathlib._local.WindowsPath":
            return try path(arguments, separator: name.hasSuffix("WindowsPath") ? "\\" : "/")
        case "copyreg._reconstructor":
            guard arguments.count == 3, let type = graph.name(arguments[0]) else { throw damaged() }
            guard PickleTypes.isPlainClass(type) else { throw PyTorchFault.call(name: type) }
            return try made(.object(type))
        default:
            if PickleTypes.isDictionaryClass(name) { return try dictionary(arguments.first) }
            guard PickleTypes.isPlainClass(name) else { throw PyTorchFault.call(name: name) }
            return try made(.object(name), arguments)
        }
    }

    // MARK: Names, objects and storages

    /// Returns a function or class by its name, the same for the same one.
    mutating func global(_ module: String, _ name: String) throws -> PickleValue {
        let full = ExactString(PickleText.currentName(module: module, name: name))
        if let index = globalIndices[full] { return .global(index) }
        try charge(4 + full.text.utf8.count / 16)
        graph.globals.append(full.text)
        globalIndices[full] = graph.globals.count - 1
        return .global(graph.globals.count - 1)
    }

    /// Sets the attributes of the object on top of the stack.
    mutating func build(_ object: PickleValue, _ state: PickleValue) throws {
        guard case .node(let index) = object else {
            throw fault("something that is no object gets attributes")
        }
        switch graph.nodes[index].kind {
        // Attributes beside the items, such as the versions of modules in a state dictionary.
        case .dictionary, .tensor: break
        case .object: graph.nodes[index].state = state
        default: throw fault("something that is no object gets attributes")
        }
    }

    /// Returns the storage that a persistent identifier describes, the same for the same key.
    mutating func persistent(_ identifier: PickleValue) throws -> PickleValue {
        let storage: PickleStorage
        guard let parts = graph.tuple(identifier), let kind = parts.first.flatMap(graph.string) else {
            throw fault("it refers to something outside of the file")
        }
        guard kind == "storage", parts.count >= 5 else {
            throw PyTorchFault.call(name: kind == "module" ? "the code of a whole module" : kind)
        }
        guard let type = graph.name(parts[1]),
            let key = graph.string(parts[2]) ?? graph.int(parts[2]).map(String.init),
            let count = graph.int(parts[4]), count >= 0
        else { throw damaged() }
        storage = PickleStorage(key: key, elementType: try PickleTypes.storageElement(type), count: count)
        guard storage.byteCount != nil else { throw fault("a storage has more bytes than 64 bits can count") }
        let index: Int
        if let known = storageIndices[ExactString(key)] {
            index = known
            guard graph.storages[index] == storage else {
                throw fault("the storage '\(key)' occurs with two types or sizes")
            }
        } else {
            index = graph.storages.count
            graph.storages.append(storage)
            storageIndices[ExactString(key)] = index
        }
        // The form before 1.6 may name a part of the storage.
        guard parts.count > 5, let view = graph.tuple(parts[5]) else { return try made(.storage(index)) }
        guard view.count == 3, let start = graph.int(view[1]), let length = graph.int(view[2]), start >= 0,
            length >= 0, start <= count, length <= count - start
        else { throw fault("a part of the storage '\(key)' lies outside of it") }
        return try made(.storage(index), [.int(start), .int(length)])
    }

    // MARK: Tensors

    private mutating func tensor(_ function: String, _ arguments: [PickleValue]) throws -> PickleValue {
        guard arguments.count >= 4, let node = graph.node(arguments[0]), case .storage(let index) = node.kind,
            let viewOffset = graph.int(arguments[1]), let shape = integers(arguments[2]),
            let strides = integers(arguments[3]), viewOffset >= 0, shape.count == strides.count,
            shape.allSatisfy({ $0 >= 0 }), strides.allSatisfy({ $0 >= 0 })
        else { throw fault("a tensor is described wrongly") }
        guard shape.count <= 64 else { throw fault("a tensor has \(shape.count) dimensions") }
        let storage = graph.storages[index]
        var elementType = storage.elementType
        if function.hasSuffix("_v3") {
            guard arguments.count >= 7, let name = graph.name(arguments[6]) else { throw damaged() }
            elementType = try PickleTypes.element(name)
        }
        let type = elementType ?? .uint8
        let part = node.items.compactMap(graph.int)
        let (offset, overflows) = viewOffset.addingReportingOverflow(part.first ?? 0)
        // What lies behind a view's last element, in elements; a tensor without elements needs nothing.
        guard !overflows, let byteCount = storage.byteCount, type.bitCount % 8 == 0,
            let end = Self.end(of: shape, strides, offset: offset),
            case let limit = part.count == 2 ? part[0] + part[1] : byteCount / (type.bitCount / 8),
            end <= limit || shape.contains(0)
        else { throw fault("a tensor reaches beyond its storage") }
        return try made(
            .tensor(
                PickleTensor(
                    storage: index, elementType: type, offset: offset, shape: shape, strides: strides)))
    }

    /// Returns the number of elements up to the end of a view; nil if 64 bits cannot hold it.
    private static func end(of shape: [Int], _ strides: [Int], offset: Int) -> Int? {
        var last = offset
        var count = 1
        for (dimension, stride) in zip(shape, strides) where dimension > 0 {
            let (extent, overflows) = (dimension - 1).multipliedReportingOverflow(by: stride)
            let (sum, overflowsAgain) = last.addingReportingOverflow(extent)
            let (product, overflowsLast) = count.multipliedReportingOverflow(by: dimension)
            guard !overflows, !overflowsAgain, !overflowsLast else { return nil }
            (last, count) = (sum, product)
        }
        let (end, overflows) = last.addingReportingOverflow(1)
        return overflows || count > Int.max / 16 ? nil : end
    }

    /// Returns the tensor of a subclass that adds only attributes.
    private mutating func tensorOfClass(_ arguments: [PickleValue]) throws -> PickleValue {
        guard arguments.count >= 3, let function = graph.name(arguments[0]),
            let type = graph.name(arguments[1]),
            let inner = graph.tuple(arguments[2])
        else { throw damaged() }
        guard
            type == "torch.Tensor" || type == "torch._tensor.Tensor" || type == "torch.nn.parameter.Parameter"
        else {
            throw PyTorchFault.call(name: type)
        }
        // Not itself, so that calls do not nest.
        guard
            function.hasPrefix("torch._utils._rebuild_tensor")
                || function == "torch._utils._rebuild_parameter"
        else { throw PyTorchFault.call(name: function) }
        return try result(of: function, inner)
    }

    // MARK: Plain values

    private func integers(_ value: PickleValue) -> [Int]? {
        guard let items = graph.tuple(value) else { return nil }
        let numbers = items.compactMap(graph.int)
        return numbers.count == items.count ? numbers : nil
    }

    /// The items of a container that another one is made from.
    private func items(_ value: PickleValue?) throws -> [PickleValue] {
        guard let value else { return [] }
        guard let node = graph.node(value) else { throw damaged() }
        switch node.kind {
        case .list, .tuple, .set: return node.items
        case .dictionary: return stride(from: 0, to: node.items.count, by: 2).map { node.items[$0] }
        default: throw damaged()
        }
    }

    /// Makes a dictionary from another one, from pairs, or from nothing.
    private mutating func dictionary(_ value: PickleValue?) throws -> PickleValue {
        guard let value, let node = graph.node(value) else { return try made(.dictionary) }
        if case .dictionary = node.kind { return try made(.dictionary, node.items) }
        var items: [PickleValue] = []
        for pair in try self.items(value) {
            guard let pair = graph.tuple(pair), pair.count == 2 else { throw damaged() }
            items += pair
        }
        return try made(.dictionary, items)
    }

    private mutating func bytes(_ arguments: [PickleValue]) throws -> PickleValue {
        guard let value = arguments.first else { return try made(.bytes([])) }
        if let bytes = graph.bytes(value) { return try made(.bytes(bytes)) }
        // Under protocol 2 a text of Latin-1 with the name of the encoding.
        guard graph.string(value) != nil else { throw damaged() }
        return try encoded(arguments)
    }

    private mutating func encoded(_ arguments: [PickleValue]) throws -> PickleValue {
        guard let text = arguments.first.flatMap(graph.string) else { throw damaged() }
        let encoding = arguments.dropFirst().first.flatMap(graph.string) ?? "utf-8"
        guard encoding == "latin1" || encoding == "latin-1" else { return try made(.bytes(Array(text.utf8))) }
        let scalars = text.unicodeScalars
        guard scalars.allSatisfy({ $0.value < 256 }) else { throw damaged() }
        return try made(.bytes(scalars.map { UInt8(truncatingIfNeeded: $0.value) }))
    }

    private mutating func path(_ parts: [PickleValue], separator: String) throws -> PickleValue {
        let names = parts.compactMap(graph.string)
        guard names.count == parts.count else { throw damaged() }
        // One after the other, so that parts that are shared cannot add up to more than 64 bits.
        for name in names { try charge(1 + name.utf8.count / 16) }
        let joined = names.joined(separator: separator)
        return .string(joined.hasPrefix("//") ? String(joined.dropFirst()) : joined)
    }
}

/// The names of PyTorch and of other libraries that checkpoints consist of.
enum PickleTypes {
    private static let storages: [String: StoredElementType] = [
        "FloatStorage": .float32, "DoubleStorage": .float64, "HalfStorage": .float16,
        "BFloat16Storage": .bfloat16, "LongStorage": .int64, "IntStorage": .int32, "ShortStorage": .int16,
        "CharStorage": .int8, "ByteStorage": .uint8, "BoolStorage": .bool, "ComplexFloatStorage": .complex64,
    ]

    private static let elements: [String: StoredElementType] = [
        "float32": .float32, "float": .float32, "float64": .float64, "double": .float64, "float16": .float16,
        "half": .float16, "bfloat16": .bfloat16, "int64": .int64, "long": .int64, "int32": .int32,
        "int": .int32,
        "int16": .int16, "short": .int16, "int8": .int8, "uint8": .uint8, "bool": .bool, "uint16": .uint16,
        "uint32": .uint32, "uint64": .uint64, "complex64": .complex64, "float8_e4m3fn": .float8E4M3,
        "float8_e5m2": .float8E5M2, "float8_e4m3fnuz": .float8E4M3Unsigned0,
        "float8_e5m2fnuz": .float8E5M2Unsigned0, "float8_e8m0fnu": .float8E8M0,
    ]

    /// Classes whose objects are kept as their arguments and attributes, which is all that they are.
    private static let plainClasses: Set<String> = [
        "argparse.Namespace", "types.SimpleNamespace", "builtins.object", "builtins.slice", "builtins.range",
        "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
        "numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer", "datetime.datetime",
        "datetime.timedelta", "datetime.date", "uuid.UUID", "decimal.Decimal", "fractions.Fraction",
        "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.base.Metadata",
        "omegaconf.base.ContainerMetadata", "omegaconf.nodes.AnyNode", "omegaconf.nodes.StringNode",
        "omegaconf.nodes.IntegerNode", "omegaconf.nodes.FloatNode", "omegaconf.nodes.BooleanNode",
        "omegaconf.nodes.EnumNode", "omegaconf.nodes.BytesNode", "omegaconf.nodes.PathNode",
        "omegaconf.nodes.InterpolationResultNode", "omegaconf.nodes.ValueNode", "omegaconf.base.SCMode",
    ]

    private static let dictionaryClasses: Set<String> = [
        "pytorch_lightning.utilities.parsing.AttributeDict", "lightning_fabric.utilities.data.AttributeDict",
        "lightning.fabric.utilities.data.AttributeDict", "transformers.utils.generic.ModelOutput",
        "easydict.EasyDict", "addict.addict.Dict", "ml_collections.config_dict.config_dict.ConfigDict",
    ]

    static func isPlainClass(_ name: String) -> Bool { plainClasses.contains(name) }

    static func isDictionaryClass(_ name: String) -> Bool { dictionaryClasses.contains(name) }

    /// Returns the element type of a class of storages; nil for plain bytes.
    static func storageElement(_ name: String) throws -> StoredElementType? {
        if name == "torch.storage.UntypedStorage" || name == "torch.UntypedStorage" { return nil }
        for prefix in ["torch.", "torch.cuda.", "torch.storage."] {
            if let short = name.dropping(exactPrefix: prefix), let type = storages[short] { return type }
        }
        throw PyTorchFault.elements(name: name)
    }

    /// Returns the type of elements of a name.
    static func element(_ name: String) throws -> StoredElementType {
        guard let short = name.dropping(exactPrefix: "torch."), let type = elements[short] else {
            throw PyTorchFault.elements(name: name)
        }
        return type
    }
}
