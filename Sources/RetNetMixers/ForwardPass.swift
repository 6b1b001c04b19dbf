import RetNetLayers
import RetNetTorch

/// One forward pass as its mixers see it: form, positions, mode, and tables that layers share.
public final class ForwardPass {
    /// The form to compute in.
    public let form: MixerForm
    /// Where each batch row stands before the first token of this call.
    public let positions: [SequencePosition]
    /// Training or inference, and the generator of dropout.
    public let context: ForwardContext
    private var shared: [String: [Tensor]] = [:]
    private var derived: [String: ForwardPass] = [:]

    /// A call for a batch of `positions.count` rows.
    public init(form: MixerForm, positions: [SequencePosition], context: ForwardContext) {
        self.form = form
        self.positions = positions
        self.context = context
    }

    /// Tables made by the first layer that asks and reused by the others.
    public func sharing(_ key: String, _ make: () throws -> [Tensor]) throws -> [Tensor] {
        if let tables = shared[key] { return tables }
        let tables = try make()
        shared[key] = tables
        return tables
    }

    /// A call over other positions of the same pass, made by the first layer that asks and reused by the others.
    public func deriving(_ key: String, _ positions: () -> [SequencePosition]) -> ForwardPass {
        if let pass = derived[key] { return pass }
        let pass = ForwardPass(form: form, positions: positions(), context: context)
        derived[key] = pass
        return pass
    }
}
