import Foundation
import RetNetTestSupport
import RetNetTorch
import Testing

@testable import RetNetDistributed

@Suite struct ProcessGroupTests {
    @Test(
        "Every operation gives what it says, on two and three ranks and in every element type",
        arguments: [2, 3], [ElementType.float32, .bfloat16, .float64])
    func operations(count: Int, type: ElementType) throws {
        let results = try onRanks(count) { group in
            let (rank, count) = (group.rank, group.count)
            func tensor(_ values: [Double]) throws -> Tensor { try Tensor.from(values).to(type) }
            func numbers(_ tensor: Tensor) throws -> [Double] { try tensor.to(.float64).doubles() }
            var found: [[Double]] = []
            for reduction in [ProcessGroup.Reduction.sum, .minimum, .maximum] {
                let tensor = try tensor([Double(rank), 1, -2 * Double(rank)])
                try group.allReduce(tensor, reduction)
                found.append(try numbers(tensor))
            }
            let part = try tensor([0, 0])
            try group.reduceScatter(tensor((0..<2 * count).map { Double($0 + rank) }), into: part)
            found.append(try numbers(part))
            let all = try tensor([Double](repeating: 0, count: 2 * count))
            try group.allGather(tensor([Double(rank), 7]), into: all)
            found.append(try numbers(all))
            let one = try tensor([Double(rank), 3])
            try group.broadcast(one, from: 1)
            found.append(try numbers(one))
            // Around a ring: even ranks send first.
            let (next, before) = ((rank + 1) % count, (rank + count - 1) % count)
            let received = try tensor([0])
            if rank % 2 == 0, rank != count - 1 || count % 2 == 0 {
                try group.send(tensor([Double(rank)]), to: next, tag: 3)
                try group.receive(received, from: before, tag: 3)
            } else {
                try group.receive(received, from: before, tag: 3)
                try group.send(tensor([Double(rank)]), to: next, tag: 3)
            }
            found.append(try numbers(received))
            try group.barrier()
            return found
        }
        let sum = (0..<count).reduce(0, +)
        for (rank, result) in results.enumerated() {
            let last = Double(count - 1)
            let expected: [[Double]] = [
                [Double(sum), Double(count), Double(-2 * sum)], [0, 1, -2 * last], [last, 1, 0],
                [Double(2 * rank * count + sum), Double((2 * rank + 1) * count + sum)],
                (0..<count).flatMap { [Double($0), 7] }, [1, 3], [Double((rank + count - 1) % count)],
            ]
            #expect(try result.get() == expected)
        }
    }

    @Test("Values go round, and what differs from rank 0 is named on all ranks")
    func values() throws {
        let store = try RankStore(keepingAt: 0)
        for _ in 0..<2 {
            // The second meeting finds the keys of the first.
            let texts = try onRanks(3, store: store) { group in
                let first = try group.onRankZero("a test") { Data("from \(group.rank)".utf8) }
                let all = try group.gathered(Data("\(group.rank)".utf8), "a test")
                try group.checkEqual([("seed", "1"), ("data", "x")])
                return ([first] + all).map { String(decoding: $0, as: UTF8.self) }
            }
            for text in texts { #expect(try text.get() == ["from 0", "0", "1", "2"]) }
        }
        let results = try onRanks(3) { group in
            try group.checkEqual([("version", "1"), ("seed", group.rank == 2 ? "9" : "1")])
        }
        for result in results {
            #expect(failure(result) == .different(rank: 2, what: "seed", found: "9", expected: "1"))
        }
    }

    @Test("Ranks that do not come to the start are named")
    func absentRanks() throws {
        let results = try onRanks(4, present: [0, 2], timeout: 2.5) { $0.rank }
        for result in results { #expect(failure(result) == .absent(ranks: [1, 3], seconds: 2.5)) }
        let alone = try onRanks(2, present: [1], timeout: 2) { $0.rank }
        #expect(failure(alone[0]) == .absent(ranks: [0], seconds: 2))
    }

    @Test("A rank that vanishes is named by all others, in an operation and in a wait")
    func vanishedRank() throws {
        for waits in [false, true] {
            let results = try onRanks(3) { group in
                try group.barrier()
                // Goes without a word: connections are closed, signs of life end.
                if group.rank == 1 { return }
                if waits, group.rank == 2 {
                    _ = try group.gathered(Data(), "a wait")
                } else {
                    try group.allReduce(Tensor.zeros([1000], .float32))
                }
            }
            for rank in [0, 2] {
                let error = failure(results[rank])
                guard case .silent(let ranks, _)? = error else {
                    Issue.record("rank \(rank): \(String(describing: error))")
                    continue
                }
                #expect(ranks == [1])
            }
        }
    }

    @Test("A rank that lives but does not come is named when the time is over")
    func lateRank() throws {
        let results = try onRanks(2, timeout: 4) { group in
            try group.barrier()
            if group.rank == 1 { Thread.sleep(forTimeInterval: 6.5) }
            try group.allReduce(Tensor.zeros([8], .float32))
        }
        for result in results {
            #expect(failure(result) == .behind(ranks: [1], operation: "all-reduce", seconds: 4))
        }
    }

    @Test("The error of one rank ends the others, with its text")
    func errorOfOneRank() throws {
        let results = try onRanks(3) { group in
            try group.barrier()
            if group.rank == 2 { throw TorchError(kind: .other, message: "the disk is full") }
            try group.barrier()
        }
        for rank in 0..<2 {
            let error = failure(results[rank])
            #expect(error == .ended(rank: 2, reason: "the disk is full"))
            #expect(error?.description == "rank 2 ended: the disk is full")
        }
    }

    @Test(
        "Another LibTorch than the one compiled against is refused, and no store is an error with the place")
    func refusals() throws {
        try ProcessGroup.checkVersion()
        try ProcessGroup.checkVersion(built: "2.13.0", loaded: "2.13.0+cpu")
        for version in ["2.12.0", "2.13.1+cpu", "unknown"] {
            #expect(throws: DistributedError.otherVersion(built: "2.13.0", loaded: version)) {
                try ProcessGroup.checkVersion(built: "2.13.0", loaded: version)
            }
        }
        let error = #expect(throws: DistributedError.self) {
            try RankStore(connectingTo: "127.0.0.1", port: 1, timeout: 0.2)
        }
        #expect(error?.description.contains("127.0.0.1:1 within 0.2 s") ?? false)
        let store = try RankStore(keepingAt: 0)
        #expect(throws: DistributedError.self) { try RankStore(keepingAt: store.port) }
    }

    @Test("Tensors that cannot travel are refused without ending the run")
    func unsuitableTensors() throws {
        let results = try onRanks(2) { group in
            let tensor = try Tensor.zeros([2, 3], .float32).transposed(0, 1)
            #expect(throws: TorchError.self) { try group.allReduce(tensor) }
            return try group.allReduced([1, 2])
        }
        for result in results { #expect(try result.get() == [2, 4]) }
    }
}
