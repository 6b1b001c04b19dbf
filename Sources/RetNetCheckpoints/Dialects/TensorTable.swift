import RetNetTorch

/// The table of a dialect for one model: which tensor holds which parameter, and which tensors hold no parameter.
///
///     table.same("embedding.weight", "model.embeddings.weight")
///     table.layers(model.layerCount, "model.layers") { layer, _ in
///         layer.module("mixer.query", "attn.q_proj")
///     }
///
/// Rows of parameters that the configuration does not have are left out, so that a table need not repeat its choices.
public struct TensorTable {
    /// A tensor whose values follow from the configuration.
    struct Constant {
        let name: String
        let isOptional: Bool
        /// Its shape; nil where the values are so few that they tell.
        let shape: [Int]?
        let values: () throws -> Tensor
    }

    private(set) var rows: [TensorRow] = []
    private(set) var constants: [Constant] = []
    /// Tensors that may repeat another one.
    private(set) var copies: [(name: String, of: String, isWritten: Bool)] = []
    /// Tensors that are not read: whole names, or ends of names that begin with "*".
    private(set) var ignored: [String] = []
    /// Parameters without a tensor, with the value that all their elements have.
    private(set) var absent: [(ours: String, value: Double)] = []
    private let found: TensorNames
    private let declared: Set<String>
    private var ourPrefix = ""
    private var theirPrefix = ""

    /// An empty table for the parameters of a model; nothing is found where a checkpoint is written.
    init(declared: Set<String>, found: TensorNames) {
        self.declared = declared
        self.found = found
    }

    // MARK: Scopes

    /// Adds rows for every layer, with names after `layers.N.` and after `theirs.N.`.
    public mutating func layers(
        _ count: Int, _ theirs: String, _ body: (inout TensorTable, Int) throws -> Void
    ) rethrows {
        for index in 0..<count { try scope("layers.\(index)", "\(theirs).\(index)") { try body(&$0, index) } }
    }

    /// Adds rows with names after `ours.` and `theirs.`; an empty text stands for no prefix.
    public mutating func scope(
        _ ours: String, _ theirs: String, _ body: (inout TensorTable) throws -> Void
    ) rethrows {
        let before = (ourPrefix, theirPrefix)
        if !ours.isEmpty { ourPrefix += ours + "." }
        if !theirs.isEmpty { theirPrefix += theirs + "." }
        try body(&self)
        (ourPrefix, theirPrefix) = before
    }

    /// Returns true if the model has a parameter of this name in the present scope.
    public func has(_ ours: String) -> Bool { declared.contains(ourPrefix + ours) }

    /// Returns true if the checkpoint that is read has a tensor of this name in the present scope.
    public func finds(_ theirs: String) -> Bool { found.contains(theirPrefix + theirs) }

    // MARK: Rows

    /// One parameter and one tensor, after steps from theirs to ours.
    public mutating func same(_ ours: String, _ theirs: String, _ steps: TensorStep...) {
        row([ours], [theirs], steps: steps)
    }

    /// The weight and the bias of a linear map or a norm, as far as the model has them; steps apply to both.
    public mutating func module(_ ours: String, _ theirs: String, _ steps: TensorStep...) {
        for part in ["weight", "bias"] { row(["\(ours).\(part)"], ["\(theirs).\(part)"], steps: steps) }
    }

    /// Parameters that lie one after the other along the first axis of one tensor, after the steps.
    public mutating func fused(_ ours: [String], _ theirs: String, _ steps: TensorStep...) {
        row(ours, [theirs], steps: steps)
    }

    /// One parameter whose parts are tensors of equal shapes, joined along an axis, before the steps.
    public mutating func parts(_ ours: String, _ theirs: [String], axis: Int = 0, _ steps: TensorStep...) {
        row([ours], theirs, joinAxis: axis, steps: steps)
    }

    /// Adds a row of any kind; none if the model has none of its parameters.
    public mutating func row(
        _ ours: [String], _ theirs: [String], joinAxis: Int = 0, steps: [TensorStep] = []
    ) {
        guard ours.contains(where: has) else { return }
        rows.append(
            TensorRow(
                ours.map { ourPrefix + $0 }, theirs.map { theirPrefix + $0 }, joinAxis: joinAxis, steps: steps
            ))
    }

    /// The output matrix: a tensor of its own, or, with a tied output, absent or a copy of the embedding.
    public mutating func output(_ theirs: String, tiedTo embedding: String, copyIsWritten: Bool = false) {
        module("output", theirs)
        if !has("output.weight") {
            copy(theirs + ".weight", of: embedding, isWritten: copyIsWritten)
        }
    }

    // MARK: Tensors without a parameter

    /// A tensor that may be absent and otherwise equals another one; it is written where their code insists on it.
    public mutating func copy(_ theirs: String, of other: String, isWritten: Bool = false) {
        copies.append((theirPrefix + theirs, of: theirPrefix + other, isWritten: isWritten))
    }

    /// A tensor whose values follow from the configuration: checked where it is read, made where it is written.
    ///
    /// An optional one may be absent, and is not written. With a shape, values are only made for a tensor that has it: a
    /// configuration may claim any size.
    public mutating func constant(
        _ theirs: String, isOptional: Bool = false, shape: [Int]? = nil,
        _ values: @escaping () throws -> Tensor
    ) {
        constants.append(
            Constant(name: theirPrefix + theirs, isOptional: isOptional, shape: shape, values: values))
    }

    /// A tensor that has no effect: a whole name in the present scope, or, after "*", the end of names anywhere.
    public mutating func ignore(_ theirs: String) {
        ignored.append(theirs.hasPrefix("*") ? theirs : theirPrefix + theirs)
    }

    /// A parameter that has no tensor there, since all its elements are one value.
    public mutating func absent(_ ours: String, value: Double) {
        guard has(ours) else { return }
        absent.append((ourPrefix + ours, value))
    }

    func ignores(_ name: String) -> Bool {
        ignored.contains { $0.hasPrefix("*") ? name.hasSuffix($0.dropFirst()) : name == $0 }
    }
}
