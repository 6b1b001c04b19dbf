import RetNetLayers
import RetNetModels
import RetNetStorage
import RetNetTorch

/// The tensors of a model in both forms: each parameter with the row that holds it, and every tensor of the other side.
struct TensorPlan {
    /// A tensor of the other project.
    struct Theirs {
        let name: String
        let shape: [Int]
        let row: Int
        let index: Int
    }

    let table: TensorTable
    /// Our parameters in the order of their declaration.
    let ours: [(name: String, shape: [Int])]
    /// Their tensors in the order of the table, without constants.
    let theirs: [Theirs]
    private let places: [String: (row: Int, index: Int)]
    private let absent: [String: Double]
    private let ourShapes: [String: [Int]]

    /// Checks that the table has exactly one place for every parameter; throws ``DialectError/incomplete(dialect:reason:)``.
    init(_ dialect: any CheckpointDialect, _ model: LanguageModelConfiguration, found: TensorNames) throws {
        let ours = try model.parameterShapes()
        var table = TensorTable(declared: Set(ours.map(\.name)), found: found)
        try dialect.declareTensors(of: model, in: &table)
        func incomplete(_ reason: String) -> DialectError {
            .incomplete(dialect: dialect.name, reason: reason)
        }
        let shapes = Dictionary(ours.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
        var places: [String: (row: Int, index: Int)] = [:]
        var theirs: [Theirs] = []
        for (index, row) in table.rows.enumerated() {
            for (place, name) in row.ours.enumerated() {
                guard shapes[name] != nil else { throw incomplete("the model has no parameter '\(name)'") }
                guard places.updateValue((index, place), forKey: name) == nil else {
                    throw incomplete("the parameter '\(name)' has two places")
                }
            }
            do {
                let theirShapes = try row.theirShapes(row.ours.map { shapes[$0] ?? [] })
                theirs += zip(row.theirs, theirShapes).enumerated().map {
                    Theirs(name: $1.0, shape: $1.1, row: index, index: $0)
                }
            } catch let fault as TensorRowFault {
                throw incomplete("\(row.theirs[0]): \(fault)")
            }
        }
        let absent = Dictionary(table.absent.map { ($0.ours, $0.value) }) { first, _ in first }
        for (name, _) in ours where places[name] == nil && absent[name] == nil {
            throw incomplete("there is no tensor for the parameter '\(name)'")
        }
        self.table = table
        self.ours = ours
        self.theirs = theirs
        self.places = places
        self.absent = absent
        ourShapes = shapes
    }

    /// Returns one of our parameters, given a reader of their tensors by name and shape.
    func ours(_ name: String, _ read: (_ name: String, _ shape: [Int]) throws -> Tensor) throws -> Tensor {
        if let value = absent[name] { return try Tensor.full(ourShapes[name] ?? [], value) }
        guard let place = places[name] else { throw StorageError.unknownTensor(name: name, path: "") }
        let row = table.rows[place.row]
        let shapes = row.ours.map { ourShapes[$0] ?? [] }
        let tensors = try zip(row.theirs, row.theirShapes(shapes)).map { try read($0, $1) }
        return try row.ours(place.index, ourShapes: shapes, tensors)
    }

    /// Returns the name of the first of their tensors that hold a parameter; nil if none does.
    func source(of name: String) -> String? { places[name].map { table.rows[$0.row].theirs[0] } }

    /// Returns one of their tensors, given a reader of our parameters by name.
    func theirs(_ tensor: Theirs, _ read: (_ name: String) throws -> Tensor) throws -> Tensor {
        let row = table.rows[tensor.row]
        return try row.theirs(tensor.index, row.ours.map(read))
    }

    /// The parameters that the other side leaves out, with the value that they must have.
    var absentParameters: [(name: String, value: Double)] {
        table.absent.map { ($0.ours, $0.value) }
    }
}
