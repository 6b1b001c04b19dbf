/// The place of this process among those of a run, as its launcher tells it by environment variables.
///
/// | launcher | rank and count | meeting point |
/// | --- | --- | --- |
/// | torchrun, `retnet launch`, by hand | `RANK`, `WORLD_SIZE` | `MASTER_ADDR`, `MASTER_PORT` |
/// | Open MPI's mpirun | `OMPI_COMM_WORLD_RANK`, `…_SIZE` | this machine, or `MASTER_ADDR` |
/// | MPICH's mpirun | `PMI_RANK`, `PMI_SIZE` | this machine, or `MASTER_ADDR` |
/// | Slurm's srun | `SLURM_PROCID`, `SLURM_STEP_NUM_TASKS` | the first machine of `SLURM_STEP_NODELIST` |
///
/// Sources: the documentation of torchrun (PyTorch 2.13), Open MPI 5, MPICH's Hydra and Slurm's `srun`.
public struct RankAssignment: Sendable, Equatable {
    /// The program that started the ranks.
    public enum Launcher: String, Sendable {
        case torchrun
        case openMPI = "Open MPI"
        case mpich = "MPICH"
        case slurm = "Slurm"
    }

    /// The launcher whose variables were found.
    public var launcher: Launcher
    /// The number of this process, from 0.
    public var rank: Int
    /// The number of processes.
    public var count: Int
    /// The number of this process among those of its machine.
    public var localRank: Int
    /// The number of processes on this machine; nil if the launcher does not tell.
    public var localCount: Int?
    /// The name or address of the machine at which ranks meet, that of rank 0.
    public var host: String
    /// The port at which they meet.
    public var port: Int
    /// True if the launcher keeps the store of keys itself, as torchrun does; otherwise rank 0 does.
    public var launcherKeepsStore = false
    /// The number of times that the launcher has started the ranks again.
    public var restartCount = 0

    /// The port where neither launcher nor user names one, as in PyTorch.
    public static let defaultPort = 29500

    /// A place of given values.
    public init(
        _ launcher: Launcher, rank: Int, count: Int, localRank: Int = 0, localCount: Int? = nil,
        host: String = "127.0.0.1", port: Int = defaultPort
    ) {
        self.launcher = launcher
        self.rank = rank
        self.count = count
        self.localRank = localRank
        self.localCount = localCount
        self.host = host
        self.port = port
    }

    /// Returns the place of this process; nil if it runs alone.
    ///
    /// The variables of torchrun come first, for it may itself have been started by another launcher. A shell of Slurm
    /// is no rank; only steps started by `srun` are. Throws ``DistributedError/environment(_:)`` for variables that
    /// contradict each other.
    public static func detect(_ environment: [String: String]) throws -> RankAssignment? {
        let variables = Variables(environment)
        let found =
            try torchrun(variables) ?? openMPI(variables) ?? hydra(variables) ?? slurm(variables)
        guard var found else { return nil }
        guard found.count >= 1, (0..<found.count).contains(found.rank) else {
            throw DistributedError.environment(
                "\(found.launcher.rawValue) gives rank \(found.rank) of \(found.count), which does not exist")
        }
        if found.launcher != .torchrun, let host = variables["MASTER_ADDR"] { found.host = host }
        if found.launcher != .torchrun, let port = try variables.int("MASTER_PORT") { found.port = port }
        guard (1...65535).contains(found.port) else {
            throw DistributedError.environment(
                "MASTER_PORT is '\(found.port)', which is no port: give a number from 1 to 65535")
        }
        return found.count == 1 ? nil : found
    }

    // MARK: Launchers

    private static func torchrun(_ variables: Variables) throws -> RankAssignment? {
        switch (try variables.int("RANK"), try variables.int("WORLD_SIZE")) {
        case (nil, nil): return nil
        case (let rank?, let count?):
            var result = RankAssignment(.torchrun, rank: rank, count: count)
            result.localRank = try variables.int("LOCAL_RANK") ?? 0
            result.localCount = try variables.int("LOCAL_WORLD_SIZE")
            result.restartCount = try variables.int("TORCHELASTIC_RESTART_COUNT") ?? 0
            result.launcherKeepsStore = variables["TORCHELASTIC_USE_AGENT_STORE"] == "True"
            guard count != 1 else { return result }
            guard let host = variables["MASTER_ADDR"] else {
                throw DistributedError.environment(
                    "RANK and WORLD_SIZE are set, but MASTER_ADDR is not: set it to the machine of rank 0")
            }
            result.host = host
            result.port = try variables.int("MASTER_PORT") ?? defaultPort
            return result
        case (let rank, _):
            let (set, missing) = rank == nil ? ("WORLD_SIZE", "RANK") : ("RANK", "WORLD_SIZE")
            throw DistributedError.environment(
                "\(set) is set, but \(missing) is not: set both for a run of several processes, or unset both"
            )
        }
    }

    private static func openMPI(_ variables: Variables) throws -> RankAssignment? {
        guard let rank = try variables.int("OMPI_COMM_WORLD_RANK"),
            let count = try variables.int("OMPI_COMM_WORLD_SIZE")
        else { return nil }
        var result = RankAssignment(.openMPI, rank: rank, count: count)
        result.localRank = try variables.int("OMPI_COMM_WORLD_LOCAL_RANK") ?? 0
        result.localCount = try variables.int("OMPI_COMM_WORLD_LOCAL_SIZE")
        // Two jobs on a machine must not meet: the name of the job gives the port.
        if let job = variables["PMIX_NAMESPACE"] ?? variables["OMPI_MCA_ess_base_jobid"] {
            result.port = port(of: job)
        }
        return try result.meetingOnThisMachine(variables)
    }

    private static func hydra(_ variables: Variables) throws -> RankAssignment? {
        // Slurm sets these as well, without the local rank.
        guard let rank = try variables.int("PMI_RANK"), let count = try variables.int("PMI_SIZE"),
            let local = try variables.int("MPI_LOCALRANKID")
        else { return nil }
        var result = RankAssignment(.mpich, rank: rank, count: count, localRank: local)
        result.localCount = try variables.int("MPI_LOCALNRANKS")
        return try result.meetingOnThisMachine(variables)
    }

    private static func slurm(_ variables: Variables) throws -> RankAssignment? {
        guard variables["SLURM_STEP_ID"] != nil, let rank = try variables.int("SLURM_PROCID"),
            let count = try variables.int("SLURM_STEP_NUM_TASKS") ?? variables.int("SLURM_NTASKS")
        else { return nil }
        var result = RankAssignment(.slurm, rank: rank, count: count)
        result.localRank = try variables.int("SLURM_LOCALID") ?? 0
        // "2(x3),1" for three machines with two tasks and one with one: the same number everywhere, or it is not known.
        if let counts = variables["SLURM_STEP_TASKS_PER_NODE"], !counts.contains(",") {
            result.localCount = Int(counts.prefix { $0 != "(" })
        }
        if let job = try variables.int("SLURM_JOB_ID") { result.port = 20_000 + abs(job % 10_000) }
        guard count > 1, variables["MASTER_ADDR"] == nil else { return result }
        let list = variables["SLURM_STEP_NODELIST"] ?? variables["SLURM_JOB_NODELIST"] ?? ""
        guard let host = firstHost(of: list) else {
            throw DistributedError.environment(
                "the list of machines '\(list)' in SLURM_STEP_NODELIST cannot be understood: set MASTER_ADDR to the"
                    + " machine of rank 0")
        }
        result.host = host
        return result
    }

    /// Throws unless all ranks are on this machine, or the user names that of rank 0.
    private func meetingOnThisMachine(_ variables: Variables) throws -> RankAssignment {
        guard count > 1, variables["MASTER_ADDR"] == nil, let localCount, localCount < count else {
            return self
        }
        throw DistributedError.environment(
            "\(launcher.rawValue) has started \(count) processes, \(localCount) of them on this machine, but MASTER_ADDR is"
                + " not set: set it to the machine of rank 0, and MASTER_PORT to a free port there")
    }

    /// Returns a port from 20,000 to 29,999 that follows from a name.
    private static func port(of name: String) -> Int {
        let hash = name.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        return 20_000 + Int(hash % 10_000)
    }

    /// Returns the first name of a list of Slurm, as in `node[03-08,11],login1`; nil for a list that is none.
    static func firstHost(of list: String) -> String? {
        let isPlain = { (character: Character) in
            character.isASCII && (character.isLetter || character.isNumber || "-._".contains(character))
        }
        let name = String(list.prefix(while: isPlain))
        let rest = list.dropFirst(name.count)
        guard rest.first == "[" else {
            return name.isEmpty || !(rest.isEmpty || rest.first == ",") ? nil : name
        }
        guard let end = rest.firstIndex(of: "]") else { return nil }
        // The first number keeps its zeros.
        let number = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
        let suffix = rest[rest.index(after: end)...].prefix(while: isPlain)
        return number.isEmpty ? nil : name + number + suffix
    }

    /// Environment variables, in which an empty value counts as none.
    private struct Variables {
        private let values: [String: String]

        init(_ values: [String: String]) { self.values = values }

        subscript(name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

        func int(_ name: String) throws -> Int? {
            guard let text = self[name] else { return nil }
            guard let value = Int(text) else {
                throw DistributedError.environment(
                    "\(name) is '\(text)', which is no whole number: correct or unset it")
            }
            return value
        }
    }
}
