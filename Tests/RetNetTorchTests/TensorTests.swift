import Foundation
import RetNetTestSupport
import RetNetTorch
import Testing

@Suite struct TensorTests {
    @Test func `Values survive the way in and out in every element type`() throws {
        for type in ElementType.allCases where type != .bool {
            let tensor = try Tensor.from([1.0, 2, 3, 100, 5, 6], [2, 3]).to(type)
            #expect(tensor.shape == [2, 3])
            #expect(tensor.elementType == type)
            #expect(tensor.byteCount == 6 * type.byteCount)
            #expect(try tensor.doubles() == [1, 2, 3, 100, 5, 6])
        }
    }

    @Test func `Views address the elements they name`() throws {
        let x = try Tensor.range(to: 24, .float64).reshaped([2, 3, 4])
        #expect(try x.sliced(1, 1..<3).selected(2, 3).doubles() == [7, 11, 19, 23])
        #expect(try x.transposed(0, 2).shape == [4, 3, 2])
        #expect(try x.permuted([1, 0, 2]).selected(0, 2).doubles() == [8, 9, 10, 11, 20, 21, 22, 23])
        #expect(try x.flipped(2).selected(0, 0).selected(0, 0).doubles() == [3, 2, 1, 0])
        #expect(try x.sum([2]).doubles() == [6, 22, 38, 54, 70, 86])
    }

    @Test func `Arithmetic broadcasts and keeps operand order`() throws {
        let a = try Tensor.from([1.0, 2, 4])
        #expect(try (10 - a).doubles() == [9, 8, 6])
        #expect(try (8 / a).doubles() == [8, 4, 2])
        #expect(try (a / 2 + a * a - 1).doubles() == [0.5, 4, 17])
        #expect(try (a.unsqueezed(1) * a).sum().item() == 49)
    }

    @Test func `Cross entropy ignores targets of -100`() throws {
        let logits = try Generator(seed: 1).normal([4, 5], .float64)
        let targets = try Tensor.from([Int64(0), -100, 3, -100])
        let rows = try logits.crossEntropy(targets, reduction: .none).doubles()
        #expect(rows[1] == 0 && rows[3] == 0)
        let mean = try logits.crossEntropy(targets).item()
        #expect(abs(mean - (rows[0] + rows[2]) / 2) < 1e-12)
    }

    @Test func `Dropped tensors are freed`() throws {
        // Other suites run at the same time, so the count is taken on a private burst far above their noise.
        let before = Runtime.liveTensorCount
        var kept: [Tensor] = []
        for _ in 0..<20_000 { kept.append(try Tensor.zeros([1])) }
        #expect(Runtime.liveTensorCount - before > 15_000)
        kept.removeAll()
        for _ in 0..<20_000 {
            let x = try Tensor.ones([2, 2]).requiringGradient()
            try (x * x).sum().backward()
            _ = try x.gradient()
            _ = try? x.reshaped([7])
        }
        #expect(Runtime.liveTensorCount - before < 5_000)
    }
}

@Suite struct ErrorTests {
    @Test func `Every native failure becomes a typed error with a message`() throws {
        let x = try Tensor.zeros([2, 3])
        #expect(errorText(TorchError.self) { try x.matmul(x) }.contains("shapes cannot be multiplied"))
        #expect(errorText(TorchError.self) { try x.reshaped([5]) }.contains("invalid for input of size 6"))
        #expect(
            errorText(TorchError.self) { try Tensor.from([1.0, 2], [3]) }.contains(
                "the shape needs 24 bytes, but 16 were given"))
        #expect(errorText(TorchError.self) { try Tensor.zeros([-1]) }.contains("negative dimension"))
        #expect(
            errorText(TorchError.self) { try x.item() }.contains("6 elements cannot be converted to Scalar"))
        let index = #expect(throws: TorchError.self) { try x.sliced(1, 0..<9) }
        #expect(index?.kind == .index)
        #expect(index?.description.contains("size 3") == true)
        #expect(index?.description.contains("c10::") == false)
    }

    @Test func `An impossible allocation says out of memory`() throws {
        let error = #expect(throws: TorchError.self) { try Tensor.empty([1 << 46]) }
        #expect(error?.kind == .outOfMemory)
    }

    @Test func `A failing call leaves no message for the next one`() throws {
        let x = try Tensor.zeros([2, 3])
        _ = try? x.matmul(x)
        #expect(try x.sum().item() == 0)
        let error = #expect(throws: TorchError.self) { try x.selected(7, 0) }
        #expect(error?.description.contains("imension") == true)
    }

    @Test func `Unknown and unusable devices are refused with the choices`() throws {
        for text in ["tpu", "cuda:x", "cuda:-1", ""] {
            let error = #expect(throws: DeviceError.self) { try Device(parsing: text) }
            #expect(error?.description.contains("cpu") == true)
        }
        #expect(try Device(parsing: "cpu") == .cpu)
        if CUDA.unavailabilityReason != nil {
            #expect(
                errorText(DeviceError.self) { try Device(parsing: "cuda") }.contains(
                    "cannot use the device 'cuda:0'"))
            #expect(try Device(parsing: "auto") == .cpu)
        }
    }
}

@Suite struct GeneratorTests {
    @Test func `A saved state continues with the same numbers`() throws {
        let generator = try Generator(seed: 42)
        _ = try generator.normal([100])
        let state = try generator.state()
        let expected = try generator.normal([50]).doubles()
        let other = try Generator(seed: 7)
        try other.restore(state)
        #expect(try other.normal([50]).doubles() == expected)
    }

    @Test func `A damaged state is refused`() throws {
        let generator = try Generator(seed: 42)
        #expect(
            errorText(TorchError.self) { try generator.restore([1, 2, 3]) }.contains("of size 5056 but found")
        )
        #expect(
            errorText(TorchError.self) {
                try generator.restore([UInt8](repeating: 255, count: generator.state().count))
            }.contains("Invalid mt19937 state"))
    }
}

@Suite struct GradientTests {
    @Test func `Scopes switch recording off and on`() throws {
        let x = try Tensor.ones([2]).requiringGradient()
        #expect(try (x * 2).requiresGradient)
        try withoutGradients {
            let outer = try (x * 2).requiresGradient
            #expect(!outer)
            let inner = try withGradients { try (x * 2).requiresGradient }
            #expect(inner)
            #expect(!gradientsAreEnabled)
        }
        struct Stop: Error {}
        #expect(throws: Stop.self) { try withoutGradients { throw Stop() } }
        #expect(gradientsAreEnabled)
    }

    @Test func `Gradients accumulate until they are cleared`() throws {
        let x = try Tensor.from([3.0]).requiringGradient()
        try (x * x).sum().backward()
        try (x * x).sum().backward()
        #expect(try x.gradient()?.item() == 12)
        try x.clearGradient()
        #expect(try x.gradient() == nil)
    }

    @Test func `A recomputed segment gives the same gradients, captured parameters included`() throws {
        let generator = try Generator(seed: 1)
        let weight = try generator.normal([4, 4], .float64).requiringGradient()
        let input = try generator.normal([3, 4], .float64).requiringGradient()
        func segment(_ x: Tensor) throws -> [Tensor] {
            let h = try x.linear(weight).tanh()
            return [h, try (h * 2).sum([1])]
        }
        func gradients(_ outputs: [Tensor]) throws -> [[Double]] {
            try weight.clearGradient()
            try input.clearGradient()
            try ((outputs[0] * outputs[0]).sum() + outputs[1].sum()).backward()
            return [
                try #require(try weight.gradient()).doubles(), try #require(try input.gradient()).doubles(),
            ]
        }
        let expected = try gradients(segment(input))
        let found = try gradients(recomputing([input], outputCount: 2) { try segment($0[0]) })
        #expect(found == expected)
    }

    @Test func `An error thrown in a segment arrives as itself`() throws {
        struct Broken: Error {}
        let input = try Tensor.ones([2]).requiringGradient()
        #expect(throws: Broken.self) { try recomputing([input], outputCount: 1) { _ in throw Broken() } }
        // And when only the second run fails, during the backward pass.
        final class Counter { var runs = 0 }
        let counter = Counter()
        let output = try recomputing([input], outputCount: 1) { inputs in
            counter.runs += 1
            if counter.runs > 1 { throw Broken() }
            return [try inputs[0] * 2]
        }[0]
        #expect(throws: Broken.self) { try output.sum().backward() }
    }

    @Test func `A node with gradients in Swift is part of the graph, and its errors arrive as themselves`()
        throws
    {
        struct Broken: Error {}
        let generator = try Generator(seed: 2)
        let (a, b) = (try generator.normal([3], .float64), try generator.normal([3], .float64))
        for input in [a, b] { try input.requiringGradient() }
        // a · b and a itself, whose second output is an input.
        func node(_ a: Tensor, _ b: Tensor) throws -> [Tensor] {
            try recording([a, b]) {
                #expect(!gradientsAreEnabled)
                return ([try a * b, a], [a, b])
            } backward: { saved, gradients in
                [try gradients[0] * saved[1] + gradients[1], try gradients[0] * saved[0]]
            }
        }
        let found = try node(a * 2, b)
        try (found[0] * found[0] + found[1]).sum().backward()
        let gradients = try [a, b].map { try #require(try $0.gradient()).doubles() }
        for input in [a, b] { try input.clearGradient() }
        let product = try a * 2 * b
        try (product * product + a * 2).sum().backward()
        for (own, expected) in zip(gradients, try [a, b].map { try #require(try $0.gradient()).doubles() }) {
            #expect(zip(own, expected).allSatisfy { abs($0 - $1) < 1e-12 })
        }
        // Where only one output matters, the gradient of the other is zero; none for an input that needs none.
        let plain = try Tensor.from([1.0, 2, 3])
        try node(a, plain)[1].sum().backward()
        let broken = try recording([a]) {
            ([try a * 1], [])
        } backward: { _, _ in
            throw Broken()
        }
        #expect(throws: Broken.self) { try broken[0].sum().backward() }
        #expect(throws: TorchError.self) {
            try recording([a]) {
                ([try a * 1], [])
            } backward: { _, _ in
                []
            }[0].sum().backward()
        }
        // Without gradients there is no node.
        #expect(
            try !recording([plain]) {
                ([plain], [])
            } backward: { _, _ in
                []
            }[0].requiresGradient)
    }
}
