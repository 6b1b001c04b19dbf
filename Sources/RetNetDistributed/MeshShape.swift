import Foundation

/// The number of ranks along each axis of a run: copies of a model, parts of a sequence, parts of a layer.
///
/// Ranks are numbered with `tensor` fastest, then `sequence`, then `data`: what exchanges most is closest together.
public struct MeshShape: Sendable, Equatable, CustomStringConvertible {
    /// An axis of a mesh.
    public enum Axis: String, Sendable, CaseIterable {
        /// Copies of the model, each with its rows of a batch.
        case data
        /// Parts of every sequence.
        case sequence
        /// Parts of every layer.
        case tensor
    }

    /// The number of ranks along each axis.
    public var data, sequence, tensor: Int

    /// The given sizes, each at least 1.
    public init(data: Int = 1, sequence: Int = 1, tensor: Int = 1) {
        self.data = data
        self.sequence = sequence
        self.tensor = tensor
    }

    /// The number of all ranks.
    public var count: Int { data * sequence * tensor }

    /// The number of ranks along an axis.
    public subscript(axis: Axis) -> Int {
        get {
            switch axis {
            case .data: data
            case .sequence: sequence
            case .tensor: tensor
            }
        }
        set {
            switch axis {
            case .data: data = newValue
            case .sequence: sequence = newValue
            case .tensor: tensor = newValue
            }
        }
    }

    /// All axes, as ``MeshRequest/init(parsing:)`` reads them.
    public var description: String {
        Axis.allCases.map { "\($0.rawValue)=\(self[$0])" }.joined(separator: ",")
    }

    /// Returns the place of a rank along every axis.
    public func place(of rank: Int) -> MeshPlace {
        MeshPlace(
            data: rank / (tensor * sequence), sequence: rank / tensor % sequence, tensor: rank % tensor)
    }

    /// Returns the ranks that differ from one in the given axes only, itself among them, in ascending order.
    public func members(of rank: Int, varying axes: Set<Axis>) -> [Int] {
        let own = place(of: rank)
        return (0..<count).filter { other in
            let place = place(of: other)
            return Axis.allCases.allSatisfy { axes.contains($0) || place[$0] == own[$0] }
        }
    }
}

/// The place of a rank in a mesh, from 0 along every axis.
public struct MeshPlace: Sendable, Equatable {
    /// The index along each axis.
    public var data, sequence, tensor: Int

    /// The index along an axis.
    public subscript(axis: MeshShape.Axis) -> Int {
        switch axis {
        case .data: data
        case .sequence: sequence
        case .tensor: tensor
        }
    }
}

/// A mesh as a user asks for it, such as `data=2,sequence=1,tensor=2`, or `auto` for copies only.
///
/// Axes that are left out have one rank, and `data` has the ranks that remain.
public struct MeshRequest: Sendable, Equatable, CustomStringConvertible {
    /// The sizes given, by axis.
    private var sizes: [MeshShape.Axis: Int] = [:]

    private static let automatic = "auto"
    /// The largest number of ranks of an axis and of a mesh.
    private static let maximumCount = 1 << 20

    /// All ranks along `data`.
    public init() {}

    /// The mesh of a shape.
    public init(_ shape: MeshShape) {
        for axis in MeshShape.Axis.allCases { sizes[axis] = shape[axis] }
    }

    /// Reads a mesh; throws ``MeshError``.
    public init(parsing text: String) throws {
        func refuse(_ reason: String) -> MeshError {
            MeshError(
                "the mesh '\(text)' cannot be understood: \(reason); write it as 'data=2,sequence=1,tensor=2'"
            )
        }
        if text == Self.automatic { return }
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false).map {
                $0.filter { !$0.isWhitespace }
            }
            guard sides.count == 2 else { throw refuse("'\(part)' is no axis with its number of ranks") }
            guard let axis = MeshShape.Axis(rawValue: sides[0]) else {
                throw refuse("there is no axis '\(sides[0])', only data, sequence and tensor")
            }
            guard sizes[axis] == nil else { throw refuse("the axis '\(sides[0])' is given twice") }
            guard let size = Int(sides[1]), (1...Self.maximumCount).contains(size) else {
                throw refuse("'\(sides[1])' is no number of ranks for the axis '\(sides[0])'")
            }
            sizes[axis] = size
        }
        guard sizes.values.reduce(1.0, { $0 * Double($1) }) <= Double(Self.maximumCount) else {
            throw refuse("it has more than \(Self.maximumCount) ranks")
        }
    }

    /// The number of ranks along an axis; nil for `data` where it has the ranks that remain.
    public subscript(axis: MeshShape.Axis) -> Int? { sizes[axis] ?? (axis == .data ? nil : 1) }

    /// The axes that were given, as ``init(parsing:)`` reads them.
    public var description: String {
        if sizes.isEmpty { return Self.automatic }
        return MeshShape.Axis.allCases.compactMap { axis in sizes[axis].map { "\(axis.rawValue)=\($0)" } }
            .joined(separator: ",")
    }

    /// The mesh with the ranks that were asked for, and one along axes that were left out.
    public var smallestShape: MeshShape {
        MeshShape(data: self[.data] ?? 1, sequence: self[.sequence] ?? 1, tensor: self[.tensor] ?? 1)
    }

    /// Returns the mesh of a number of ranks; throws ``MeshError`` where it has another number.
    public func shape(rankCount: Int) throws -> MeshShape {
        let inner = (self[.sequence] ?? 1) * (self[.tensor] ?? 1)
        let shape = MeshShape(
            data: self[.data] ?? max(1, rankCount / inner), sequence: self[.sequence] ?? 1,
            tensor: self[.tensor] ?? 1)
        guard shape.count == rankCount else {
            let needed =
                self[.data] == nil ? "a multiple of \(inner) ranks" : "\(shape.count) ranks"
            throw MeshError(
                "the mesh '\(description)' needs \(needed), but the run has \(rankCount): start as many processes as the"
                    + " product of its axes, or change the mesh")
        }
        return shape
    }
}

/// A mesh that cannot be understood, or that has another number of ranks than the run.
public struct MeshError: Error, Equatable, CustomStringConvertible, LocalizedError {
    /// The fault and a remedy, in one sentence.
    public let description: String

    init(_ description: String) { self.description = description }

    /// The same text as ``description``.
    public var errorDescription: String? { description }
}
