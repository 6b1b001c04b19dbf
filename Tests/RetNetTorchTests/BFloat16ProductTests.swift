import RetNetTestSupport
import RetNetTorch
import Testing

/// Products of bfloat16 on processors that do not multiply it: computed in float32, stored in 16 bits.
@Suite struct BFloat16ProductTests {
    /// Results in bfloat16 are those of float32, rounded; gradients too, since they pass through the same products.
    private func compare(_ shapes: [[Int]], _ operation: ([Tensor]) throws -> [Tensor]) throws {
        let generator = try Generator(seed: 4)
        let narrow = try shapes.map { try generator.normal($0).to(.bfloat16).requiringGradient() }
        let wide = try narrow.map { try $0.detached().to(.float32).requiringGradient() }
        let found = try FusedOperators.withFloat32Products { try operation(narrow) }
        let expected = try operation(wide)
        #expect(found[0].elementType == .bfloat16)
        for (a, b) in zip(found, expected) {
            #expect(try relativeError(a, b.to(a.elementType)) == 0)
        }
        let seed = try generator.normal(expected[0].shape).to(.bfloat16)
        let a = try FusedOperators.withFloat32Products {
            try Tensor.gradients(of: [found[0]], seeds: [seed], withRespectTo: narrow)
        }
        let b = try Tensor.gradients(of: [expected[0]], seeds: [seed.to(.float32)], withRespectTo: wide)
        for (x, y) in zip(a, b) {
            #expect(try relativeError(#require(x), #require(y).to(.bfloat16)) == 0)
        }
    }

    @Test func `Matrices of all forms`() throws {
        try compare([[3, 7, 20], [11, 20], [11]]) { [try $0[0].linear($0[1], bias: $0[2])] }
        try compare([[40, 20], [11, 20]]) { [try $0[0].linear($0[1])] }
        try compare([[2, 7, 20], [2, 20, 5]]) { [try $0[0].matmul($0[1])] }
        try compare([[9, 20], [3, 5, 20], [3, 5]]) {
            [try FusedOperators.groupedLinear($0[0], weight: $0[1], bias: $0[2], counts: [4, 0, 5])]
        }
    }

    @Test func `Blocks of rows, each converted by itself`() throws {
        let generator = try Generator(seed: 4)
        let x = try generator.normal([2, 300, 1500]).to(.bfloat16).requiringGradient()
        let weight = try generator.normal([2000, 1500]).to(.bfloat16).requiringGradient()
        let seed = try generator.normal([2, 300, 2000]).to(.bfloat16)
        func run(_ x: Tensor, _ weight: Tensor) throws -> [Tensor] {
            let y = try x.linear(weight)
            let gradients = try Tensor.gradients(
                of: [y], seeds: [seed.to(y.elementType)], withRespectTo: [x, weight])
            return [y] + (try gradients.map { try #require($0) })
        }
        let found = try FusedOperators.withFloat32Products { try run(x, weight) }
        let wide = try [x, weight].map { try $0.detached().to(.float32).requiringGradient() }
        for (a, b) in zip(found, try run(wide[0], wide[1])) {
            #expect(a.elementType == .bfloat16)
            #expect(try relativeError(a, b) < 3e-3)
        }
    }

    @Test func `Few rows are left to LibTorch, which reads the matrix once`() throws {
        let generator = try Generator(seed: 4)
        let (x, weight) = (
            try generator.normal([2, 4, 64]).to(.bfloat16), try generator.normal([32, 64]).to(.bfloat16)
        )
        let found = try FusedOperators.withFloat32Products { try x.linear(weight) }
        #expect(try relativeError(found, x.to(.float64).linear(weight.to(.float64))) < 1e-2)
        #expect(found.elementType == .bfloat16)
    }

    @Test func `Mixers and attention`() throws {
        try compare([[2, 3, 9, 4], [2, 3, 9, 4], [2, 3, 9, 6]]) {
            let result = try FusedOperators.retention(
                query: $0[0], key: $0[1], value: $0[2], state: nil, logGammas: [-0.1, -0.02, -0.5],
                chunkLength: 4)
            return [result.output, result.state]
        }
        try compare([[2, 3, 9, 4], [2, 3, 9, 4], [2, 3, 9, 4]]) {
            [
                try FusedOperators.attention(
                    query: $0[0], key: $0[1], value: $0[2], past: [0], scale: 0.5, tileLength: 4)
            ]
        }
        try compare([[2, 9, 36], [3, 17]]) {
            [try FusedOperators.biasedAttention($0[0], bias: $0[1], headCount: 3, causal: true)]
        }
        try compare([[2, 9, 12], [2, 5, 24]]) {
            [try FusedOperators.biasedAttention($0[0], memory: $0[1], headCount: 3, causal: false)]
        }
        let gates = try (Generator(seed: 5).normal([2, 3, 9]).abs() * -0.2)
        let channelGates = try (Generator(seed: 6).normal([2, 3, 9, 4]).abs() * -0.2)
        let beta = try Generator(seed: 7).normal([2, 3, 9]).sigmoid()
        try compare([[2, 3, 9, 4], [2, 3, 9, 4], [2, 3, 9, 6]]) {
            let result = try #require(
                try FusedOperators.gatedRetention(
                    query: $0[0], key: $0[1], value: $0[2], logGates: gates, state: nil, chunkLength: 4))
            return [result.output, result.state]
        }
        try compare([[2, 3, 9, 4], [2, 3, 9, 4], [2, 3, 9, 6]]) {
            let result = try FusedOperators.channelGatedRetention(
                query: $0[0], key: $0[1], value: $0[2], logGates: channelGates, state: nil, chunkLength: 4)
            return [result.output, result.state]
        }
        try compare([[2, 3, 9, 4], [2, 3, 9, 4], [2, 3, 9, 6]]) {
            let result = try FusedOperators.deltaRule(
                query: $0[0], key: $0[1], value: $0[2], logGates: gates, beta: beta, state: nil,
                chunkLength: 4)
            return [result.output, result.state]
        }
    }

    @Test func `Other types multiply as they are`() throws {
        let generator = try Generator(seed: 4)
        for type in [ElementType.float32, .float64] {
            let (x, weight) = (try generator.normal([30, 8], type), try generator.normal([5, 8], type))
            let found = try FusedOperators.withFloat32Products { try x.linear(weight) }
            #expect(found.elementType == type)
            #expect(try relativeError(found, x.linear(weight)) == 0)
        }
    }

    @Test func `Automatic types and warnings follow the processor`() throws {
        #expect(Runtime.fastElementType(on: .cpu, hasFastBFloat16: false) == .float32)
        #expect(Runtime.fastElementType(on: .cpu, hasFastBFloat16: true) == .bfloat16)
        #expect(Runtime.fastElementType(on: .cuda(0), hasFastBFloat16: false) == .bfloat16)
        let warning = try #require(Runtime.slownessWarning(for: .bfloat16, on: .cpu, hasFastBFloat16: false))
        #expect(warning.contains("use float32 or auto") && !warning.hasSuffix("."))
        #expect(Runtime.slownessWarning(for: .bfloat16, on: .cpu, hasFastBFloat16: true) == nil)
        #expect(Runtime.slownessWarning(for: .float32, on: .cpu, hasFastBFloat16: false) == nil)
        #expect(Runtime.slownessWarning(for: .bfloat16, on: .cuda(0), hasFastBFloat16: false) == nil)
        #expect(FusedOperators.withFloat32Products { Runtime.multipliesBFloat16 } == false)
        #expect(Runtime.multipliesBFloat16 == Runtime.hasFastBFloat16)
    }
}
