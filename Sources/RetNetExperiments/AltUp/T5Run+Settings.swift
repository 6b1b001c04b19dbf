import RetNetEvaluation
import RetNetModels
import RetNetReporting
import RetNetTraining

extension T5Run {
    /// How all contenders of a comparison are trained.
    struct Settings {
        /// Fine-tuning of the pretrained model, once for every group of tasks.
        struct Tuning {
            var steps: Int
            var batch: Int
            var sourceLength: Int
            var targetLength: Int
            var learningRate: Double
            /// Passes of one step.
            var accumulation = 1
            var dropout = 0.1
            /// Examples that are scored, at most.
            var exampleLimit: Int
            /// The tasks that are mixed in one fine-tuning each.
            var groups: [[TextToTextTask]]

            /// Examples that are drawn in all.
            var exampleCount: Int { steps * batch * accumulation }

            /// For the report.
            var text: String {
                "\(Format.grouped(steps)) steps of \(batch * accumulation) rows, sources to"
                    + " \(Format.grouped(sourceLength)) and targets to \(targetLength) bytes, constant learning rate"
                    + " \(learningRate), dropout \(dropout)"
            }
        }

        var steps: Int
        var batch: Int
        /// Tokens of a corrupted text.
        var sourceLength: Int
        /// Passes of one step.
        var accumulation = 1
        /// How Adafactor's rate falls: linearly to nothing, or as T5's with the root of the step.
        var schedule: ScheduleConfiguration.Kind
        /// Steps of warm-up, or before the rate falls with the root.
        var warmup: Int
        var tuning: Tuning?

        /// Tokens that the encoder reads and the decoder writes.
        var lengths: (piece: Int, source: Int, target: Int) {
            get throws {
                let (piece, target) = try T5Run.corruption.pieceLength(inputLength: sourceLength)
                return (piece, sourceLength, target)
            }
        }

        /// For the report.
        var text: String {
            "\(Format.grouped(steps)) steps of \(batch * accumulation) x \(sourceLength) bytes, of which"
                + " 15 % are hidden in spans of \(T5Run.meanSpanLength) on average (ByT5's), Adafactor, learning rate"
                + " \(rule), z-loss 1e-4, no dropout"
        }

        private var rule: String {
            schedule == .linear
                ? "falling linearly to nothing after \(warmup) steps of warm-up"
                : "constant for \(Format.grouped(warmup)) steps and falling with their root afterwards"
        }

        /// The optimiser's settings at a rate.
        func optimizer(learningRate: Double) -> OptimizerConfiguration {
            var configuration = OptimizerConfiguration.adafactor
            configuration.learningRate = learningRate
            return configuration
        }

        /// FLOPs and tokens of one model's pretraining and fine-tunings.
        func work(_ accounting: T5Accounting) throws -> (flops: Double, tokens: Double) {
            let lengths = try lengths
            let rows = Double(steps * batch * accumulation)
            var flops =
                rows
                * Double(
                    accounting.trainingFLOPs(sourceLength: lengths.source, targetLength: lengths.target))
            var tokens = rows * Double(lengths.source + lengths.target)
            if let tuning {
                let rows = Double(tuning.steps * tuning.batch * tuning.accumulation * tuning.groups.count)
                flops +=
                    rows
                    * Double(
                        accounting.trainingFLOPs(
                            sourceLength: tuning.sourceLength, targetLength: tuning.targetLength))
                tokens += rows * Double(tuning.sourceLength + tuning.targetLength)
            }
            return (flops, tokens)
        }
    }
}
