import Foundation
import RetNetTestSupport
import RetNetTorch
import Testing

@testable import RetNetDistributed

@Suite struct GradientBucketsTests {
    /// Parameters of several shapes; the last is used by rank 0 only, the one before by none.
    private static func parameters() throws -> [Tensor] {
        try [[3], [2, 2], [5], [4], [2]].map { shape in
            try Tensor.zeros(shape, .float32).requiringGradient()
        }
    }

    /// Gradients of two passes on two ranks: the second pass sends.
    private static func gradients(byteCount: Int, narrows: Bool, steps: Int) throws -> [Result<
        [[Double]?], any Error
    >] {
        try onRanks(2) { group in
            let parameters = try Self.parameters()
            let buckets = try group.buckets(parameters, byteCount: byteCount, narrows: narrows)
            #expect(buckets.count == (byteCount > 1000 ? 1 : 5))
            for step in 1...steps {
                for parameter in parameters { try parameter.clearGradient() }
                for pass in 0..<2 {
                    if pass == 1 { buckets.begin() }
                    var loss = try Tensor.zeros([], .float32)
                    for (index, parameter) in parameters.enumerated() where index != 3 {
                        if index == 4, group.rank == 1 { continue }
                        let factor = Double((index + 1) * (group.rank + 1) * (pass + 1) * step)
                        loss = try loss + (parameter * factor).sum()
                    }
                    try loss.backward()
                }
                let knowledge = try group.allReduced(buckets.finish())
                #expect(knowledge == [2, 2, 2, 0, 1])
                try buckets.fill(knowledge)
            }
            return try parameters.map { try $0.gradient()?.to(.float64).doubles() }
        }
    }

    @Test("Gradients are summed over ranks and passes, in one bucket and in many", arguments: [1 << 20, 4])
    func sums(byteCount: Int) throws {
        for result in try Self.gradients(byteCount: byteCount, narrows: false, steps: 2) {
            // Passes give 1 + 2, ranks 1 + 2, the second step 2.
            let found = try result.get()
            #expect(found[0] == [Double](repeating: 18, count: 3))
            #expect(found[1] == [Double](repeating: 36, count: 4))
            #expect(found[2] == [Double](repeating: 54, count: 5))
            #expect(found[3] == nil)
            #expect(found[4] == [Double](repeating: 30, count: 2))
        }
    }

    @Test("Sums in bfloat16 are those in float32, rounded")
    func narrowSums() throws {
        let exact = try Self.gradients(byteCount: 4, narrows: false, steps: 23)
        let narrow = try Self.gradients(byteCount: 4, narrows: true, steps: 23)
        let same = try zip(narrow, exact).map { try ($0.get(), $1.get()) }
        for (found, expected) in same {
            for case (let a?, let b?) in zip(found, expected) {
                for (a, b) in zip(a, b) { #expect(abs(a - b) <= abs(b) / 128) }
            }
        }
        #expect(same.contains { $0.0 != $0.1 })
    }

    @Test("A gradient that comes in parts is summed whole, in the first step and later, on one rank or all")
    func gradientInParts() throws {
        let results = try onRanks(2) { group in
            let parameters = try Self.parameters()
            let buckets = try group.buckets(parameters, byteCount: 4)
            var found: [[Double]?] = []
            for _ in 0..<3 {
                for parameter in parameters { try parameter.clearGradient() }
                buckets.begin()
                for parameter in parameters { try parameter.sum().backward() }
                if group.rank == 1 { for _ in 0..<2 { try parameters[0].sum().backward() } }
                try buckets.fill(group.allReduced(buckets.finish()))
                found.append(try parameters[0].gradient()?.to(.float64).doubles())
                found.append(try parameters[4].gradient()?.to(.float64).doubles())
            }
            return found
        }
        for result in results {
            for found in try result.get().enumerated() {
                #expect(found.element == (found.offset % 2 == 0 ? [4, 4, 4] : [2, 2]))
            }
        }
    }
}
