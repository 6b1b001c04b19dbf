import Foundation
import RetNetTestSupport
import RetNetTorch
import Testing

@testable import RetNetDistributed

@Suite struct MeshTests {
    @Test("Every rank has one place, with tensor fastest, and groups along an axis differ in it alone")
    func places() throws {
        let shape = MeshShape(data: 3, sequence: 2, tensor: 4)
        #expect(shape.count == 24 && shape.description == "data=3,sequence=2,tensor=4")
        #expect(shape.place(of: 13) == MeshPlace(data: 1, sequence: 1, tensor: 1))
        #expect(shape.members(of: 13, varying: [.tensor]) == [12, 13, 14, 15])
        #expect(shape.members(of: 13, varying: [.sequence]) == [9, 13])
        #expect(shape.members(of: 13, varying: [.data]) == [5, 13, 21])
        #expect(shape.members(of: 13, varying: [.data, .sequence]) == [1, 5, 9, 13, 17, 21])
        for axis in MeshShape.Axis.allCases {
            for rank in 0..<shape.count {
                let members = shape.members(of: rank, varying: [axis])
                #expect(members.count == shape[axis] && members[shape.place(of: rank)[axis]] == rank)
                #expect(members.allSatisfy { shape.members(of: $0, varying: [axis]) == members })
            }
        }
    }

    @Test("A mesh is read as it is written, and data has the ranks that are left")
    func parsing() throws {
        #expect(try MeshRequest(parsing: "auto").shape(rankCount: 4) == MeshShape(data: 4))
        #expect(try MeshRequest(parsing: "tensor=2").shape(rankCount: 6) == MeshShape(data: 3, tensor: 2))
        let all = try MeshRequest(parsing: "tensor=2, data=1,sequence=3")
        #expect(all.description == "data=1,sequence=3,tensor=2")
        #expect(try all.shape(rankCount: 6) == MeshShape(data: 1, sequence: 3, tensor: 2))
        #expect(try MeshRequest(parsing: all.description) == all)
        #expect(MeshRequest(MeshShape(tensor: 2)).description == "data=1,sequence=1,tensor=2")
        #expect(MeshRequest().description == "auto")
    }

    @Test(
        "A mesh that is none is refused with what is wrong in it",
        arguments: [
            ("", "'' is no axis"), ("data", "'data' is no axis"), ("data=2,", "'' is no axis"),
            ("data=2,pipeline=2", "no axis 'pipeline'"), ("tensor=0", "'0' is no number"),
            ("tensor=-1", "'-1' is no number"), ("tensor=two", "'two' is no number"),
            ("data=2,data=2", "'data' is given twice"), ("data=99999999999999999999", "is no number"),
            ("data=65536,tensor=65536", "more than 1048576"), ("data=2=3", "is no axis"),
        ])
    func refusals(text: String, reason: String) {
        let error = #expect(throws: MeshError.self) { try MeshRequest(parsing: text) }
        #expect(error?.description.contains(reason) ?? false, "\(String(describing: error))")
        #expect(error?.description.hasPrefix("the mesh '\(text)' cannot be understood") ?? false)
    }

    @Test("A mesh of another number of ranks is refused with both numbers")
    func otherCounts() throws {
        for (text, ranks, needed) in [
            ("data=2,tensor=2", 2, "4 ranks"), ("tensor=2", 3, "a multiple of 2 ranks"),
            ("tensor=2", 1, "a multiple of 2 ranks"),
        ] {
            let error = #expect(throws: MeshError.self) {
                try MeshRequest(parsing: text).shape(rankCount: ranks)
            }
            #expect(error?.description.contains("needs \(needed)") ?? false, "\(String(describing: error))")
            #expect(error?.description.contains("the run has \(ranks)") ?? false)
        }
    }

    @Test("Groups of a mesh exchange among their own ranks, all at the same time")
    func groups() throws {
        let shape = MeshShape(data: 2, sequence: 1, tensor: 2)
        let results = try onRanks(4) { world in
            let mesh = try Mesh(world, shape)
            #expect(mesh.sequence == nil && mesh.replicas === mesh.data)
            func sum(_ group: ProcessGroup?) throws -> Double {
                try group?.allReduced([Double(1 << world.rank)])[0] ?? -1
            }
            var found = [try sum(mesh.data), try sum(mesh.tensor), try sum(mesh.world)]
            let texts = try mesh.data?.gathered(Data("\(world.rank)".utf8), "a test") ?? []
            found += texts.map { Double(String(decoding: $0, as: UTF8.self)) ?? -1 }
            // Point to point by the numbers in the group.
            let tensor = try Tensor.from([Double(world.rank)])
            if let pair = mesh.tensor {
                if pair.rank == 0 {
                    try pair.send(tensor, to: 1)
                } else {
                    try pair.receive(tensor, from: 0)
                }
            }
            return found + [try tensor.item(), Double(mesh.data?.rank ?? -1)]
        }
        let expected: [[Double]] = [
            [5, 3, 15, 0, 2, 0, 0], [10, 3, 15, 1, 3, 0, 0], [5, 12, 15, 0, 2, 2, 1],
            [10, 12, 15, 1, 3, 2, 1],
        ]
        for (rank, result) in results.enumerated() { #expect(try result.get() == expected[rank]) }
    }

    @Test(
        "One mesh for all ranks: another on one of them is named, and a group of all ranks is the run's own")
    func agreement() throws {
        let results = try onRanks(2) { world in
            let own = world.rank == 0 ? MeshShape(data: 2) : MeshShape(tensor: 2)
            _ = try Mesh(world, own)
        }
        for result in results {
            guard case .different(1, "mesh", _, _)? = failure(result) else {
                Issue.record("\(result)")
                continue
            }
        }
        let whole = try onRanks(2) { world in
            let mesh = try Mesh(world, MeshShape(sequence: 2))
            return mesh.sequence === world && mesh.replicas === world && mesh.data == nil
                && mesh.tensor == nil
        }
        for result in whole { #expect(try result.get()) }
    }

    @Test("A rank that vanishes is named by all others, also by those that wait in a part without it")
    func vanishedRank() throws {
        let results = try onRanks(4) { world in
            let mesh = try Mesh(world, MeshShape(data: 2, tensor: 2))
            try world.barrier()
            if world.rank == 3 { return }
            // Ranks 0 and 1 are no neighbors of rank 3 along tensor, and 0 along data.
            try mesh.tensor?.allReduce(Tensor.zeros([100], .float32))
            try mesh.data?.allReduce(Tensor.zeros([100], .float32))
            try world.barrier()
        }
        for rank in 0..<3 {
            guard case .silent([3], _)? = failure(results[rank]) else {
                Issue.record("rank \(rank): \(results[rank])")
                continue
            }
        }
    }
}
