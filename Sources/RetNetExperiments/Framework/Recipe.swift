/// One table or figure of a paper as an experiment that anyone can run.
public protocol Recipe {
    /// The name on the command line.
    static var name: String { get }
    /// What it shows, in one line, with the table or figure that it follows.
    static var summary: String { get }

    /// Whether models learn from the texts of the context; otherwise none have to be read.
    static var readsTexts: Bool { get }

    /// The experiment at the scale and with the texts of a context.
    init(_ context: ExperimentContext) throws

    /// What the results depend on besides scale and texts, for telling folders apart.
    var settings: [String: String] { get }
    /// The parts of the experiment, in the order in which they are done.
    func units() throws -> [ExperimentUnit]
    /// The report on all results, in the order of the units.
    func report(_ results: [UnitResult]) throws -> ExperimentReport
    /// What the experiment would cost, for scales that take long; nil for those that do not.
    func estimate() throws -> ExperimentCost?
}

extension Recipe {
    /// Models learn from texts.
    public static var readsTexts: Bool { true }
    /// Nothing besides scale and texts.
    public var settings: [String: String] { [:] }
    /// Nothing to say.
    public func estimate() throws -> ExperimentCost? { nil }
}
