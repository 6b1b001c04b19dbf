import Testing

@testable import RetNetDistributed

@Suite struct RankAssignmentTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let variables: [String: String]
        /// Rank, count, local rank, local count or -1, and meeting point; nil for a process that runs alone.
        let expected: String?
        var keepsStore = false

        var testDescription: String { name }
    }

    static let rows = [
        Row(name: "alone", variables: ["HOME": "/root"], expected: nil),
        Row(
            name: "torchrun",
            variables: [
                "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1",
                "MASTER_ADDR": "node1", "MASTER_PORT": "41000", "TORCHELASTIC_RUN_ID": "none",
                "TORCHELASTIC_RESTART_COUNT": "2", "TORCHELASTIC_USE_AGENT_STORE": "True",
            ], expected: "3/4 1/2 node1:41000", keepsStore: true),
        Row(
            name: "by hand", variables: ["RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1"],
            expected: "0/2 0/-1 10.0.0.1:29500"),
        Row(name: "torchrun of one", variables: ["RANK": "0", "WORLD_SIZE": "1"], expected: nil),
        Row(
            name: "Open MPI",
            variables: [
                "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "PMIX_NAMESPACE": "prterun-host-77@1",
            ], expected: "1/2 1/2 127.0.0.1:21780"),
        Row(
            name: "Open MPI on two machines",
            variables: [
                "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "0",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "1", "MASTER_ADDR": "a", "MASTER_PORT": "5000",
            ], expected: "1/2 0/1 a:5000"),
        Row(
            name: "MPICH",
            variables: [
                "PMI_RANK": "0", "PMI_SIZE": "2", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "2",
                "PMI_FD": "5",
            ], expected: "0/2 0/2 127.0.0.1:29500"),
        Row(
            name: "Slurm",
            variables: [
                "SLURM_STEP_ID": "0", "SLURM_PROCID": "5", "SLURM_NTASKS": "6", "SLURM_STEP_NUM_TASKS": "6",
                "SLURM_LOCALID": "1", "SLURM_STEP_NODELIST": "gpu[007-008,011]",
                "SLURM_STEP_TASKS_PER_NODE": "2(x3)", "SLURM_JOB_ID": "1234567", "PMI_RANK": "5",
                "PMI_SIZE": "6",
            ], expected: "5/6 1/2 gpu007:24567"),
        Row(
            name: "a batch script of Slurm",
            variables: ["SLURM_PROCID": "0", "SLURM_NTASKS": "6", "SLURM_JOB_ID": "1"], expected: nil),
        Row(
            name: "torchrun under Slurm",
            variables: [
                "RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "b", "MASTER_PORT": "1", "SLURM_STEP_ID": "0",
                "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1",
            ], expected: "1/2 0/-1 b:1"),
    ]

    @Test("The place of a process follows from the variables of its launcher", arguments: rows)
    func detects(row: Row) throws {
        let found = try RankAssignment.detect(row.variables)
        let text = found.map {
            "\($0.rank)/\($0.count) \($0.localRank)/\($0.localCount ?? -1) \($0.host):\($0.port)"
        }
        #expect(text == row.expected)
        #expect(found?.launcherKeepsStore ?? false == row.keepsStore)
        if row.name == "torchrun" { #expect(found?.restartCount == 2) }
    }

    @Test(
        "Variables that contradict each other are refused by name",
        arguments: [
            (["RANK": "0"], "WORLD_SIZE"), (["WORLD_SIZE": "2"], "RANK"),
            (["RANK": "x", "WORLD_SIZE": "2"], "RANK is 'x'"),
            (["RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "a"], "rank 2 of 2"),
            (["RANK": "-1", "WORLD_SIZE": "2", "MASTER_ADDR": "a"], "rank -1 of 2"),
            (["RANK": "0", "WORLD_SIZE": "2"], "MASTER_ADDR"),
            (["RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "70000"], "70000"),
            (
                [
                    "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "4",
                    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
                ], "MASTER_ADDR"
            ),
            (
                [
                    "SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2",
                    "SLURM_STEP_NODELIST": "a[", "SLURM_JOB_ID": "1",
                ], "SLURM_STEP_NODELIST"
            ),
        ])
    func refuses(variables: [String: String], part: String) {
        let error = #expect(throws: DistributedError.self) { try RankAssignment.detect(variables) }
        #expect(error?.description.contains(part) ?? false, "\(String(describing: error))")
    }

    @Test(
        "The first machine of a list of Slurm",
        arguments: [
            ("node1", "node1"), ("node1,node2", "node1"), ("node[1-3]", "node1"),
            ("n[08-10,12]-ib", "n08-ib"),
            ("a-b.c[2]", "a-b.c2"), ("", nil), ("[1", nil), ("a[", nil), ("a[]", nil), ("a b", nil),
        ] as [(String, String?)])
    func hosts(list: String, first: String?) {
        #expect(RankAssignment.firstHost(of: list) == first)
    }
}
