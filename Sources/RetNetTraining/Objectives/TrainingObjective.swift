import RetNetLayers
import RetNetText
import RetNetTorch

/// What a run learns: a model, its data and the loss that a step minimises.
public protocol TrainingObjective: AnyObject {
    /// The parameters that are trained.
    var parameters: ParameterStore { get }
    /// The place in the data.
    var dataState: BatchSourceState { get }
    /// Whether there is memory that the next batch continues from.
    var hasCarriedState: Bool { get }

    /// Takes the next batches and adds the gradients of their mean loss to the parameters.
    ///
    /// Losses of passes are weighted by their targets, so that several passes equal one large batch.
    func accumulateGradients(passCount: Int, generator: Generator) throws -> StepLoss

    /// Goes to a saved place in the data.
    func restoreData(_ state: BatchSourceState) throws
    /// Drops the memory that the next batch would continue from.
    func forgetCarriedState()
    /// Writes that memory into the folder of a checkpoint.
    func writeCarriedState(into folder: String) throws
    /// Reads it again.
    func readCarriedState(from folder: String) throws
}

extension TrainingObjective {
    /// None: every batch begins anew.
    public var hasCarriedState: Bool { false }
    /// Does nothing.
    public func forgetCarriedState() {}
    /// Does nothing.
    public func writeCarriedState(into folder: String) throws {}
    /// Does nothing.
    public func readCarriedState(from folder: String) throws {}
}
