import RetNetStorage
import RetNetTorch

/// A source of a model's parameters in files that collects all problems.
///
/// A parameter that cannot be read is replaced by one number expanded to its shape, which takes no memory, so that
/// the model is built to its end and all problems are found in one pass.
final class WeightReader {
    private let tensors: SafetensorsTensors
    private let elementType: ElementType
    private let device: Device
    private var requested: Set<ExactString> = []
    private(set) var problems: [CheckpointProblem] = []

    init(_ tensors: SafetensorsTensors, elementType: ElementType, device: Device) {
        self.tensors = tensors
        self.elementType = elementType
        self.device = device
    }

    /// Returns the parameter of a name, checked and converted.
    func provide(_ name: String, _ shape: [Int]) throws -> Tensor {
        requested.insert(ExactString(name))
        do {
            return try checked(name, shape)
        } catch let problem as Refusal {
            problems.append(problem.reason)
            return try Tensor.zeros([1], elementType, on: device)
                .reshaped([Int](repeating: 1, count: shape.count)).expanded(shape)
        }
    }

    private struct Refusal: Error {
        let reason: CheckpointProblem
    }

    private func checked(_ name: String, _ shape: [Int]) throws -> Tensor {
        guard let entry = tensors.entry(named: name) else {
            throw Refusal(reason: .missing(name: name, shape: shape))
        }
        guard let type = ElementType(entry.elementType), type.isFloatingPoint else {
            throw Refusal(reason: .wrongType(name: name, found: entry.elementType.rawValue))
        }
        guard entry.shape == shape else {
            throw Refusal(reason: .wrongShape(name: name, expected: shape, found: entry.shape))
        }
        let stored = try tensors.tensor(named: name)
        guard try stored.allFinite() else { throw Refusal(reason: .notFinite(name: name)) }
        let converted = try stored.to(elementType)
        guard try converted === stored || converted.allFinite() else {
            throw Refusal(reason: .overflows(name: name, elementType: elementType.rawValue))
        }
        return try converted.to(on: device)
    }

    /// Adds the tensors of the files that are no parameters of the model.
    ///
    /// `copies` are accepted if they equal the tensor that they repeat; `ignored` are accepted with any values.
    func checkLeftOver(copies: [(name: String, of: String)] = [], ignored: [String] = []) throws {
        let known = requested.union(ignored.map { ExactString($0) })
        for entry in tensors.entries where !known.contains(ExactString(entry.name)) {
            guard let copy = copies.first(where: { $0.name.isExactly(entry.name) }) else {
                problems.append(.unexpected(name: entry.name, shape: entry.shape))
                continue
            }
            if try !tensors.areEqual(copy.name, copy.of) {
                problems.append(.outputNotTied(name: copy.name, embedding: copy.of))
            }
        }
    }
}
