import RetNetTorch

/// The named parameters of a model, in the order in which its layers declared them.
public final class ParameterStore {
    /// One parameter.
    public struct Entry {
        /// The dotted name, which is also its name in checkpoint files.
        public let name: String
        /// The values, trained in place.
        public let tensor: Tensor
        /// True if weight decay applies (matrices; not norms, biases or embeddings).
        public let decays: Bool
        /// The largest learning rate of the parameter; nil for no limit of its own.
        public let maximumLearningRate: Double?
        /// True for a linear map, or several, from one vector of channels to another: what the optimizer Muon orthogonalizes.
        ///
        /// Tables with a row per token are not, as input or as output.
        public let isHiddenMap: Bool
        /// Which part of the parameter the values are, where ranks have one each; nil for all of it.
        public let part: Part?
    }

    /// A parameter that is divided between the ranks of a group along an axis.
    public struct Part: Sendable, Equatable {
        /// The axis along which every rank has an equal part, in the order of the ranks.
        public let axis: Int
        /// The shape of the whole parameter.
        public let wholeShape: [Int]
    }

    /// The origin of the values of new parameters.
    public enum Source {
        /// Drawn from each parameter's initializer; the draw depends on the seed and the name alone.
        case random(seed: UInt64)
        /// Read by a closure of name and expected shape, from a checkpoint for example.
        case provided((_ name: String, _ shape: [Int]) throws -> Tensor)
        /// None: every parameter is a view of a single zero, so that names and shapes are known at no cost.
        case shapes
    }

    /// All parameters in declaration order.
    public private(set) var entries: [Entry] = []
    private var indices: [String: Int] = [:]

    /// The element type in which parameters are kept.
    public let elementType: ElementType
    /// The device on which parameters are kept.
    public let device: Device
    /// The ranks that have parts of the layers; nil for whole layers.
    public let group: (any RankGroup)?
    private let source: Source
    /// The zero that every parameter is a view of with ``Source/shapes``.
    private var zero: Tensor?

    /// An empty store.
    ///
    /// With a `group`, layers that can be divided declare this rank's part of their parameters. Sources are asked for whole
    /// parameters, so that the values do not depend on the number of ranks.
    public init(
        source: Source, elementType: ElementType = .float32, device: Device = .cpu,
        group: (any RankGroup)? = nil
    ) {
        self.group = group
        self.source = source
        self.elementType = elementType
        self.device = device
    }

    /// The outermost scope, whose names have no prefix.
    public var root: ParameterScope { ParameterScope(store: self, prefix: "") }

    /// The parameter of that name, if there is one.
    public subscript(name: String) -> Tensor? { indices[name].map { entries[$0].tensor } }

    /// All values, in order.
    public var tensors: [Tensor] { entries.map(\.tensor) }
    /// The number of values in all parameters of the model, whatever part of them this rank has.
    public var wholeParameterCount: Int {
        entries.reduce(0) { $0 + ($1.part?.wholeShape.reduce(1, *) ?? $1.tensor.elementCount) }
    }
    /// The number of values in all parameters here.
    public var parameterCount: Int { entries.reduce(0) { $0 + $1.tensor.elementCount } }

    /// Returns names and shapes of the parameters that a body declares, in order, without allocating them.
    ///
    /// A layer's parameters are declared by its initializer and nowhere else; this is how they are counted.
    public static func shapes(_ declare: (ParameterScope) throws -> Void) throws
        -> [(name: String, shape: [Int])]
    {
        let store = ParameterStore(source: .shapes)
        try declare(store.root)
        return store.entries.map { ($0.name, $0.tensor.shape) }
    }

    /// Makes all parameters require gradients, or none.
    public func setRequiresGradient(_ enabled: Bool) throws {
        for entry in entries { try entry.tensor.requiringGradient(enabled) }
    }

    /// Clears all accumulated gradients.
    public func clearGradients() throws {
        for entry in entries { try entry.tensor.clearGradient() }
    }

    func declare(
        _ name: String, shape: [Int], initializer: () throws -> Initializer, decays: Bool,
        maximumLearningRate: Double?, isHiddenMap: Bool, dividedAlong axis: Int?
    ) throws -> Tensor {
        guard indices[name] == nil else {
            throw TorchError(
                kind: .value,
                message: "the parameter '\(name)' is declared twice; give each layer a scope of its own")
        }
        let part = group == nil ? nil : axis.map { Part(axis: $0, wholeShape: shape) }
        var tensor: Tensor
        switch source {
        case .random(let seed):
            let generator = try Generator(seed: Self.mix(seed, name))
            // The order in memory decides how products round: it must be that of a checkpoint's tensors.
            tensor = try initializer().makeTensor(shape, generator: generator).to(elementType, on: device)
                .contiguous()
        case .provided(let provide):
            tensor = try provide(name, shape).to(elementType, on: device)
            guard tensor.shape == shape else {
                throw TorchError(
                    kind: .value,
                    message: "the parameter '\(name)' needs shape \(shape), found \(tensor.shape)")
            }
        case .shapes:
            let zero = try zero ?? Tensor.zeros([1], elementType, on: device)
            self.zero = zero
            tensor = try zero.expanded(shape)
        }
        if let part { tensor = try own(part, of: tensor, name) }
        indices[name] = entries.count
        entries.append(
            Entry(
                name: name, tensor: tensor, decays: decays, maximumLearningRate: maximumLearningRate,
                isHiddenMap: isHiddenMap, part: part))
        return tensor
    }

    /// Returns this rank's part of a parameter, in memory of its own.
    private func own(_ part: Part, of whole: Tensor, _ name: String) throws -> Tensor {
        guard let group, whole.size(part.axis) % group.count == 0 else {
            throw TorchError(
                kind: .value,
                message: "the parameter '\(name)' of shape \(whole.shape) cannot be divided between"
                    + " \(group?.count ?? 1) ranks along axis \(part.axis)")
        }
        let view = try whole.sliced(part.axis, group.part(of: whole.size(part.axis)))
        if case .shapes = source { return view }
        let own = try Tensor.empty(view.shape, view.elementType, on: view.device)
        try withoutGradients { try own.copy(from: view) }
        return own
    }

    /// FNV-1a of the name, mixed with the seed: initial values do not depend on the order of declaration.
    private static func mix(_ seed: UInt64, _ name: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ (seed &* 0x9e37_79b9_7f4a_7c15)
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}

/// A name prefix within a ``ParameterStore``; layers declare their parameters in one.
public struct ParameterScope {
    let store: ParameterStore
    let prefix: String

    /// Returns the scope for a part of this layer.
    public func scope(_ name: String) -> ParameterScope {
        ParameterScope(store: store, prefix: prefix + name + ".")
    }

    /// Declares a parameter and returns its values.
    ///
    /// The initializer is only evaluated by a store that draws initial values. Weight decay applies if `decays`, by
    /// default to everything with two or more axes. Parameters that drive exponentials of the whole sequence may
    /// have a `maximumLearningRate`. What decays and has two or more axes `isHiddenMap` by default. Where ranks have parts of
    /// the layers, the values are this rank's along the axis `dividedAlong`, or all without one.
    public func parameter(
        _ name: String, _ shape: [Int], _ initializer: @autoclosure () throws -> Initializer,
        decays: Bool? = nil, maximumLearningRate: Double? = nil, isHiddenMap: Bool? = nil,
        dividedAlong axis: Int? = nil
    ) throws -> Tensor {
        let decays = decays ?? (shape.count > 1)
        return try store.declare(
            prefix + name, shape: shape, initializer: initializer, decays: decays,
            maximumLearningRate: maximumLearningRate,
            isHiddenMap: isHiddenMap ?? (decays && shape.count > 1), dividedAlong: axis)
    }

    /// The ranks that have parts of the layers; nil for whole layers.
    public var group: (any RankGroup)? { store.group }

    /// The element type of the store's parameters.
    public var elementType: ElementType { store.elementType }
    /// The device of the store's parameters.
    public var device: Device { store.device }
}
