import RetNetMixers

/// What the steps of a language model's run need besides the model and its text.
@dynamicMemberLookup
public struct LanguageModelStepOptions: Sendable {
    /// What does not depend on the kind of model; its members can be named directly.
    public var steps = StepOptions()
    /// The form of training passes.
    public var form = MixerForm.parallel
    /// Whether each batch continues from the state of the one before.
    public var carriesState = false

    /// The defaults.
    public init() {}

    /// A member of ``steps``.
    public subscript<Value>(dynamicMember path: WritableKeyPath<StepOptions, Value>) -> Value {
        get { steps[keyPath: path] }
        set { steps[keyPath: path] = newValue }
    }
}
