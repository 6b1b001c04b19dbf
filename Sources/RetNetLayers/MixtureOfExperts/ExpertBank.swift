import RetNetTorch

/// The feed-forwards of all experts, each matrix as one parameter [E, out, in].
struct ExpertBank {
    private let up: Matrix
    private let gate: Matrix?
    private let down: Matrix
    private let options: FeedForward.Options

    /// One matrix an expert, with its bias.
    private struct Matrix {
        let weight: Tensor
        let bias: Tensor?

        init(
            _ scope: ParameterScope, count: Int, from inputSize: Int, to outputSize: Int, bias: Bool,
            initializer: Initializer
        ) throws {
            weight = try scope.parameter("weight", [count, outputSize, inputSize], initializer)
            self.bias =
                bias ? try scope.parameter("bias", [count, outputSize], .constant(0), decays: false) : nil
        }

        private init(weight: Tensor, bias: Tensor?) {
            self.weight = weight
            self.bias = bias
        }

        func converted(to type: ElementType) throws -> Matrix {
            Matrix(weight: try weight.to(type), bias: try bias?.to(type))
        }

        func callAsFunction(_ x: Tensor, _ counts: [Int]) throws -> Tensor {
            try FusedOperators.groupedLinear(
                x, weight: try weight.to(x.elementType), bias: try bias?.to(x.elementType), counts: counts)
        }
    }

    /// Declares `up`, `gate` and `down`.
    init(_ scope: ParameterScope, count: Int, _ options: FeedForward.Options) throws {
        self.options = options
        let (d, f) = (options.hiddenSize, options.innerSize)
        func matrix(_ name: String, from: Int, to: Int, _ initializer: Initializer) throws -> Matrix {
            try Matrix(
                scope.scope(name), count: count, from: from, to: to, bias: options.biases,
                initializer: initializer)
        }
        up = try matrix("up", from: d, to: f, options.initializer)
        gate = options.isGated ? try matrix("gate", from: d, to: f, options.gateInitializer) : nil
        down = try matrix("down", from: f, to: d, options.downInitializer ?? options.initializer)
    }

    private init(up: Matrix, gate: Matrix?, down: Matrix, options: FeedForward.Options) {
        self.up = up
        self.gate = gate
        self.down = down
        self.options = options
    }

    /// The same with matrices in an element type.
    func converted(to type: ElementType) throws -> ExpertBank {
        ExpertBank(
            up: try up.converted(to: type), gate: try gate?.converted(to: type),
            down: try down.converted(to: type), options: options)
    }

    /// Rows [M, D], sorted by expert → [M, D].
    func callAsFunction(_ x: Tensor, counts: [Int], _ context: ForwardContext) throws -> Tensor {
        var inner = try FusedOperators.gatedActivation(
            try up(x, counts), try gate?(x, counts), activation: options.activation)
        inner = try Dropout.apply(inner, probability: options.activationDropout, context)
        return try down(inner, counts)
    }
}
