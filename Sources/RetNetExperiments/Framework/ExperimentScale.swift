/// How large an experiment is made.
public enum ExperimentScale: String, Sendable, CaseIterable {
    /// Minutes on two cores: shows that everything runs, and the coarsest differences.
    case tiny
    /// A night on a desktop machine.
    case small
    /// The published settings, for those who have the hardware.
    case paper
}
