/// One part of an experiment that is done as a whole or not at all: a model trained with a seed, for example.
public struct ExperimentUnit {
    /// What a unit is given while it runs.
    public struct Progress {
        private let handler: (_ remark: String, _ fraction: Double?) throws -> Void

        /// A way to report that does not care how much is done.
        public init(report: @escaping (_ remark: String) throws -> Void) {
            handler = { remark, _ in try report(remark) }
        }

        /// A way to report remarks and the share of the unit that is done, where it is known.
        public init(reportFraction: @escaping (_ remark: String, _ fraction: Double?) throws -> Void) {
            handler = reportFraction
        }

        /// Shows a short remark beside the progress bar, and throws ``ExperimentError/interrupted`` after a signal.
        ///
        /// `fraction` is the share of the unit that is done, from 0 to 1.
        public func report(_ remark: String, fraction: Double? = nil) throws {
            try handler(remark, fraction)
        }
    }

    /// A name that is a file name too, different for every unit of a recipe.
    public let id: String
    /// Whose result it is.
    public let contender: String
    /// The seed of everything random in it.
    public let seed: Int
    /// The share of the recipe's work, in any unit.
    public let weight: Double
    /// Does the work; the numbers are those that the report is made of.
    public let run: (Progress) throws -> [String: Double]

    /// A unit; ids may contain letters, digits, dots, dashes and underscores.
    public init(
        id: String, contender: String, seed: Int = 0, weight: Double = 1,
        run: @escaping (Progress) throws -> [String: Double]
    ) {
        self.id = id
        self.contender = contender
        self.seed = seed
        self.weight = weight
        self.run = run
    }
}
