import RetNetStorage
import RetNetTorch

/// A source of a model's parameters in files that collects all problems.
///
/// A parameter that cannot be read is replaced by one number expanded to its shape, which takes no memory, so that
/// the model is built to its end and all problems are found in one pass.
final class WeightReader {
    private let tensors: any TensorSource
    private let elementType: ElementType?
    private let device: Device
    private var requested: Set<ExactString> = []
    private(set) var problems: [CheckpointProblem] = []

    /// Without an element type, tensors keep their own.
    init(_ tensors: any TensorSource, elementType: ElementType?, device: Device) {
        self.tensors = tensors
        self.elementType = elementType
        self.device = device
    }

    /// Returns the parameter of a name, checked and converted.
    func provide(_ name: String, _ shape: [Int]) throws -> Tensor {
        try replacingRefused(shape) { try checked(name, shape) }
    }

    /// Returns the parameter of a name from the tensors in which a plan says it is, checked and converted.
    func provide(_ name: String, _ shape: [Int], by plan: TensorPlan) throws -> Tensor {
        try replacingRefused(shape) { try plan.ours(name, checked) }
    }

    private func replacingRefused(_ shape: [Int], _ read: () throws -> Tensor) throws -> Tensor {
        do {
            return try read()
        } catch let problem as Refusal {
            // A tensor that holds several parameters is refused once.
            if !problems.contains(problem.reason) { problems.append(problem.reason) }
            return try Tensor.zeros([1], elementType ?? .float32, on: device)
                .reshaped([Int](repeating: 1, count: shape.count)).expanded(shape)
        }
    }

    private struct Refusal: Error {
        let reason: CheckpointProblem
    }

    private func checked(_ name: String, _ shape: [Int]) throws -> Tensor {
        requested.insert(ExactString(name))
        guard let entry = tensors.entry(named: name) else {
            throw Refusal(reason: .missing(name: name, shape: shape))
        }
        guard let type = ElementType(entry.elementType), type.isFloatingPoint else {
            throw Refusal(reason: .wrongType(name: name, found: entry.elementType.rawValue))
        }
        guard entry.shape == shape else {
            throw Refusal(reason: .wrongShape(name: name, expected: shape, found: entry.shape))
        }
        let stored = try tensors.tensor(named: name, on: .cpu)
        guard try stored.allFinite() else { throw Refusal(reason: .notFinite(name: name)) }
        let converted = try stored.to(elementType)
        guard try converted === stored || converted.allFinite() else {
            throw Refusal(
                reason: .overflows(name: name, elementType: (elementType ?? type).rawValue))
        }
        return try converted.to(on: device)
    }

    /// Adds the tensors of the files that are no parameters of the model.
    ///
    /// `copies` are accepted if they equal the tensor that they repeat; ignored ones are accepted with any values.
    func checkLeftOver(
        copies: [(name: String, of: String)] = [], ignoring isIgnored: (String) -> Bool = { _ in false }
    ) throws {
        for entry in tensors.entries
        where !requested.contains(ExactString(entry.name)) && !isIgnored(entry.name) {
            guard let copy = copies.first(where: { $0.name.isExactly(entry.name) }) else {
                problems.append(.unexpected(name: entry.name, shape: entry.shape))
                continue
            }
            if try !tensors.areEqual(copy.name, copy.of) {
                problems.append(.outputNotTied(name: copy.name, embedding: copy.of))
            }
        }
    }

    /// Checks the tensors of a plan that hold no parameter, and those that it does not know.
    func checkLeftOver(of plan: TensorPlan) throws {
        for constant in plan.table.constants {
            requested.insert(ExactString(constant.name))
            guard let entry = tensors.entry(named: constant.name) else {
                if !constant.isOptional {
                    let shape = try constant.shape ?? constant.values().shape
                    problems.append(.missing(name: constant.name, shape: shape))
                }
                continue
            }
            let shape = try constant.shape ?? constant.values().shape
            guard entry.shape == shape else {
                problems.append(.wrongShape(name: constant.name, expected: shape, found: entry.shape))
                continue
            }
            if try !isClose(tensors.tensor(named: constant.name, on: .cpu), constant.values()) {
                problems.append(.wrongConstant(name: constant.name))
            }
        }
        try checkLeftOver(
            copies: plan.table.copies.map { ($0.name, of: $0.of) }, ignoring: plan.table.ignores)
    }

    /// True if every value equals the expected one to the rounding of the type in which it was stored.
    private func isClose(_ found: Tensor, _ expected: Tensor) throws -> Bool {
        let tolerance =
            switch found.elementType {
            case .bfloat16: 1e-2
            case .float16: 2e-3
            // Decays near 1 lose digits in float32.
            case .float32, .float64: 1e-4
            default: 0.0
            }
        return try zip(found.doubles(), expected.doubles()).allSatisfy {
            abs($0 - $1) <= tolerance * abs($1)
        }
    }
}
