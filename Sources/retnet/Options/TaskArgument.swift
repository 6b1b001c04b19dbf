import ArgumentParser
import RetNetEvaluation
import RetNetReporting
import RetNetSettings
import RetNetTraining

/// A task with a file of its examples on the command line: `NAME=PATH`.
struct TaskArgument: ExpressibleByArgument {
    let task: TextToTextTask
    let path: String

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let task = TextToTextTask(rawValue: String(parts[0])), !parts[1].isEmpty
        else {
            return nil
        }
        self.task = task
        path = String(parts[1])
    }

    static let names = TextToTextTask.allCases.map(\.rawValue).joined(separator: ", ")

    /// The option of a list of tasks.
    static let help = ArgumentHelp(
        "A task and a file of its examples, one JSON object a line, plain or gzip; may be given several times.",
        discussion: "Tasks: \(names).", valueName: "task=path")
}

/// The figures of tasks for people.
enum TaskReportTable {
    static func text(_ reports: [TaskReport]) -> String {
        var table = TextTable(
            header: ["task", "examples", "loss", "token accuracy", "exact text", "metrics"],
            alignments: [.left, .right, .right, .right, .right, .left])
        for report in reports {
            table.append([
                report.task.rawValue, Format.grouped(report.exampleCount),
                Format.fixed(report.loss, decimals: 4), percent(report.tokenAccuracy),
                percent(report.exactTextShare),
                report.metrics.map { "\($0.name) \(Format.fixed($0.value, decimals: 2))" }
                    .joined(separator: ", "),
            ])
        }
        return table.text()
    }

    private static func percent(_ share: Double) -> String { Format.fixed(100 * share, decimals: 2) + " %" }
}
