import RetNetKernels

/// A depthwise causal convolution over the last few positions of every channel.
///
///     y_t = b + Σⱼ wⱼ ⊙ x_{t-(W-1)+j},   j = 0 … W-1
///
/// Its state is a ring of the last W-1 inputs.
struct ShortConvolution {
    private let width: Int
    private let channels: Int
    /// [C, W].
    private let weight: UnsafePointer<Float>
    private let bias: UnsafePointer<Float>?
    private let ring: StatePlace
    /// What is applied to the sums.
    private let function: rn_function

    init(
        _ builder: inout ModelBuilder, _ name: String, channels: Int, width: Int, bias: Bool, ring: String,
        function: rn_function = RN_IDENTITY
    ) throws {
        self.width = width
        self.channels = channels
        self.function = function
        (weight, self.bias) = try builder.scope(name) {
            (
                try $0.vector("weight", channels, width),
                bias ? try $0.vector("bias", channels) : nil
            )
        }
        self.ring = try builder.state.place(ring)
    }

    func callAsFunction(_ x: Rows, _ pass: Pass) -> Rows {
        let y = pass.rows(channels, count: x.count)
        var convolution = rn_convolution(
            channels: Int64(channels), width: Int64(width), weight: weight, bias: bias, function: function,
            x: x.data, x_stride: Int64(x.stride), y: y.data, y_stride: Int64(y.stride))
        rn_convolve(pass.pool, &convolution, pass.sequences(at: ring), Int64(pass.segmentCount))
        return y
    }
}

/// Queries, keys and values, each through a short convolution and swish where there is one.
struct ConvolvedProjections {
    private let query: Matrix
    private let key: Matrix
    private let value: Matrix
    private let convolutions: (query: ShortConvolution, key: ShortConvolution, value: ShortConvolution)?

    init(
        _ builder: inout ModelBuilder, _ parts: [(name: String, size: Int)], width: Int, hiddenSize: Int
    ) throws {
        func matrix(_ index: Int) throws -> Matrix {
            try builder.linear(parts[index].name, from: hiddenSize, to: parts[index].size)
        }
        (query, key, value) = (try matrix(0), try matrix(1), try matrix(2))
        guard width > 1 else {
            convolutions = nil
            return
        }
        func convolution(_ index: Int) throws -> ShortConvolution {
            try ShortConvolution(
                &builder, "\(parts[index].name)_convolution", channels: parts[index].size, width: width,
                bias: false, ring: "\(parts[index].name)_ring", function: RN_SWISH)
        }
        convolutions = (try convolution(0), try convolution(1), try convolution(2))
    }

    /// Adds the three matrices to products.
    func add(to products: inout Products) -> (Rows, Rows, Rows) {
        (products.add(query), products.add(key), products.add(value))
    }

    /// Returns the three behind their convolutions and activations.
    func convolved(
        _ x: (Rows, Rows, Rows), alwaysActivates: Bool, _ pass: Pass
    ) -> (query: Rows, key: Rows, value: Rows) {
        guard let convolutions else {
            guard alwaysActivates else { return x }
            return (
                pass.apply(RN_SWISH, x.0), pass.apply(RN_SWISH, x.1),
                pass.apply(RN_SWISH, x.2)
            )
        }
        return (
            convolutions.query(x.0, pass),
            convolutions.key(x.1, pass),
            convolutions.value(x.2, pass)
        )
    }
}

/// A short convolution before a mixer, for architectures that have none of their own.
struct ConvolvedMixer: RuntimeMixer {
    let convolution: ShortConvolution
    let mixer: any RuntimeMixer

    func mix(_ x: Rows, _ pass: Pass) throws -> Rows { try mixer.mix(convolution(x, pass), pass) }
}
