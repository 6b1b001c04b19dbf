import Foundation
import RetNetCheckpoints
import RetNetCommandLine
import RetNetDistributed
import RetNetEngines
import RetNetHub
import RetNetSampling
import RetNetStorage
import RetNetSystem
import RetNetTorch

/// The entry point.
@main
enum Main {
    static func main() {
        CommandProgram<RetNetCommand>.run(
            prepare: { if $0 is any ComputingCommand { OpenMPSettings.apply() } }, hint: hint)
    }

    /// Returns the options of the command line that help with an error of a library; nil if there are none.
    private static func hint(for error: any Error) -> String? {
        switch error {
        case DeviceError.unavailable: "use --device cpu, or run `retnet doctor`"
        case DialectError.unrecognized(_, let reasons, _, _) where reasons.isEmpty:
            "`retnet convert --list` names the forms that are known"
        case DialectError.unrecognized(_, _, true, _):
            "`retnet convert --from FORM` reads it as one of them and writes a model folder"
        case ModelFolderError.rounded:
            "`retnet generate`, `logits`, `eval` and `bench decode|prefill|tasks` run it with --engine runtime, and so"
                + " does `retnet-lite`"
        case DistributedError.absent, DistributedError.behind, DistributedError.noStore:
            "the option for the time-out is --rank-timeout"
        case EngineError.cannotRun(.runtime, _): "--engine libtorch takes it"
        case EngineError.stateType: "the option is --state-dtype"
        case EngineError.pendingTokens: "`retnet generate --state-in` does"
        case HubError.nothingSelected: "choose them with `retnet pull --include`"
        case HubError.noSpace, HubError.cache: "or with `retnet pull --cache`"
        case HubError.offline: "`retnet pull` fetches it"
        case StateFileError.notStateFile: "`retnet generate --state-out FILE` writes one"
        default: nil
        }
    }
}

/// Settings of LibTorch's thread pool.
enum OpenMPSettings {
    /// Number of spins before a waiting thread sleeps.
    ///
    /// The library's default is many milliseconds: as soon as another program uses one of the cores, waiting
    /// threads keep working threads from running, and everything becomes ten to seventy times slower. With this
    /// setting, training next to another program only loses the other program's share; idle cores are no slower.
    private static let spinCount = "20000"

    /// Restarts the program with the setting above, unless the environment has one.
    ///
    /// The library reads its settings when it is loaded, before the first line of this program. Returns if the
    /// setting exists or the system does not allow a restart.
    static func apply() {
        #if os(Linux)
            let environment = ProcessInfo.processInfo.environment
            guard environment["GOMP_SPINCOUNT"] == nil, environment["OMP_WAIT_POLICY"] == nil,
                CurrentProcess.setEnvironment("GOMP_SPINCOUNT", spinCount)
            else { return }
            // The resolved path, so that the process keeps its name.
            let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            CurrentProcess.execute(program ?? "/proc/self/exe", arguments: CommandLine.arguments)
        #endif
    }
}

/// A command that computes with LibTorch.
protocol ComputingCommand {}
